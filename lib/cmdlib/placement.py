# SPDX-License-Identifier: BSD-2-Clause
"""Which node: the one that was named, or the one an allocator chooses."""

from gantry.cmdlib.checks import target
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import BadEnvironment, WrongInput
from gantry.iallocator import roomiest
from gantry.objects.cluster import Node
from gantry.objects.instance import Instance
from gantry.objects.node import NodeInfo
from gantry.rpc import calls

NO_CHOICE = ("No iallocator or node given and no cluster-wide default iallocator found; please specify either an "
             "iallocator or a node, or set a cluster-wide default iallocator")


def named(config: Config, node: str | None, iallocator: str | None) -> str:
    """The node's name as given; raises WrongInput when there is none and no allocator could choose one."""
    if node is not None and iallocator is not None:
        raise WrongInput(detail="Do not specify both, iallocator and node")
    if node is not None:
        return node
    allocator = config.cluster.default_iallocator if iallocator in (None, ".") else iallocator
    if not allocator:
        raise WrongInput(detail=NO_CHOICE)
    raise BadEnvironment(detail=f"Can't compute nodes using iallocator '{allocator}': no allocator of this name is "
                                "installed on the master; name the node instead")


async def move_target(view: View, instance: Instance, node: str | None, iallocator: str | None) -> Node:
    """Where an instance whose disks every node can open is to go: the node named, else the roomiest one."""
    config = view.config
    if node is None and iallocator in (None, ".") and not config.cluster.default_iallocator:
        answers = await view.nodes.call_many(roomiest.may_take(config, instance), calls.node_info, storage=[])
        infos = {uuid: answer for uuid, answer in answers.items() if isinstance(answer, NodeInfo)}
        found = roomiest.choose(config, instance, infos)
        view.say(f" - INFO: Selected node {found.name} for instance {instance.name}")
        return found
    found = target(config, named(config, node, iallocator))
    if found.uuid == instance.primary_node:
        raise WrongInput(detail=f"Cannot migrate or fail over instance {instance.name} to its primary node "
                                f"{found.name}")
    return found
