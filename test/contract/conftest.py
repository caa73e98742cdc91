# SPDX-License-Identifier: BSD-2-Clause
"""Nodes with a guest; nodes with the ends of a mirrored disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.storage import drbd_device
from support.guest_lab import Lab, make_lab, needs_qemu
from support.mirror_pair import Pair


@pytest.fixture(params=["fake", pytest.param("kvm", marks=needs_qemu)])
def lab(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    yield from make_lab(request.param, tmp_path, monkeypatch)


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    yield from make_lab("kvm", tmp_path, monkeypatch)


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setattr("gantry.storage.drbd.PEER_SECONDS", 0.3)
    monkeypatch.setattr(drbd_device, "_asked", {})
    return Pair(tmp_path, monkeypatch)
