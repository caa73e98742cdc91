# SPDX-License-Identifier: BSD-2-Clause
"""A node for an instance whose disks every node can open, where the operator names none and no allocator is set.

Pure: the node with the most memory left, so that guests of a dead node spread out.
"""

from collections.abc import Mapping

from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import AdminState
from gantry.errors import NoResources
from gantry.objects.cluster import Node
from gantry.objects.instance import Instance
from gantry.objects.node import NodeInfo
from gantry.utils.names import nice_key


def choose(config: Config, instance: Instance, infos: Mapping[str, NodeInfo]) -> Node:
    """Of the nodes in `infos` (UUIDs of those that answered) the one with the most free memory, in the group
    of the instance; what guests may still take of it counts as taken.  Raises NoResources.
    """
    group = config.nodes[instance.primary_node].group
    needed = effective.beparams(config, instance)["maxmem"] if instance.admin_state is AdminState.UP else 0
    fits = [(free, node) for uuid, info in infos.items()
            if (node := config.nodes[uuid]).group == group and uuid != instance.primary_node and _may_take(node)
            and (free := info.memory_free) >= needed]
    if not fits:
        raise NoResources(detail=f"No other node of the group can take instance {instance.name} ({needed} MiB of "
                                 "memory); name one with --target-node, or see gnt-node list")
    return min(fits, key=lambda item: (-(item[0] - _promised(config, item[1])), nice_key(item[1].name)))[1]


def may_take(config: Config, instance: Instance) -> tuple[str, ...]:
    """UUIDs of the nodes worth asking."""
    group = config.nodes[instance.primary_node].group
    return tuple(node.uuid for node in config.members_of(group)
                 if node.uuid != instance.primary_node and _may_take(node))


def _may_take(node: Node) -> bool:
    return node.vm_capable and not node.offline and not node.drained


def _promised(config: Config, node: Node) -> int:
    """MiB of the guests that are to run there: on nodes that share one machine, all that tells them apart."""
    return sum(effective.beparams(config, instance)["maxmem"] for instance in config.primaries_of(node.uuid)
               if instance.admin_state is AdminState.UP)
