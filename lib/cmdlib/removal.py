# SPDX-License-Identifier: BSD-2-Clause
"""Taking an instance that does not run any more out of the cluster.

The record goes last: whatever interrupts the removal, a second one finds what is left.
"""

from collections.abc import Collection, Sequence

from gantry.cmdlib import disks, steps
from gantry.cmdlib.view import View
from gantry.constants import AdminState
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk
from gantry.objects.plan import Step

Remover = tuple[int, Disk, tuple[Node, ...]]
"""Index of a disk, the disk, and the nodes that can remove it."""


def removers(view: View, guest: steps.Guest, there: Collection[str]) -> tuple[Remover, ...]:
    """`there`: UUIDs of the nodes that can be asked; what is left on others is a warning."""
    config, found = view.config, []
    for index, disk in enumerate(guest.disks):
        nodes = disks.removers(config, guest.instance, disk)
        for uuid in dict.fromkeys((*disk.nodes, *nodes)):
            if disk.nodes and uuid not in there:
                view.warn(f"{disks.shown(index, disk)} of instance {guest.name} is left on node "
                          f"{config.nodes[uuid].name}, which cannot be asked to remove it")
        found.append((index, disk, tuple(config.nodes[uuid] for uuid in nodes if not disk.nodes or uuid in there)))
    return tuple(found)


def steps_for(guest: steps.Guest, found: Sequence[Remover], *, ignore: bool, reachable: bool = True) -> list[Step]:
    """After its end.  `reachable`: the primary node can be asked; `ignore`: what fails on nodes is a warning."""
    plan = list(steps.remember(guest, f"remembering that instance {guest.name} is not to run",
                               admin_state=AdminState.DOWN, disks_active=False))
    if reachable:
        plan += steps.close_disks(guest, may_fail=ignore)
    plan += [steps.remove_disk_on(guest, index, disk, nodes, may_fail=ignore) for index, disk, nodes in found if nodes]
    plan.append(Step(title=f"* removing instance {guest.name} out of cluster config",
                     action=steps.delete_all(guest.instance, guest.disks)))
    return plan
