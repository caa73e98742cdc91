# SPDX-License-Identifier: BSD-2-Clause
"""Which node: the one that was named, or the one an allocator chooses."""

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gantry.cmdlib.checks import target
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import NodeError, NoResources, WrongInput
from gantry.iallocator import request, roomiest, run
from gantry.objects.cluster import Node
from gantry.objects.instance import Instance
from gantry.objects.node import NodeInfo
from gantry.rpc import calls

PLACE = "place"
"""The kind of reservations that keep what allocators answered."""
NO_CHOICE = ("No iallocator or node given and no cluster-wide default iallocator found; please specify either an "
             "iallocator or a node, or set a cluster-wide default iallocator")


def _allocator(config: Config, node: str | None, iallocator: str | None) -> str:
    """The allocator to ask; raises WrongInput when there is none, or a node was named as well."""
    if node is not None and iallocator is not None:
        raise WrongInput(detail="Do not specify both, iallocator and node")
    allocator = config.cluster.default_iallocator if iallocator in (None, ".") else iallocator
    if not allocator:
        raise WrongInput(detail=NO_CHOICE)
    return allocator


async def for_new(view: View, node: str | None, iallocator: str | None, wanted: request.Wanted) -> list[Node]:
    """The nodes of a new instance, the primary one first: the one named, or those an allocator chooses."""
    config = view.config
    if node is not None and iallocator is None:
        return [target(config, node)]
    allocator = _allocator(config, node, iallocator)
    names = await _ask(view, allocator, request.allocate(wanted))
    view.say(f" - INFO: Selected nodes for instance {wanted.name} via iallocator {allocator}: {', '.join(names)}")
    return [target(config, name) for name in names]


def pair(view: View, primary: str, secondary: str | None) -> list[Node]:
    """The two nodes that were named for mirrored disks."""
    config = view.config
    if secondary is None:
        raise WrongInput(detail="The networked disk templates need a mirror node: name it with -n PRIMARY:SECONDARY")
    nodes = [target(config, primary), target(config, secondary)]
    if nodes[0].uuid == nodes[1].uuid:
        raise WrongInput(detail="The secondary node cannot be the primary node")
    if nodes[0].group != nodes[1].group:
        view.warn("The primary and secondary nodes are in two different node groups; the disk parameters from the "
                  "first disk's node group will be used")
    return nodes


async def _ask(view: View, allocator: str, wanted: request.Json) -> list[str]:
    """The names of the nodes an allocator chooses; why it chooses none goes to the job's log.

    One job at a time is answered, and the next one is told: jobs that run together do not all take the same place.
    """
    async with _turns():
        names = await _answer(view, allocator, wanted)
        view.reservations.reserve(PLACE, request.promise(wanted, names))
        return names


@lru_cache(maxsize=1)
def _turns_of(_loop: asyncio.AbstractEventLoop) -> asyncio.Lock:
    return asyncio.Lock()


def _turns() -> asyncio.Lock:
    return _turns_of(asyncio.get_running_loop())


async def _answer(view: View, allocator: str, wanted: request.Json) -> list[str]:
    about = await message(view, wanted)
    try:
        return (await run.nodes(allocator, _params(view.config, allocator), about))[0]
    except NoResources as refusal:
        _say_why(view, refusal)
        raise


async def proposal(view: View, iallocator: str | None, wanted: request.Json, *,
                   options: Mapping[str, Any] | None = None) -> Any:
    """What an allocator answers to a request whose result is not a list of nodes; raises NoResources.

    `options` are its own, beside those that the cluster has for it.
    """
    allocator = _allocator(view.config, None, iallocator)
    async with _turns():
        about = await message(view, wanted)
        try:
            return await run.result(allocator, {**_params(view.config, allocator), **(options or {})}, about)
        except NoResources as refusal:
            _say_why(view, refusal)
            raise


def _params(config: Config, allocator: str) -> Mapping[str, Any]:
    cluster = config.cluster
    return cluster.default_iallocator_params if allocator == cluster.default_iallocator else {}


def _say_why(view: View, refusal: NoResources) -> None:
    for line in run.reasons(refusal):
        view.say(f"   {line}")


async def rehearsal(view: View, iallocator: str | None, wanted: request.Json) -> request.Json:
    """The reply of an allocator, be it a refusal; no place is kept."""
    allocator = _allocator(view.config, None, iallocator)
    return await run.ask(allocator, _params(view.config, allocator), await message(view, wanted))


async def message(view: View, wanted: request.Json) -> request.Json:
    """What an allocator is told: the cluster as it is now, and the request."""
    config, cluster = view.config, view.config.cluster
    alive = [node.uuid for node in config.nodes.values() if node.vm_capable and not node.offline]
    unit = request.storage_unit(cluster)
    infos, guests = await asyncio.gather(
        view.nodes.call_many(alive, calls.node_info, storage=[] if unit is None else [list(unit)]),
        view.nodes.call_many(alive, calls.instances_info, hypervisors=[*cluster.enabled_hypervisors]))
    live = request.Live(
        nodes={uuid: info for uuid, info in infos.items() if isinstance(info, NodeInfo)},
        guests={guest.uuid: guest.memory for found in guests.values() if not isinstance(found, NodeError)
                for guest in found})
    return request.message(config, live, wanted, view.reservations.taken(PLACE))


async def move_target(view: View, instance: Instance, node: str | None, iallocator: str | None) -> Node:
    """Where an instance whose disks every node can open is to go: the node named, else the roomiest one."""
    config = view.config
    if node is None and iallocator in (None, ".") and not config.cluster.default_iallocator:
        answers = await view.nodes.call_many(roomiest.may_take(config, instance), calls.node_info, storage=[])
        infos = {uuid: answer for uuid, answer in answers.items() if isinstance(answer, NodeInfo)}
        found = roomiest.choose(config, instance, infos)
        view.say(f" - INFO: Selected node {found.name} for instance {instance.name}")
        return found
    if node is not None and iallocator is None:
        found = target(config, node)
    else:
        allocator = _allocator(config, node, iallocator)
        names = await _ask(view, allocator, request.relocate(config, instance))
        view.say(f" - INFO: Selected nodes for instance {instance.name} via iallocator {allocator}: {', '.join(names)}")
        found = target(config, names[0])
    if found.uuid == instance.primary_node:
        raise WrongInput(detail=f"Cannot migrate or fail over instance {instance.name} to its primary node "
                                f"{found.name}")
    return found


async def new_secondary(view: View, instance: Instance, node: str | None, iallocator: str | None) -> Node:
    """Where the mirrors of an instance are to go: the node named, or the one an allocator chooses."""
    if node is not None:
        return target(view.config, node)
    allocator = _allocator(view.config, node, iallocator)
    names = await _ask(view, allocator, request.relocate(view.config, instance))
    view.say(f" - INFO: Selected new secondary node {names[0]} for instance {instance.name} via iallocator {allocator}")
    return target(view.config, names[0])


async def first_secondary(view: View, instance: Instance, node: str | None, iallocator: str | None) -> Node:
    """Where the mirrors of an instance that has none yet are to be: the node named, or the one an allocator chooses."""
    if node is not None:
        return target(view.config, node)
    found = await proposal(view, iallocator, request.allocate_secondary(instance))
    view.say(f" - INFO: Selected secondary node {found} for instance {instance.name} via iallocator")
    return target(view.config, str(found))
