# SPDX-License-Identifier: BSD-2-Clause
"""What units of instances look at before they decide.  Each refuses with a PrereqError, or answers."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import NODED_PORT, AdminState
from gantry.errors import (
    BadEnvironment,
    Error,
    NodeError,
    NodeUnreachable,
    NoResources,
    NotFound,
    NotUnique,
    WrongInput,
    WrongState,
)
from gantry.objects.base import Params
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk, Instance
from gantry.objects.ipolicy import InstanceSpec, check_instance
from gantry.objects.node import NodeInfo
from gantry.objects.vm import VmStatus
from gantry.rpc import calls
from gantry.utils.names import is_host_name
from gantry.utils.resolver import resolve

IP_CHECK_SECONDS = 2.0

# --- nodes -------------------------------------------------------------------------------------------------


def online(config: Config, uuid: str) -> Node:
    """The node, unless it is marked offline."""
    node = config.nodes[uuid]
    if node.offline:
        raise WrongState(detail=f"Can't use offline node '{node.name}'")
    return node


def target(config: Config, name: str) -> Node:
    """A node that may be given another instance; raises NotFound or WrongState."""
    node = online(config, config.node(name).uuid)
    if node.drained:
        raise WrongState(detail=f"Can't use drained node '{node.name}'")
    if not node.vm_capable:
        raise WrongState(detail=f"Can't use non-vm_capable node '{node.name}'")
    return node


async def node_info(view: View, node: str, *, storage: Sequence[Sequence[str]] = ()) -> NodeInfo:
    found: NodeInfo = await view.nodes.call(node, calls.node_info, storage=[list(unit) for unit in storage])
    return found


async def memory(view: View, node: str, wanted: int, what: str) -> None:
    """Refuse when `wanted` MiB are not free on the node; `what` tells what they are for."""
    free = (await node_info(view, node)).memory_free
    if free < wanted:
        raise NoResources(detail=f"Not enough memory on node {view.config.nodes[node].name} for {what}: needed "
                                 f"{wanted} MiB, available {free} MiB")


# --- the guest ---------------------------------------------------------------------------------------------


def admin_state(instance: Instance, allowed: Collection[AdminState], what: str) -> None:
    """`what`: as in "Instance 'X' is marked to be up, cannot reinstall"."""
    if instance.admin_state not in allowed:
        raise WrongState(detail=f"Instance '{instance.name}' is marked to be {instance.admin_state}, {what}")


async def status(view: View, instance: Instance, node: str = "") -> VmStatus | None:
    """The guest as it runs on the node (its primary if empty), None when it does not."""
    found: list[VmStatus] = await view.nodes.call(node or instance.primary_node, calls.instances_info,
                                                  hypervisors=[instance.hypervisor])
    return next((guest for guest in found if guest.uuid == instance.uuid and guest.state != "user_down"), None)


async def not_running(view: View, instance: Instance, what: str) -> None:
    """Refuse when the guest runs, or when its node cannot tell."""
    node = view.config.nodes[instance.primary_node]
    if node.offline:
        raise WrongState(detail=f"Primary node {node.name} of instance {instance.name} is offline, {what}")
    if await status(view, instance):
        raise WrongState(detail=f"Instance {instance.name} is running, {what}")


async def elsewhere(view: View, instance: Instance, nodes: Iterable[str]) -> dict[str, VmStatus]:
    """On which of these nodes the guest runs; those that do not answer are left out."""
    answers = await view.nodes.call_many(nodes, calls.instances_info, hypervisors=[instance.hypervisor])
    found: dict[str, VmStatus] = {}
    for node, guests in answers.items():
        if isinstance(guests, Error):
            view.warn(f"node {view.config.nodes[node].name} cannot tell which guests it runs: {guests}")
            continue
        here = next((guest for guest in guests if guest.uuid == instance.uuid), None)
        if here is not None:
            found[node] = here
    return found


# --- names -------------------------------------------------------------------------------------------------


async def name(view: View, wanted: str, *, name_check: bool, ip_check: bool) -> tuple[str, str | None]:
    """(name to be recorded, its address or None) for a new instance name, which is reserved for this job."""
    if not is_host_name(wanted):
        raise WrongInput(detail=f"Invalid instance name '{wanted}': letters, digits, '-', '_' and '.' are allowed")
    if ip_check and not name_check:
        raise WrongInput(detail="Cannot do IP address check without a name check")
    found, address = wanted.lower(), None
    if name_check:
        found, address = await asyncio.to_thread(resolve, found)
    if view.config.name_taken("instances", found):
        raise NotUnique(detail=f"Instance '{found}' is already in the cluster")
    if found in view.reservations.taken("name"):
        raise NotUnique(detail=f"Instance name '{found}' is already taken by another job")
    if address and ip_check and await _answers(address):
        raise NotUnique(detail=f"IP address {address} of instance {found} already in use")
    view.reservations.reserve("name", found)
    return found, address


async def _answers(address: str) -> bool:
    """Whether a machine has this address: it takes or refuses a connection."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, NODED_PORT), IP_CHECK_SECONDS)
    except ConnectionRefusedError:
        return True
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    return True


