# SPDX-License-Identifier: BSD-2-Clause
"""OP_GROUP_VERIFY_DISKS: which disks of a node group are missing, or not open although they should be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gantry.cmdlib import disk_look
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.disk_look import NodeDisks, Owned
from gantry.cmdlib.mirror_state import is_whole
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import NodeError
from gantry.objects.instance import Instance
from gantry.objects.plan import Action, Plan, Several, Step, Update
from gantry.opcodes.group import GroupVerifyDisks
from gantry.utils import clock
from gantry.utils.names import nice_key


@dataclass
class Found:
    """`bad_nodes`: reason by node name; `inactive`: instances that want activate-disks; `missing`: by instance, the
    [node name, path or VG/LV] of its disks that are not there, or cannot be looked at because the node does not
    answer.  `since`: for mirrored disks (UUID) that are whole at one end only since now, that time; 0 for those that
    are whole at both again.
    """

    bad_nodes: dict[str, str] = field(default_factory=dict)
    inactive: set[str] = field(default_factory=set)
    missing: dict[str, list[list[str]]] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)


class GroupVerifyDisksUnit(LogicalUnit[GroupVerifyDisks, Found], op=GroupVerifyDisks):
    """Result: [bad nodes, inactive, missing], see `Found`.  All that it changes is what is remembered of mirrors that
    are not whole.

    Without `is_strict` instances and nodes that are locked now are left out.
    """

    def locks(self, view: View) -> Locks:
        group = view.config.group(self.op.group_name)
        active = _active(view.config, group.uuid)
        nodes = {node.uuid for node in view.config.members_of(group.uuid)}
        nodes |= {node for instance in active for node in view.config.secondaries_of(instance)}
        return Locks(shared={"instance": frozenset(instance.name for instance in active),
                             "nodegroup": frozenset({group.uuid}), "node": frozenset(nodes)},
                     opportunistic=frozenset() if self.op.is_strict else frozenset({"instance", "node"}))

    async def check(self, view: View) -> Found:
        config, found = view.config, Found()
        instances = _active(config, config.group(self.op.group_name).uuid)
        if not self.op.is_strict:
            free, reach = view.locked("instance"), view.locked("node")
            instances = [item for item in instances if item.name in free and item.primary_node in reach]
        wanted = {node: owned for node, owned in disk_look.by_node(config, instances).items()
                  if not config.nodes[node].offline and (self.op.is_strict or node in view.locked("node"))}
        answers = await disk_look.look(view, wanted)
        for node in sorted(wanted, key=lambda uuid: nice_key(config.nodes[uuid].name)):
            _judge(config, node, wanted[node], answers[node], found)
        _remember(config, instances, answers, found)
        return found

    def plan(self, seen: Found) -> Plan:
        result = [seen.bad_nodes, sorted(seen.inactive, key=nice_key), seen.missing]
        changes: list[Action] = [Update(table="disks", uuid=uuid, fields={"degraded_since": since or None})
                                 for uuid, since in seen.since.items()]
        steps = (Step(title="", action=Several(actions=changes)),) if changes else ()
        return Plan(steps=steps, result=result)


def _active(config: Config, group: str) -> list[Instance]:
    """Instances of the group whose disks should be open, on nodes that are online."""
    return [instance for node in config.members_of(group) if not node.offline
            for instance in config.primaries_of(node.uuid) if instance.disks_active]


def _judge(config: Config, node: str, owned: Owned, answer: NodeDisks | NodeError, found: Found) -> None:
    """What one node says, or does not say."""
    name = config.nodes[node].name
    if isinstance(answer, NodeError):
        found.bad_nodes[name] = str(answer)
    for instance, disk in owned:
        if isinstance(answer, NodeError):
            gone = list(disk_look.places(disk, node))
        else:
            gone = answer.missing.get(disk.uuid, [])
        if gone:
            found.missing.setdefault(instance.name, []).extend([name, place] for place in gone)
        elif not isinstance(answer, NodeError) and disk_look.wants_activation(
                disk, answer.states[disk.uuid], primary=node == instance.primary_node,
                peer_online=not any(config.nodes[uuid].offline for uuid in disk.nodes)):
            found.inactive.add(instance.name)


def _remember(config: Config, instances: Iterable[Instance], answers: Mapping[str, NodeDisks | NodeError],
              found: Found) -> None:
    """Which mirrored disks became whole at one end only, or at both again, as their primary nodes see them."""
    now = clock.epoch()
    for instance in instances:
        answer = answers.get(instance.primary_node)
        if not isinstance(answer, NodeDisks):
            continue
        for disk in config.disks_of(instance):
            mirror = answer.states[disk.uuid].get("mirror")
            if disk.drbd is not None and mirror is not None:
                whole = is_whole(mirror["status"])
                if whole is not None and whole != (disk.degraded_since is None):
                    found.since[disk.uuid] = 0.0 if whole else now
