# SPDX-License-Identifier: BSD-2-Clause
"""A migration that is given up at the last moment: the guest never runs at both ends."""

import contextlib
from dataclasses import replace

import pytest

from gantry.backend.task_record import Canceled
from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm import copying, launch, migration, movekey
from gantry.hypervisor.hv_kvm.runtime import Phase, Runtime
from gantry.objects.vm import MigrationTarget, VmSpec
from gantry.utils.clock import SYSTEM

PLAIN = Runtime(phase=Phase.RUNNING, spec=VmSpec(uuid="u", name="web1", hypervisor="kvm", owner_epoch=1, memory=64,
                                                 vcpus=1))
RECORD = replace(PLAIN, spec=replace(PLAIN.spec, hvparams={"migration_caps": "postcopy-ram"}))
"""Its memory is fetched after one pass."""
TARGET = MigrationTarget(uri="tcp:127.0.0.2:8102", key="0" * 64)
LIMITS = migration.Limits(live=True, bandwidth=0, downtime=30)


class Source:
    """Sending is `sends`.  What follows the end of the guest here takes `looks` questions, and then is `last`."""

    def __init__(self, looks, last, sends="active"):
        self.status, self.runs, self.looks, self.last, self.sends = None, True, looks, last, sends

    def execute(self, command, **arguments):
        if command == "migrate":
            self.status, self.runs = self.sends, self.sends == "active"
        elif command == "migrate-start-postcopy":
            self.status, self.runs = "postcopy-active", False
        elif command == "migrate_cancel":
            self.status, self.runs = "cancelled", True
        elif command == "cont":
            self.runs = True
        elif command == "query-kvm":
            return {"enabled": True}
        elif command == "query-status":
            return {"status": "running" if self.runs else "postmigrate" if self.status == "completed"
                    else "finish-migrate"}
        elif command == "query-migrate":
            return self._answer()
        return {}

    def _answer(self):
        if self.status is None:
            return {}
        if self.status in ("postcopy-active", "device"):
            self.looks -= 1
            self.status = self.last if self.looks < 0 else self.status
        return {"status": self.status, "ram": {"transferred": 5, "remaining": 1, "dirty-sync-count": 2},
                "total-time": 9, "downtime": 1}


@pytest.fixture
def source(monkeypatch):
    def make(looks, last="completed", **how):
        made = Source(looks, last, **how)
        monkeypatch.setattr(launch, "talk", lambda record, **_: contextlib.nullcontext(made))
        return made
    monkeypatch.setattr(movekey, "put", lambda *args: None)
    monkeypatch.setattr(movekey, "forget", lambda *args: None)
    monkeypatch.setattr(migration, "ARRIVAL_SECONDS", 0.3)
    monkeypatch.setattr(migration, "HANDOVER_SECONDS", 0.3)
    return make


def canceled_meanwhile(fraction, message):
    if fraction:
        raise Canceled


def test_cancelled_meanwhile_it_goes_over(source):
    made = source(4)
    assert migration.send(RECORD, TARGET, LIMITS, canceled_meanwhile).status == "completed"
    assert not made.runs


def test_cancelled_meanwhile_it_is_left_alone(source):
    made = source(10 ** 6)
    with pytest.raises(HypervisorError, match=r"runs on the target already.*migrate --cleanup"):
        migration.send(RECORD, TARGET, LIMITS, canceled_meanwhile)
    with pytest.raises(HypervisorError, match="runs on the target already"):
        migration.resume(RECORD)
    assert (made.status, made.runs) == ("postcopy-active", False)


def test_a_connection_that_breaks_meanwhile(source):
    made = source(3, "postcopy-paused")
    for give_up in (lambda: migration.send(RECORD, TARGET, LIMITS, lambda *_: None), lambda: migration.resume(RECORD)):
        with pytest.raises(HypervisorError, match="the connection broke while memory was fetched"):
            give_up()
    assert (made.status, made.runs) == ("postcopy-paused", False)


def test_cancelled_while_the_target_takes_it_over(source):
    made = source(4, sends="device")
    assert migration.send(PLAIN, TARGET, LIMITS, canceled_meanwhile).status == "completed"
    assert not made.runs


def test_cancelled_while_the_target_does_not_react(source):
    made = source(10 ** 6, sends="device")
    with pytest.raises(Canceled):
        migration.send(PLAIN, TARGET, LIMITS, canceled_meanwhile)
    assert (made.status, made.runs) == ("cancelled", True)


@pytest.mark.parametrize("sends", ["active", "device"])
def test_a_target_that_stops_taking_memory_is_given_up(source, monkeypatch, sends):
    """One that has all of it may be about to run it: that is waited for until somebody cancels."""
    monkeypatch.setattr(copying, "STALL_SECONDS", 0.2)
    made, end = source(10 ** 6, sends=sends), SYSTEM.now() + 1.0

    def canceled_in_the_end(fraction, message):
        if SYSTEM.now() > end:
            raise Canceled

    with pytest.raises(HypervisorError if sends == "active" else Canceled,
                       match="makes no progress" if sends == "active" else "cancelled"):
        migration.send(PLAIN, TARGET, LIMITS, canceled_in_the_end)
    assert (made.status, made.runs) == ("cancelled", True)
