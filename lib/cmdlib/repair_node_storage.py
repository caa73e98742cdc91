# SPDX-License-Identifier: BSD-2-Clause
"""OP_REPAIR_NODE_STORAGE: take lost physical volumes out of a volume group."""

from gantry.cmdlib import disk_look
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.checks import online
from gantry.cmdlib.view import View
from gantry.errors import NodeError, WrongInput, WrongState
from gantry.objects.cluster import Node
from gantry.objects.plan import Call, Plan, Step
from gantry.opcodes.node import RepairNodeStorage


class RepairNodeStorageUnit(LogicalUnit[RepairNodeStorage, Node], op=RepairNodeStorage):
    """Refused while the node has the only whole copy of a mirrored disk that is in use, unless that is ignored."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"node": frozenset({view.config.node(self.op.node_name).uuid})})

    async def check(self, view: View) -> Node:
        op, config = self.op, view.config
        if op.storage_type != "lvm-vg":
            raise WrongInput(detail=f"Storage units of type '{op.storage_type}' can not be repaired")
        if not op.name:
            raise WrongInput(detail="The name of the volume group is missing")
        node = online(config, config.node(op.node_name).uuid)
        for text in await _only_copies(view, node):
            if not op.ignore_consistency:
                raise WrongState(detail=f"{text}; repair the mirror first, or use --ignore-consistency")
            view.warn(text)
        return node

    def plan(self, seen: Node) -> Plan:
        return Plan(steps=(Step(title=f"Repairing storage unit '{self.op.name}' on {seen.name} ...", weight=2.0,
                                action=Call(node=seen.uuid, call="storage_repair", args={"vg": self.op.name})),))


async def _only_copies(view: View, node: Node) -> list[str]:
    """Mirrored disks in use whose other end is not known to be whole."""
    config = view.config
    guests = [guest for guest in (*config.primaries_of(node.uuid), *config.secondaries_at(node.uuid))
              if guest.disks_active]
    wanted = {uuid: [(guest, disk) for guest, disk in owned if disk.drbd is not None and node.uuid in disk.nodes]
              for uuid, owned in disk_look.by_node(config, guests).items()
              if uuid != node.uuid and not config.nodes[uuid].offline}
    looks = await disk_look.look(view, {uuid: owned for uuid, owned in wanted.items() if owned})
    found = []
    for guest in guests:
        for index, disk in enumerate(config.disks_of(guest)):
            others = [uuid for uuid in disk.nodes if uuid != node.uuid] if disk.drbd is not None else []
            found += [f"disk/{index} of instance {guest.name} is not whole on node {config.nodes[uuid].name}"
                      for uuid in others if not _whole(looks.get(uuid), disk.uuid)]
    return found


def _whole(look: disk_look.NodeDisks | NodeError | None, disk: str) -> bool:
    if look is None or isinstance(look, NodeError):
        return False
    mirror = look.states.get(disk, {}).get("mirror") or {}
    connected = mirror.get("status") in ("ok", "sync")
    return bool(mirror.get("disk") == "UpToDate" and (connected or mirror.get("role") == "Primary"))
