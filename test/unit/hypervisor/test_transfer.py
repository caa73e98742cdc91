# SPDX-License-Identifier: BSD-2-Clause
"""Where a guest's disks come in."""

import socket

import pytest

from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm import transfer
from support.nodes import ADDRESS


def test_two_guests_that_look_for_a_port_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one has the same port, and is the first to listen at it."""
    listen = socket.socket.listen
    with socket.socket() as rival:
        rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        rival.bind((ADDRESS, 0))
        first = rival.getsockname()[1]

        def after_the_rival(door: socket.socket, backlog: int = 16) -> None:
            listen(rival)
            listen(door, backlog)

        monkeypatch.setattr(socket.socket, "listen", after_the_rival)
        with transfer._listening(ADDRESS, first) as door:
            assert first < door.getsockname()[1] <= first + transfer.PORTS


def test_no_port_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PORTS", 1)
    with socket.create_server((ADDRESS, 0)) as other, \
            pytest.raises(HypervisorError, match="none of the 1 ports"), \
            transfer._listening(ADDRESS, other.getsockname()[1]):
        pass
