# SPDX-License-Identifier: BSD-2-Clause
"""Asking a guest for a device back."""

import contextlib

import pytest

from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm import hotplug, launch
from gantry.hypervisor.hv_kvm.runtime import Phase, Runtime
from gantry.objects.vm import VmSpec

RECORD = Runtime(phase=Phase.RUNNING, spec=VmSpec(uuid="u", name="web1", hypervisor="kvm", owner_epoch=1, memory=64,
                                                  vcpus=1))


class Guest:
    """It lets go of its device once it was looked at `looks` times; asked for it, QEMU says `refused`."""

    def __init__(self, looks, refused):
        self.looks, self.refused, self.asked = looks, refused, 0

    def execute(self, command, **arguments):
        if command == "qom-list":
            self.looks -= 1
            return [{"name": "nic-1"}] if self.looks > 0 else []
        if command == "query-status":
            return {"running": True}
        assert (command, arguments) == ("device_del", {"id": "nic-1"})
        self.asked += 1
        raise HypervisorError(detail=f"QEMU refused device_del: {self.refused}", refused=self.refused)


@pytest.fixture
def guest(monkeypatch):
    def make(looks, refused):
        made = Guest(looks, refused)
        monkeypatch.setattr(launch, "talk", lambda record, **_: contextlib.nullcontext(made))
        return made
    return make


@pytest.mark.parametrize("reason", [
    "Hot-unplug failed: guest is busy (power indicator blinking)",  # a root port of a q35 machine before 6.1
    "Device nic-1 is already in the process of unplug"])
def test_a_guest_that_was_asked_already_is_waited_for(guest, reason):
    made = guest(3, reason)
    hotplug.ask_back(RECORD, "nic-1", "interface x")
    assert made.asked == 1


def test_what_qemu_cannot_do_is_said_at_once(guest):
    guest(3, "Bus 'ide.0' does not support hotplugging")
    with pytest.raises(HypervisorError, match="does not support hotplugging"):
        hotplug.ask_back(RECORD, "nic-1", "interface x")
