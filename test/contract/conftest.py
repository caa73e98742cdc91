# SPDX-License-Identifier: BSD-2-Clause
"""Nodes with a guest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.guest_lab import Lab, make_lab, needs_qemu


@pytest.fixture(params=["fake", pytest.param("kvm", marks=needs_qemu)])
def lab(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    yield from make_lab(request.param, tmp_path, monkeypatch)


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    yield from make_lab("kvm", tmp_path, monkeypatch)
