# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_SET_PARAMS: change what is recorded of an instance, its disks, its memory while it runs.

New disks are made first, removed ones go next; then everything is recorded at once.
"""

from dataclasses import dataclass, replace
from typing import Any

from gantry.cmdlib import (
    attach,
    checks,
    convert,
    convert_plan,
    disks,
    edit_disks,
    edit_nics,
    hookenv,
    hotplug_disks,
    hotplug_nics,
    mirror,
    nics,
    osenv,
    steps,
)
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.edit_disks import Edited, Line
from gantry.cmdlib.hotplug_nics import Plugged
from gantry.cmdlib.instance_params import check_merged, check_nics, merge_hv
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.constants import SHARED_TEMPLATES, AdminState
from gantry.errors import WrongInput, WrongState
from gantry.objects import codec
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk, Instance
from gantry.objects.params import expand_memory, merge_be, merge_own
from gantry.objects.plan import Action, Call, Delete, Plan, Several, Step, Update, put
from gantry.objects.vm import VmStatus
from gantry.opcodes.instance import InstanceSetParams
from gantry.utils import clock

MASKED = "<redacted>"
FIELDS = ("primary_node", "owner_epoch", "os", "hvparams", "beparams", "osparams", "osparams_private", "admin_state",
          "nics", "disks", "machine")


@dataclass(frozen=True, kw_only=True)
class Change:
    """`balloon`: (memory wanted, memory now) of the running guest in MiB.  `made`: new disks by index, as nodes are
    told of them.  `taken`: disks that are attached; `claim`: steps before they can be opened.  `plugged`: what the
    guest is told of its disks and interfaces.
    """

    guest: steps.Guest
    new: Instance
    edited: Edited
    made: tuple[tuple[int, Disk], ...]
    taken: tuple[Disk, ...]
    claim: tuple[Step, ...]
    wipe: bool
    balloon: tuple[int, int] | None
    lines: tuple[Line, ...]
    hooks: Hooks
    plugged: Plugged


Seen = Change | convert.Conversion


class InstanceSetParamsUnit(LogicalUnit[InstanceSetParams, Seen], op=InstanceSetParams):
    """Most changes are for the next start.  A change of the disk template goes alone (`convert`)."""

    def locks(self, view: View) -> Locks:
        if self.op.disk_template is not None:
            return convert.locks(view, self.op)
        config = view.config
        instance = config.instance(self.op.instance_name)
        node = config.nodes[instance.primary_node]
        exclusive = {"instance": frozenset({instance.name})}
        if self.op.disks:
            exclusive |= {"node-res": frozenset({node.uuid, *config.secondaries_of(instance)})}
        shared = {"nodegroup": frozenset({node.group})} if self.op.nics or self.op.disks else {}
        return Locks(exclusive=exclusive, shared=shared)

    async def check(self, view: View) -> Seen:
        op, config = self.op, view.config
        self._refuse_what_is_not_offered()
        if op.disk_template is not None:
            return await convert.check(view, op)
        guest = steps.guest_of(config, config.instance(op.instance_name))
        running = await self._running(view, guest)
        balloon = await self._balloon(view, guest, running)
        new, param_lines = self._params(guest.instance)
        new = self._state(new, running)
        hot = running is not None and (op.hotplug or op.hotplug_if_possible)
        edited = edit_disks.apply(view, new, op.disks, running=running is not None and not hot)
        edited = edited if op.wait_for_sync else edit_disks.unfilled(edited, clock.epoch())
        place = nics.Place(group=config.groups[guest.node.group], conflicts_check=op.conflicts_check)
        found, nic_lines = edit_nics.apply(view, new, edited.disks, op.nics, place)
        taken = attach.taken_over(guest, edited.disks, edited.made)
        owner, claim = await attach.claimed(view, guest, disks.annotated(config, new, taken))
        new = replace(new, nics=found, disks=tuple(disk.uuid for disk in edited.disks),
                      owner_epoch=owner.instance.owner_epoch)
        check_nics(new)
        check_merged(config, new)
        new, node_lines = self._primary(view, guest, new, running)
        if op.beparams or op.disks or op.nics:
            checks.policy(view, new, edited.disks, ignore=op.ignore_ipolicy)
        await self._ask_node(view, guest, new, running)
        await disks.require_space(view, disks.layout_of(config, guest.instance), edited.made)
        _say_what_stays(view, guest, edited)
        disk_plugs, plugged = await self._plugged(view, owner, new, edited) if hot else (Plugged(), Plugged())
        lines = ([("runtime_memory", op.runtime_mem)] if balloon else []) + [
            *edited.lines, *disk_plugs.lines, *nic_lines, *plugged.lines, *param_lines]
        made = tuple(zip(map(edited.disks.index, edited.made), disks.annotated(config, new, edited.made), strict=True))
        return Change(guest=guest, new=new, edited=edited, made=made, taken=taken, claim=claim, balloon=balloon,
                      plugged=Plugged(steps=(*disk_plugs.steps, *plugged.steps)),
                      wipe=config.cluster.prealloc_wipe_disks, hooks=self._hooks(view, guest, new),
                      lines=(*lines, *node_lines, *self._state_lines()))

    def plan(self, seen: Seen) -> Plan:
        if isinstance(seen, convert.Conversion):
            return convert_plan.plan(seen)
        guest, edited = seen.guest, seen.edited
        plan: list[Step] = [*seen.claim]
        if seen.balloon is not None:
            wanted, now = seen.balloon
            plan.append(Step(title=f"* setting the memory of instance {guest.name} to {wanted}M",
                             action=_balloon(guest, wanted), undo=_balloon(guest, now), weight=2.0))
        plan += [steps.create_disk(guest, index, disk, wipe=seen.wipe) for index, disk in seen.made]
        plan += mirror.begin(replace(guest, disks=tuple(disk for _, disk in seen.made)), wait=self.op.wait_for_sync,
                             active=guest.instance.disks_active)
        plan += seen.plugged.steps
        plan += hotplug_disks.put_down(guest, _detached(seen)) if seen.plugged.steps else []
        plan += [steps.remove_disk_on(guest, index, disk, guest.at(disk), no_return=True)
                 for index, disk in edited.removed]
        changes = _changes(seen)
        if changes:
            action = changes[0] if len(changes) == 1 else Several(actions=changes)
            plan.append(Step(title=f"recording the new parameters of instance {guest.name}", action=action))
        return Plan(steps=tuple(plan), result=[list(line) for line in seen.lines],
                    reserves=_reserves(seen))

    def hooks(self, seen: Seen) -> Hooks:
        return seen.hooks

    # --- parts of the check --------------------------------------------------------------------------------

    def _refuse_what_is_not_offered(self) -> None:
        op = self.op
        if op.ext_params:
            raise WrongInput(detail="disks of external providers are not offered by this release")
        if op.disk_template is None and (op.live or op.remote_node is not None):
            raise WrongInput(detail="A secondary node, and --live, are only for a change of the disk template")
        if op.instance_communication is not None:
            raise WrongInput(detail="the instance communication network is not offered by this release")
        given = (op.disks, op.nics, op.beparams, op.hvparams, op.osparams, op.osparams_private, op.os_name,
                 op.runtime_mem, op.pnode)
        if op.offline is None and op.disk_template is None and not any(given):
            raise WrongInput(detail="No changes submitted")

    async def _running(self, view: View, guest: steps.Guest) -> VmStatus | None:
        """The guest, asked for only where the answer matters."""
        op = self.op
        if not (op.disks or op.nics or op.runtime_mem or op.pnode or op.offline or op.beparams):
            return None
        if guest.node.offline:
            if op.runtime_mem or op.disks:
                checks.online(view.config, guest.node.uuid)
            view.warn(f"Primary node {guest.place} is offline, instance {guest.name} is taken for stopped")
            return None
        return await checks.status(view, guest.instance)

    async def _balloon(self, view: View, guest: steps.Guest, running: VmStatus | None) -> tuple[int, int] | None:
        wanted = self.op.runtime_mem
        if wanted is None:
            return None
        if running is None:
            raise WrongState(detail=f"Instance {guest.name} is not running, its memory cannot be changed")
        be = effective.beparams(view.config, guest.instance)
        if not self.op.force and not be["minmem"] <= wanted <= be["maxmem"]:
            raise WrongInput(detail=f"Instance {guest.name} must have memory between {be['minmem']} and "
                                    f"{be['maxmem']} MiB unless --force is given")
        if wanted > running.memory:
            await checks.memory(view, guest.node.uuid, wanted - running.memory,
                                f"ballooning memory for instance {guest.name}")
        return wanted, running.memory

    async def _plugged(self, view: View, guest: steps.Guest, new: Instance, edited: Edited) -> tuple[Plugged, Plugged]:
        """New and lost disks, and changed interfaces, reach a guest that runs."""
        op, silent = self.op, self.op.hotplug_if_possible
        later = disks.annotated(view.config, new, edited.disks)
        return (await hotplug_disks.plan(view, guest, later, edited.made, silent=silent) if op.disks else Plugged(),
                await hotplug_nics.plan(view, guest, new, silent=silent) if op.nics else Plugged())

    def _params(self, old: Instance) -> tuple[Instance, list[Line]]:
        op = self.op
        new = replace(old, hvparams=merge_hv(old.hypervisor, old.hvparams, op.hvparams),
                      beparams=merge_be(old.beparams, op.beparams), os=op.os_name or old.os,
                      osparams=merge_own(old.osparams, op.osparams),
                      osparams_private=merge_own(old.osparams_private, op.osparams_private or {}))
        if "machine_version" in op.hvparams:
            new = replace(new, machine="")  # it is pinned anew at the next start
        lines: list[Line] = [(f"hv/{key}", value) for key, value in op.hvparams.items()]
        lines += [(f"be/{key}", _shown(key, value)) for key, value in op.beparams.items()]
        lines += [("os", op.os_name)] if op.os_name else []
        lines += [(f"os/{key}", value) for key, value in op.osparams.items()]
        lines += [(f"os_private/{key}", MASKED) for key in op.osparams_private or {}]
        return new, lines

    def _state(self, new: Instance, running: VmStatus | None) -> Instance:
        if self.op.offline is None:
            return new
        what = f"cannot change instance state to {'offline' if self.op.offline else 'online'}"
        checks.admin_state(new, (AdminState.DOWN, AdminState.OFFLINE), what)
        if self.op.offline and running is not None:
            raise WrongState(detail=f"Instance {new.name} is running, {what}")
        return replace(new, admin_state=AdminState.OFFLINE if self.op.offline else AdminState.DOWN)

    def _state_lines(self) -> list[Line]:
        if self.op.offline is None:
            return []
        return [("admin_state", str(AdminState.OFFLINE if self.op.offline else AdminState.DOWN))]

    def _primary(self, view: View, guest: steps.Guest, new: Instance,
                 running: VmStatus | None) -> tuple[Instance, list[Line]]:
        """Declare another primary node."""
        if self.op.pnode is None:
            return new, []
        node: Node = checks.target(view.config, self.op.pnode)
        if running is not None and not self.op.force:
            raise WrongState(detail=f"Instance {guest.name} is running, cannot change its primary node")
        if new.disk_template not in SHARED_TEMPLATES and not guest.node.offline:
            raise WrongState(detail=f"Instance {guest.name} has its disks on node {guest.place}, which is not offline")
        if node.uuid == new.primary_node:
            return new, []
        return replace(new, primary_node=node.uuid, owner_epoch=new.owner_epoch + 1), [("pnode", node.name)]

    async def _ask_node(self, view: View, guest: steps.Guest, new: Instance, running: VmStatus | None) -> None:
        """Let the node check what is for its next start, where it can be asked."""
        op, config = self.op, view.config
        if config.nodes[new.primary_node].offline:
            return
        if op.hvparams:
            await checks.hypervisor_on(view, [new.primary_node], new.hypervisor, effective.hvparams(config, new))
        if op.os_name or op.osparams or op.osparams_private:
            await checks.os_on(view, [new.primary_node], new.os, osenv.parameters(config, new),
                               force_variant=op.force_variant)
        before = effective.beparams(config, guest.instance)["maxmem"]
        wanted = effective.beparams(config, new)["maxmem"]
        if "maxmem" in expand_memory(op.beparams) and wanted > before and not op.force:
            await checks.memory(view, new.primary_node, wanted - (running.memory if running else 0),
                                f"starting instance {guest.name} with its new memory (use --force to record it "
                                "all the same)")

    def _hooks(self, view: View, guest: steps.Guest, new: Instance) -> Hooks:
        extra = {"RUNTIME_MEMORY": self.op.runtime_mem} if self.op.runtime_mem else {}
        config = view.config
        env = hookenv.instance_env(config, new, guest.disks) | hookenv.texts(extra)
        return hookenv.hooks(config, "instance-modify", env, of=new, pre=hookenv.nodes_of(config, guest.instance))


def _say_what_stays(view: View, guest: steps.Guest, edited: Edited) -> None:
    """A node that is offline is not asked to remove anything."""
    for index, disk in edited.removed:
        for name in view.config.names_of(node for node in disk.nodes if view.config.nodes[node].offline):
            view.warn(f"{disks.shown(index, disk)} of instance {guest.name} is left on node {name}, which is marked "
                      "offline; when it is back, gnt-cluster verify names the volumes and they can be removed")


def _shown(key: str, value: Any) -> Any:
    """A size as the number it is recorded as."""
    if key in ("memory", "maxmem", "minmem") and value is not None:
        return next(iter(expand_memory({key: value}).values()))
    return value


def _balloon(guest: steps.Guest, memory: int) -> Call:
    return Call(node=guest.node.uuid, call="instance_balloon", args={
        "instance": guest.instance.uuid, "hypervisor": str(guest.instance.hypervisor), "memory": memory})


def _detached(seen: Change) -> list[Disk]:
    """Disks that the instance loses, and that stay."""
    kept = {disk.uuid for disk in (*seen.edited.disks, *(disk for _, disk in seen.edited.removed))}
    return [disk for disk in seen.guest.disks if disk.uuid not in kept]


def _changes(seen: Change) -> list[Action]:
    """The changes of the configuration that belong together."""
    old, new = seen.guest.instance, seen.new
    before = {disk.uuid: disk for disk in seen.guest.disks}
    made = {disk.uuid for disk in seen.edited.made}
    changes: list[Action] = [put("disks", disk) for disk in seen.edited.made]
    for disk in seen.edited.disks:
        if disk.uuid not in made and disk != before.get(disk.uuid):
            changes.append(Update(table="disks", uuid=disk.uuid, fields={
                "mode": disk.mode, "name": disk.name, "pci": disk.pci}))
    fields = {name: codec.encode(getattr(new, name)) for name in FIELDS if getattr(new, name) != getattr(old, name)}
    if fields:
        changes.append(Update(table="instances", uuid=old.uuid, fields=fields))
    changes += [Delete(table="disks", uuid=disk.uuid) for _, disk in seen.edited.removed]
    return changes


def _reserves(seen: Change) -> tuple[tuple[str, str], ...]:
    """New addresses, and numbers of new disks."""
    old, new = seen.guest.instance, seen.new
    known = {nic.mac for nic in old.nics} | {nic.ip for nic in old.nics}
    macs = [("mac", nic.mac) for nic in new.nics if nic.mac not in known]
    return (*macs, *(("ip", nic.ip) for nic in new.nics if nic.ip and nic.network and nic.ip not in known),
            *mirror.reserves(seen.edited.made), *attach.reserves(seen.taken))