# --- parameters --------------------------------------------------------------------------------------------


async def hypervisor_on(view: View, nodes: Iterable[str], hypervisor: str, hvparams: Params) -> None:
    """Refuse parameters that one of the nodes cannot run a guest with."""
    await _ask_all(view, nodes, calls.hypervisor_validate, "Hypervisor parameter validation failed",
                   hypervisor=hypervisor, hvparams=hvparams)


async def os_on(view: View, nodes: Iterable[str], os: str, params: Params, *, force_variant: bool) -> None:
    """Refuse when the OS or its variant is missing on one of the nodes, or its parameters are not accepted."""
    stem = os.split("+", 1)[0]
    if {os, stem} & set(view.config.cluster.blacklisted_os):
        raise WrongInput(detail=f"OS '{os}' is blacklisted in this cluster")
    await _ask_all(view, nodes, calls.os_verify, f"OS '{os}'", os=os,
                   params={key: str(value) for key, value in params.items()}, force_variant=force_variant)


async def _ask_all(view: View, nodes: Iterable[str], call: Any, what: str, **args: Any) -> None:
    answers = await view.nodes.call_many(nodes, call, **args)
    for node, answer in answers.items():
        name = view.config.nodes[node].name
        reason = str(answer).removeprefix(f"node {name}: ")
        if isinstance(answer, NotFound):
            raise WrongInput(detail=f"{what} on node {name}: {reason}")
        if isinstance(answer, NodeUnreachable):
            raise BadEnvironment(detail=f"{what} on node {name}: it does not answer ({answer})")
        if isinstance(answer, Error):
            raise WrongInput(detail=f"{what} on node {name}: {reason}")


def policy(view: View, instance: Instance, disks: Sequence[Disk], *, ignore: bool, node: str = "") -> None:
    """Refuse an instance that the policy of its group does not allow, or warn when that is to be ignored."""
    config = view.config
    group = config.groups[config.nodes[node or instance.primary_node].group]
    be = effective.beparams(config, instance)
    problems = check_instance(effective.ipolicy(config, group), InstanceSpec(
        memory=be["maxmem"], vcpus=be["vcpus"], disks=tuple(disk.size for disk in disks), nics=len(instance.nics),
        spindle_use=be["spindle_use"], disk_template=instance.disk_template))
    if not problems:
        return
    text = f"Instance allocation to group {group.name} violates policy: {'; '.join(problems)}"
    if not ignore:
        raise WrongInput(detail=text)
    view.warn(text)


def unreachable(view: View, guest_name: str, node: str, err: NodeError, *, used: bool) -> None:
    """A primary node that does not answer is taken for dead, unless the guest's disks say that it runs on."""
    name = view.config.nodes[node].name
    if used:
        raise WrongState(detail=f"Could not shutdown instance {guest_name} on node {name}, which does not answer "
                                f"({err}); its disks are in use, so the guest runs on there. End it there first, or, "
                                f"when the node is surely dead, mark it offline (gnt-node modify -O yes {name})")
    view.warn(f"Could not shutdown instance {guest_name} on node {name}: {err}. Node {name} is taken for dead; when it "
              "comes back it cannot open the instance's disks any more")
