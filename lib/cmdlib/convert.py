# SPDX-License-Identifier: BSD-2-Clause
"""Another disk template for an instance: what is wanted, whether it can be, and what the disks will be.

The disks keep their UUIDs, names and slots; only where they lie changes.  The plans are in `convert_plan`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gantry.cmdlib import checks, disks, hookenv, hotplug, measure, mirror, mirror_state, placement, steps, vmspec
from gantry.cmdlib.base import Hooks, Locks
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.constants import AdminState, DiskTemplate
from gantry.errors import WrongInput, WrongState
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk, LvmLocation
from gantry.objects.vm import DeviceChange, VmDisk
from gantry.opcodes.instance import InstanceSetParams
from gantry.utils import clock

CONVERTIBLE = disks.FILE_TEMPLATES | disks.LVM_TEMPLATES
PLAIN, DRBD = DiskTemplate.PLAIN, DiskTemplate.DRBD
WHAT = "cannot change disk template"
_GOES_ALONE = ("nics", "disks", "beparams", "hvparams", "osparams", "osparams_private", "os_name", "runtime_mem",
               "pnode", "offline")


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """`guest` has the disks as they are, `new` as they will be, both as nodes are told of them, and as large as they
    are; `sizes` are those that are recorded.

    `wait`: until new mirrors are in sync.  `live`: the guest runs and goes on running.
    """

    guest: steps.Guest
    new: steps.Guest
    sizes: tuple[int, ...]
    wipe: bool
    wait: bool
    live: bool
    hooks: Hooks

    @property
    def old_template(self) -> DiskTemplate:
        return self.guest.instance.disk_template

    @property
    def template(self) -> DiskTemplate:
        return self.new.instance.disk_template


def locks(view: View, op: InstanceSetParams) -> Locks:
    """The instance and its nodes, and the one that is to be its secondary; or all of the group for an allocator."""
    config = view.config
    instance = config.instance(op.instance_name)
    group = config.nodes[instance.primary_node].group
    nodes = {instance.primary_node, *config.secondaries_of(instance)}
    if op.remote_node is not None:
        nodes.add(config.node(op.remote_node).uuid)
    elif op.disk_template == DRBD:
        nodes |= {node.uuid for node in config.members_of(group)}
    found = frozenset(nodes)
    return Locks(exclusive={"instance": frozenset({instance.name}), "node": found, "node-res": found},
                 shared={"nodegroup": frozenset({group})})


async def check(view: View, op: InstanceSetParams) -> Conversion:
    config = view.config
    guest = steps.guest_of(config, config.instance(op.instance_name))
    template = _template(config, op, guest)
    checks.online(config, guest.node.uuid)
    live = await _state(view, op, guest)
    if not live and any(disk.dev_type is not guest.instance.disk_template for disk in guest.disks):
        raise WrongState(detail=f"An earlier conversion of instance {guest.name} was broken off, its disks are of "
                                "several templates; start it (gnt-instance startup --force) and convert it with --live")
    guest = await measure.measured(view, await mirror.answering(view, guest))
    if guest.mirrored and not guest.peers:
        view.warn(f"The old volumes on the secondary node of instance {guest.name} stay there; when it is back, "
                  "gnt-cluster verify names them and they can be removed")
    if guest.mirrored and template is PLAIN and not live:
        await _require_newest(view, guest)
    secondary = await _secondary(view, op, guest, template)
    nodes = [guest.node, *([secondary] if secondary is not None else [])]
    new = _converted(view, op, guest, template, nodes, in_place=not live)
    checks.policy(view, new.instance, new.disks, ignore=op.ignore_ipolicy)
    await disks.require_room(view, _room(config, guest, new))
    if live:
        await _require_exchange(view, guest, new)
    env = hookenv.instance_env(config, guest.instance, guest.disks) | hookenv.texts({"NEW_DISK_TEMPLATE": template})
    sizes = tuple(disk.size for disk in config.disks_of(guest.instance))
    return Conversion(
        guest=guest, new=new, sizes=sizes, live=live, wait=op.wait_for_sync, wipe=config.cluster.prealloc_wipe_disks,
        hooks=hookenv.hooks(config, "instance-modify", env, of=guest.instance, pre=(
            *hookenv.nodes_of(config, guest.instance), *(node.uuid for node in nodes))))


# --- the request ---------------------------------------------------------------------------------------------


def _template(config: Config, op: InstanceSetParams, guest: steps.Guest) -> DiskTemplate:
    template, old = DiskTemplate(op.disk_template or ""), guest.instance.disk_template
    if any(getattr(op, name) for name in _GOES_ALONE) or op.offline is not None:
        raise WrongInput(detail="A change of the disk template goes alone; make other changes with an operation of "
                                "their own")
    if template is old:
        raise WrongInput(detail=f"Instance {guest.name} already has disk template {template}")
    bad = next((name for name in (old, template) if name not in CONVERTIBLE), None)
    if bad is not None:
        raise WrongInput(detail=f"Conversion from disk template {old} to {template} is not possible: {bad} cannot be "
                                f"converted, {', '.join(sorted(CONVERTIBLE))} can")
    enabled = config.cluster.enabled_disk_templates
    if template not in enabled:
        raise WrongInput(detail=f"Disk template '{template}' is not enabled in cluster. Enabled disk templates are: "
                                f"{', '.join(enabled)}")
    if not guest.disks:
        raise WrongInput(detail=f"Instance {guest.name} has no disks to convert")
    if template is not DRBD and (op.remote_node is not None or op.iallocator is not None):
        raise WrongInput(detail=f"A node or an allocator is only for disk template drbd, not for {template}")
    return template


async def _state(view: View, op: InstanceSetParams, guest: steps.Guest) -> bool:
    """Whether the guest runs, and is to go on running; refused unless that is asked for."""
    if op.live:
        if await checks.status(view, guest.instance) is None:
            raise WrongState(detail=f"Instance {guest.name} does not run, so there is nothing to convert live; do it "
                                    "without --live")
        return True
    what = f"{WHAT} (stop it, or give --live to convert it while it runs)"
    checks.admin_state(guest.instance, (AdminState.DOWN,), what)
    await checks.not_running(view, guest.instance, what)
    return False


async def _secondary(view: View, op: InstanceSetParams, guest: steps.Guest, template: DiskTemplate) -> Node | None:
    if template is not DRBD:
        return None
    if op.remote_node is None and op.iallocator is None:
        raise WrongInput(detail="Disk template drbd needs a secondary node: name it with -n, or give an allocator with "
                                "-I")
    node = await placement.first_secondary(view, guest.instance, op.remote_node, op.iallocator)
    if node.uuid == guest.node.uuid:
        raise WrongInput(detail=f"Node {node.name} is the primary node of instance {guest.name}, it cannot be its "
                                "secondary as well")
    return node


async def _require_newest(view: View, guest: steps.Guest) -> None:
    """Refuse to keep the primary's volumes alone while the data come from the peer.  That is not seen when they are
    opened, if they are in use already.
    """
    states = await mirror_state.look(view, guest)
    mirror_state.require_newest(view.config, guest, states, guest.node, range(len(guest.disks)))


async def _require_exchange(view: View, guest: steps.Guest, new: steps.Guest) -> None:
    change = DeviceChange(disks_added=tuple(device(disk) for disk in new.disks),
                          disks_removed=tuple(disk.uuid for disk in guest.disks))
    why = await hotplug.obstacle(view, guest, change)
    if why:
        raise WrongState(detail=f"The disks of instance {guest.name} cannot be exchanged while it runs: {why}; stop it "
                                "and convert it then")


def device(disk: Disk) -> VmDisk:
    """The disk as a guest has it."""
    return VmDisk(disk=disk, pci=disk.pci if disk.pci is not None else vmspec.RESERVED_SLOTS)


# --- the disks as they will be -------------------------------------------------------------------------------


def _converted(view: View, op: InstanceSetParams, guest: steps.Guest, template: DiskTemplate, nodes: Sequence[Node], *,
               in_place: bool) -> steps.Guest:
    config = view.config
    layout = disks.layout(config, template, guest.name, [node.uuid for node in nodes], subdir=op.file_storage_dir,
                          driver=op.file_driver)
    found = []
    for index, old in enumerate(guest.disks):
        kept = _volume_of(old, guest.node.uuid)
        vg = {"vg": kept.vg} if kept is not None and template in disks.LVM_TEMPLATES else {}
        made = disks.create(view, layout, index, {"size": old.size, **vg})
        since = clock.epoch() if template is DRBD else None  # the new end is not filled yet
        new = replace(old, dev_type=template, nodes=made.nodes, file=made.file, lvm=made.lvm, drbd=made.drbd, params={},
                      degraded_since=since)
        found.append(_kept(old, new, guest.node.uuid) if in_place else new)
    instance = replace(guest.instance, disk_template=template)
    return replace(guest, instance=instance, disks=disks.annotated(config, instance, found), peers=tuple(nodes[1:]))


def _kept(old: Disk, new: Disk, node: str) -> Disk:
    """`new` on the very volume that `old` has its data on, where both are volumes."""
    if old.lvm is not None and new.drbd is not None:
        ends = tuple(replace(end, data=old.lvm) if end.node == node else end for end in new.drbd.ends)
        return replace(new, drbd=replace(new.drbd, ends=ends))
    end = old.drbd.end(node) if old.drbd is not None else None
    return replace(new, lvm=end.data) if end is not None and new.lvm is not None else new


def in_place(seen: Conversion) -> bool:
    """Whether the data stay where they are."""
    return not seen.live and {seen.old_template, seen.template} == {PLAIN, DRBD}


def _room(config: Config, guest: steps.Guest, new: steps.Guest) -> disks.Room:
    """What the new disks take beside volumes that are kept."""
    layout = disks.layout(config, new.instance.disk_template, guest.name,
                          [node.uuid for node in (guest.node, *new.peers)])
    found = disks.wanted_room(config, layout, new.disks)
    for old, disk in zip(guest.disks, new.disks, strict=True):
        kept = _volume_of(old, guest.node.uuid)
        if kept is not None and kept == _volume_of(disk, guest.node.uuid):
            found[guest.node.uuid]["lvm-vg", kept.vg] -= disk.size
    return found


def _volume_of(disk: Disk, node: str) -> LvmLocation | None:
    end = disk.drbd.end(node) if disk.drbd is not None else None
    return end.data if end is not None else disk.lvm

