# SPDX-License-Identifier: BSD-2-Clause
"""Moving a running guest from this node, or to it."""

from gantry.backend.instance import close_disks, known_spec, open_disks
from gantry.hypervisor import base
from gantry.hypervisor.base import Progress
from gantry.objects.vm import DiskTarget, MigrationStatus, MigrationTarget, VmSpec


def migration_accept(*, spec: VmSpec, listen: str) -> MigrationTarget:
    driver = base.load(spec.hypervisor)
    disks = open_disks(spec)
    try:
        return driver.accept(spec, disks, listen=listen)
    except BaseException:
        close_disks(driver, spec)
        raise


def migration_receive_disks(*, spec: VmSpec, listen: str) -> DiskTarget:
    return base.load(spec.hypervisor).receive_disks(spec.uuid, listen=listen)


def migration_mirror_disks(*, instance: str, hypervisor: str, target: DiskTarget, bandwidth: int,
                           progress: Progress) -> None:
    base.load(hypervisor).mirror_disks(instance, target, bandwidth=bandwidth, progress=progress)


def migration_send(*, instance: str, hypervisor: str, target: MigrationTarget, live: bool, bandwidth: int,
                   downtime: int, progress: Progress) -> MigrationStatus:
    return base.load(hypervisor).send(instance, target, live=live, bandwidth=bandwidth, downtime=downtime,
                                      progress=progress)


def migration_finish_target(*, spec: VmSpec, success: bool) -> bool:
    driver = base.load(spec.hypervisor)
    arrived = driver.finish_target(spec, success=success)
    if not arrived and driver.spec(spec.uuid) is None:
        close_disks(driver, spec)
    return arrived


def migration_finish_source(*, instance: str, hypervisor: str, success: bool) -> None:
    driver = base.load(hypervisor)
    spec = known_spec(driver, instance)
    driver.finish_source(instance, success=success)
    if success and spec is not None:
        close_disks(driver, spec)
