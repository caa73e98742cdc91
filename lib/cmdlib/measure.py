# SPDX-License-Identifier: BSD-2-Clause
"""How large disks really are.

A volume is rounded up to whole extents, and a guest uses all of it: a copy of the recorded size would cut it off.
"""

from dataclasses import replace

from gantry.cmdlib.steps import Guest
from gantry.cmdlib.view import View
from gantry.constants import DiskTemplate
from gantry.errors import WrongState
from gantry.rpc import calls


async def measured(view: View, guest: Guest) -> Guest:
    """The guest with its plain disks as large as they are on its primary node; raises WrongState when one is lost."""
    if not any(disk.dev_type is DiskTemplate.PLAIN for disk in guest.disks):
        return guest
    states = await view.nodes.call(guest.node.uuid, calls.disks_status, disks=list(guest.disks))
    lost = next((index for index, state in enumerate(states) if not state["exists"]), None)
    if lost is not None:
        raise WrongState(detail=f"disk/{lost} of instance {guest.name} is not there on node {guest.place}; see "
                                "gnt-instance recreate-disks")
    return replace(guest, disks=tuple(
        replace(disk, size=max(disk.size, state["size"])) if disk.dev_type is DiskTemplate.PLAIN else disk
        for disk, state in zip(guest.disks, states, strict=True)))
