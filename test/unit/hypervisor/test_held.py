# SPDX-License-Identifier: BSD-2-Clause
"""The lock of one guest: one holder at a time, and no file afterwards."""

import threading

import pytest

from gantry import paths
from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm import files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    return paths.here().kvm / "lock"


def test_one_at_a_time_and_nothing_left(folder):
    inside, most, rounds = [], [], []

    def work():
        for _ in range(8):
            with files.held("guest", seconds=60):
                inside.append(1)
                most.append(len(inside))
                inside.pop()
                rounds.append(1)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (max(most), len(rounds)) == (1, 32)
    assert list(folder.iterdir()) == []


def test_who_waits_too_long_is_told(folder):
    with files.held("guest"):
        with pytest.raises(HypervisorError, match="another call has been starting or ending it"), \
                files.held("guest", seconds=0.05):
            pass
        assert (folder / "guest").exists()
    with files.held("guest", seconds=0.05):
        pass


def test_it_is_let_go_of_after_an_error(folder):
    with pytest.raises(ValueError, match="broke"), files.held("guest"):
        raise ValueError("broke")
    assert list(folder.iterdir()) == []
