# SPDX-License-Identifier: BSD-2-Clause
"""A small cluster to change."""

from types import SimpleNamespace

import pytest

from support.small_cluster import MemoryStore, small_cluster


@pytest.fixture
def cluster():
    return SimpleNamespace(config=small_cluster(), store=MemoryStore())
