# SPDX-License-Identifier: BSD-2-Clause
"""OP_GROUP_VERIFY_DISKS: which disks of a node group are missing, or not open although they should be."""

from dataclasses import dataclass, field

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import Error
from gantry.objects.instance import Disk, Instance
from gantry.objects.plan import Plan
from gantry.opcodes.group import GroupVerifyDisks
from gantry.rpc import calls
from gantry.utils.names import nice_key


@dataclass
class Found:
    """`bad_nodes`: reason by node name; `inactive`: instances that want activate-disks; `missing`: by instance, the
    [node name, path] of its disks that are not there, or cannot be looked at because the node does not answer.
    """

    bad_nodes: dict[str, str] = field(default_factory=dict)
    inactive: list[str] = field(default_factory=list)
    missing: dict[str, list[list[str]]] = field(default_factory=dict)


class GroupVerifyDisksUnit(LogicalUnit[GroupVerifyDisks, Found], op=GroupVerifyDisks):
    """Result: [bad nodes, inactive, missing], see `Found`.  It only looks, so all of it is done in `check`.

    Without `is_strict` instances and nodes that are locked now are left out.
    """

    def locks(self, view: View) -> Locks:
        group = view.config.group(self.op.group_name)
        nodes = frozenset(node.uuid for node in view.config.members_of(group.uuid))
        names = frozenset(instance.name for instance in _active(view.config, group.uuid))
        return Locks(shared={"instance": names, "nodegroup": frozenset({group.uuid}), "node": nodes},
                     opportunistic=frozenset() if self.op.is_strict else frozenset({"instance", "node"}))

    async def check(self, view: View) -> Found:
        config, found = view.config, Found()
        by_node: dict[str, list[tuple[Instance, Disk]]] = {}
        for instance in _active(config, config.group(self.op.group_name).uuid):
            if self.op.is_strict or (instance.name in view.locked("instance")
                                     and instance.primary_node in view.locked("node")):
                for disk in config.disks_of(instance):
                    by_node.setdefault(instance.primary_node, []).append((instance, disk))
        for uuid, owned in sorted(by_node.items(), key=lambda item: nice_key(config.nodes[item[0]].name)):
            await _look(view, uuid, owned, found)
        return found

    def plan(self, seen: Found) -> Plan:
        return Plan(result=[seen.bad_nodes, sorted(seen.inactive, key=nice_key), seen.missing])


def _active(config: Config, group: str) -> list[Instance]:
    """Instances of the group whose disks should be open, on nodes that are online."""
    return [instance for node in config.members_of(group) if not node.offline
            for instance in config.primaries_of(node.uuid) if instance.disks_active]


async def _look(view: View, uuid: str, owned: list[tuple[Instance, Disk]], found: Found) -> None:
    name = view.config.nodes[uuid].name
    try:
        states = await view.nodes.call(uuid, calls.disks_status, disks=[disk for _, disk in owned])
    except Error as err:
        found.bad_nodes[name] = str(err)
        for instance, disk in owned:
            place = disk.file.path if disk.file is not None else disk.uuid
            found.missing.setdefault(instance.name, []).append([name, place])
        return
    for (instance, _), state in zip(owned, states, strict=True):
        if not state["exists"]:
            found.missing.setdefault(instance.name, []).append([name, state["path"]])
        elif not state["open"] and instance.name not in found.inactive:
            found.inactive.append(instance.name)
