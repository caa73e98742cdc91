# SPDX-License-Identifier: BSD-2-Clause
"""The cluster of tests that do not bring one of their own: with plain and mirrored disks, the same for a whole file."""

import pytest

from support.disk_cluster import disk_cluster


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with disk_cluster(tmp_path_factory.mktemp("c")) as made:
        yield made


@pytest.fixture
def cluster(nodes):
    yield nodes
    nodes.disarm()
