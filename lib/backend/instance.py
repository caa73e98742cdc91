# SPDX-License-Identifier: BSD-2-Clause
"""Guests on this node.  Their disks are opened before them, for the owner of their epoch, and closed after them."""

import logging
from typing import Any

from gantry.backend import disk
from gantry.errors import ConfigurationError, Error
from gantry.hypervisor import base, exchanged
from gantry.hypervisor.base import Hypervisor, Progress
from gantry.objects.vm import Console, VmSpec, VmStatus

_log = logging.getLogger(__name__)


def instances_info(*, hypervisors: list[str]) -> list[VmStatus]:
    return [status for name in hypervisors for status in base.load(name).list()]


def instance_spec(*, instance: str) -> VmSpec | None:
    for name in ("kvm", "fake"):
        driver = base.load(name)
        if known_spec(driver, instance) is not None and runs(driver, instance):
            return driver.present(instance)
    return None


def instance_start(*, spec: VmSpec, paused: bool) -> VmStatus:
    driver = base.load(spec.hypervisor)
    disks = open_disks(spec)
    try:
        return driver.start(spec, disks, paused=paused)
    except BaseException:
        close_disks(driver, spec)
        raise


def instance_stop(*, instance: str, hypervisor: str, timeout: float, force: bool, progress: Progress) -> None:
    driver = base.load(hypervisor)
    spec = known_spec(driver, instance)
    driver.stop(instance, seconds=0.0 if force else timeout, progress=progress)
    if spec is not None:
        close_disks(driver, spec)


def clear_dead() -> None:
    """At the start of the daemon: nothing else clears away guests that a power cut ended and that then were
    started on another node."""
    driver = base.load("kvm")
    for guest in driver.dead():
        try:
            driver.stop(guest, seconds=0.0, progress=lambda _fraction, _message: None)
        except Error as err:
            _log.warning("what is left of guest %s cannot be cleared away: %s", guest, err)


def instance_reset(*, instance: str, hypervisor: str) -> None:
    base.load(hypervisor).reset(instance)


def instance_pause(*, instance: str, hypervisor: str, paused: bool) -> None:
    base.load(hypervisor).pause(instance, paused=paused)


def instance_balloon(*, instance: str, hypervisor: str, memory: int) -> None:
    base.load(hypervisor).balloon(instance, memory=memory)


def instance_console(*, instance: str, hypervisor: str, name: str, host: str) -> Console:
    return base.load(hypervisor).console(instance, name=name, host=host)


def hypervisor_validate(*, hypervisor: str, hvparams: dict[str, Any]) -> None:
    base.load(hypervisor).validate(hvparams)


# --- disks of guests, for this module and migration ---

def open_disks(spec: VmSpec) -> dict[str, str]:
    """Paths by disk UUID; raises StaleOwner, and HypervisorError for a disk that the guest has left."""
    for item in spec.disks:
        exchanged.require_current(item.disk)
    found = disk.disks_open(disks=[item.disk for item in spec.disks], instance=spec.name,
                            owner_epoch=spec.owner_epoch)
    for item in spec.disks:  # the configuration names the disk that counts by now
        exchanged.forget(item.disk.uuid)
    return {item.disk.uuid: path for item, path in zip(spec.disks, found, strict=True)}


def close_disks(driver: Hypervisor, spec: VmSpec) -> None:
    """Give back what the guest used, unless it runs here."""
    if not runs(driver, spec.uuid):
        disk.give_back([item.disk for item in spec.disks], spec.name)


def runs(driver: Hypervisor, instance: str) -> bool:
    return any(status.uuid == instance and status.state != "user_down" for status in driver.list())


def known_spec(driver: Hypervisor, instance: str) -> VmSpec | None:
    try:
        return driver.spec(instance)
    except ConfigurationError as err:
        _log.warning("instance %s: %s", instance, err)
        return None
