# SPDX-License-Identifier: BSD-2-Clause
"""OP_BACKUP_EXPORT: what is on an instance's disks, and what it is, into a folder on a node.

A guest that goes on is stopped (or, with shutdown off, stands still) only while snapshots are made; then these are
read.  One that is down, or is removed afterwards, needs none.  The guest is never stopped before the target node has
made room, and an older export stays until the new one is whole.
"""

from dataclasses import dataclass, replace
from typing import Any

from gantry.cmdlib import (
    checks,
    disks,
    export_ini,
    exports,
    hookenv,
    measure,
    mirror,
    osenv,
    removal,
    snapshots,
    steps,
    vmspec,
)
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import NotFound, WrongInput, WrongState
from gantry.objects import codec
from gantry.objects.cluster import Node
from gantry.objects.dump import Dump, Meeting
from gantry.objects.plan import Call, Plan, Several, Step, Task
from gantry.objects.vm import VmSpec
from gantry.opcodes.backup import BackupExport
from gantry.rpc import calls
from gantry.utils import clock

DUMP_RATE = 60.0
"""MiB a second that the contents of a disk are expected to take to another node, for progress."""


@dataclass(frozen=True, kw_only=True)
class Exporting:
    """`spec`: of the guest, None when it does not run; `paused`: somebody has it stand still.  `snapshots`: what is
    read instead of the disks, none when the guest is down meanwhile.  `claim`: steps before its disks can be opened.
    `config`: the text of the export's config.ini.  `others`: nodes with an older export of the same name.
    """

    guest: steps.Guest
    target: Node
    spec: VmSpec | None
    paused: bool
    snapshots: tuple[snapshots.Snapshot, ...]
    claim: tuple[Step, ...]
    env: dict[str, Any]
    config: str
    others: tuple[Node, ...]
    removers: tuple[removal.Remover, ...]
    port: int
    hooks: Hooks


class BackupExportUnit(LogicalUnit[BackupExport, Exporting], op=BackupExport):
    """Result: [finalized, [disk exported, ...]], all true.  It may take hours, so others can work on the instance's
    nodes, unless the instance is to be removed.
    """

    def locks(self, view: View) -> Locks:
        instance = view.config.instance(self.op.instance_name)
        nodes = {self._target(view.config).uuid}
        if self.op.remove_instance:
            nodes |= {instance.primary_node, *view.config.secondaries_of(instance)}
        return Locks(exclusive={"instance": frozenset({instance.name})},
                     shared={"node": frozenset(nodes), "node-res": frozenset(nodes)})

    async def check(self, view: View) -> Exporting:
        op, config = self.op, view.config
        self._refuse_what_cannot_be()
        if op.compress not in (exports.UNPACKED, *config.cluster.compression_tools):
            raise WrongInput(detail=f"Compression tool '{op.compress}' is not enabled in this cluster")
        guest = steps.guest_of(config, config.instance(op.instance_name))
        target = self._target(config)
        for node in (guest.node, target):
            checks.online(config, node.uuid)
        if target.drained:
            raise WrongState(detail=f"Can't use drained node '{target.name}'")
        exports.reserve_write(view, guest.name)
        guest = await mirror.answering(view, await measure.measured(view, guest))
        status = await checks.status(view, guest.instance)
        spec = await self._spec(view, guest) if status is not None else None
        await self._refuse_without_os(view, guest)
        claim: tuple[Step, ...] = ()
        if spec is None:
            guest, claim = mirror.claimed(config, guest)
        found: tuple[snapshots.Snapshot, ...] = ()
        if spec is not None and not op.remove_instance:
            found = await snapshots.of_all(view, guest)
        there = {guest.node.uuid, *(node.uuid for node in guest.peers)}
        return Exporting(
            guest=guest, target=target, spec=spec, paused=status is not None and status.state == "paused",
            snapshots=found, claim=claim, port=mirror.free_port(view),
            env=osenv.script_env(config, guest.instance, guest.disks, debug_level=op.debug_level),
            config=export_ini.write(config, guest, clock.epoch()),
            others=tuple(node for node in await exports.holders(view, guest.name) if node.uuid != target.uuid),
            removers=removal.removers(view, guest, there) if op.remove_instance else (),
            hooks=self._hooks(config, guest, target))

    def plan(self, seen: Exporting) -> Plan:
        guest, target, name = seen.guest, seen.target, seen.guest.name
        plan = [Step(title=f"* making room for the export of instance {name} on {target.name}", weight=0.3,
                     action=Call(node=target.uuid, call="export_begin", args={"name": name}),
                     undo=Call(node=target.uuid, call="export_drop", args={"name": name}))]
        if seen.snapshots:
            plan += self._freeze(seen)
        else:
            plan += self._open(seen)
        plan += [self._dump(seen, index) for index in range(len(guest.disks))]
        if seen.spec is None and not guest.instance.disks_active:
            plan += steps.close_disks(guest)
        plan.append(Step(title=f"* finishing the export on {target.name}", no_return=True, weight=0.5,
                         action=Call(node=target.uuid, call="export_finish", args={
                             "name": name, "config": seen.config, "dumps": [disk.uuid for disk in guest.disks]})))
        plan += [snapshots.remove(guest, index, item) for index, item in enumerate(seen.snapshots)]
        plan += [Step(title=f"* removing the older export of instance {name} on {node.name}", may_fail=True,
                      action=Task(node=node.uuid, call="export_remove", args={"name": name})) for node in seen.others]
        if self.op.remove_instance:
            plan += removal.steps_for(guest, seen.removers, ignore=self.op.ignore_remove_failures)
        return Plan(steps=tuple(plan), result=[True, [True] * len(guest.disks)], reserves=(
            (mirror.PORT, str(seen.port)), exports.writes(name), *snapshots.reserves(seen.snapshots)))

    def hooks(self, seen: Exporting) -> Hooks:
        return seen.hooks

    # --- parts of the plan ---------------------------------------------------------------------------------

    def _freeze(self, seen: Exporting) -> list[Step]:
        """Snapshots, of one moment, and the guest goes on."""
        guest, node, spec = seen.guest, seen.guest.node, seen.spec
        assert spec is not None  # noqa: S101 - there are snapshots of guests that run only
        made = [snapshots.make(guest, index, item) for index, item in enumerate(seen.snapshots)]
        again = steps.begin(spec, node.uuid, paused=seen.paused)
        if self.op.shutdown:
            plan = [steps.stop(guest, timeout=self.op.shutdown_timeout, undo=again), *made,
                    Step(title=f"* starting instance {guest.name} on {guest.place}", action=again,
                         weight=steps.START_SECONDS)]
        elif not seen.paused and (len(made) > 1 or seen.snapshots[0].copies):
            plan = [_pause(guest, paused=True), *made, _pause(guest, paused=False)]
        else:
            plan = made
        taken = [item.made for item in seen.snapshots]
        frozen = replace(guest, disks=tuple(taken))
        plan.append(Step(title=f"* activating the snapshots of instance {guest.name} on {guest.place}",
                         action=steps.disks_call("disks_open", frozen, node.uuid,
                                                 owner_epoch=guest.instance.owner_epoch),
                         undo=steps.close(frozen, node.uuid), weight=steps.CALL_SECONDS))
        return plan

    def _open(self, seen: Exporting) -> list[Step]:
        """The disks themselves, of a guest that is down or has been stopped for good."""
        plan: list[Step] = []
        if seen.spec is not None and self.op.remove_instance:
            again = steps.begin(seen.spec, seen.guest.node.uuid, paused=seen.paused)
            plan.append(steps.stop(seen.guest, timeout=self.op.shutdown_timeout, undo=again))
        return [*plan, *seen.claim, *steps.open_disks(seen.guest)]

    def _dump(self, seen: Exporting, index: int) -> Step:
        guest, target = seen.guest, seen.target
        disk = guest.disks[index]
        read = seen.snapshots[index].made if seen.snapshots else disk
        dump = Dump(name=disk.uuid, disk=read, os=guest.instance.os, disks=guest.disks,
                    env=seen.env | {"EXPORT_INDEX": str(index)} if guest.instance.os else {})
        here = Meeting(peer=guest.node.uuid, host=mirror.address(target), port=seen.port)
        send = Task(node=guest.node.uuid, call="export_send", args={
            "dump": codec.encode(dump), "target": codec.encode(replace(here, peer=target.uuid)),
            "compress": self.op.compress})
        receive = Task(node=target.uuid, call="export_receive", args={
            "name": guest.name, "dump": dump.name, "size": disk.size, "source": codec.encode(here),
            "compress": self.op.compress})
        return Step(title=f"* exporting {disks.shown(index, disk)} of instance {guest.name} to {target.name}",
                    action=Several(actions=[send, receive]), weight=1.0 + disk.size / DUMP_RATE)

    # --- parts of the check --------------------------------------------------------------------------------

    def _target(self, config: Config) -> Node:
        if not isinstance(self.op.target_node, str):
            raise WrongInput(detail=exports.NO_REMOTE)
        return config.node(self.op.target_node)

    def _refuse_what_cannot_be(self) -> None:
        op = self.op
        if op.mode != "local":
            raise WrongInput(detail=exports.NO_REMOTE)
        if op.zero_free_space:
            raise WrongInput(detail="Free space cannot be zeroed: that takes a helper VM and its image, which this "
                                    "release does not have. Zeros that a guest wrote itself (fstrim, zerofree) take no "
                                    "room in an export anyhow")
        if op.remove_instance and not op.shutdown:
            raise WrongInput(detail="Can not remove instance without shutting it down before")

    async def _spec(self, view: View, guest: steps.Guest) -> VmSpec:
        """Of the guest that runs; refuses when what is on its disks here is not the newest."""
        states = await view.nodes.call(guest.node.uuid, calls.disks_status, disks=list(guest.disks)) if \
            guest.mirrored else []
        for index, state in enumerate(states):
            found = (state.get("mirror") or {}).get("disk")
            if guest.disks[index].drbd is not None and found != "UpToDate":
                raise WrongState(detail=f"disk/{index} of instance {guest.name} is {found} on its primary node "
                                        f"{guest.place}, it cannot be exported; wait until it is synchronised")
        return vmspec.build(view.config, guest.instance, guest.disks)

    async def _refuse_without_os(self, view: View, guest: steps.Guest) -> None:
        """Before anything is stopped."""
        stem = guest.instance.os.split("+", 1)[0]
        if not stem or not guest.disks:
            return
        known = await view.nodes.call(guest.node.uuid, calls.os_list)
        found = next((item for item in known if item.name == stem), None)
        if found is None:
            raise NotFound(kind="OS definition", name=stem, on_node=guest.place)
        if found.problem:
            raise WrongState(detail=f"OS definition '{stem}' is not valid on node {guest.place}: {found.problem}")

    def _hooks(self, config: Config, guest: steps.Guest, target: Node) -> Hooks:
        op = self.op
        env = hookenv.instance_env(config, guest.instance, guest.disks) | hookenv.texts({
            "EXPORT_MODE": op.mode, "EXPORT_NODE": target.name, "EXPORT_DO_SHUTDOWN": op.shutdown,
            "SHUTDOWN_TIMEOUT": op.shutdown_timeout, "REMOVE_INSTANCE": op.remove_instance})
        return hookenv.hooks(config, "instance-export", env, of=guest.instance, pre=(guest.node.uuid, target.uuid))


def _pause(guest: steps.Guest, *, paused: bool) -> Step:
    """All that the guest has written is on its disks while it stands still."""
    def call(*, stands: bool) -> Call:
        return Call(node=guest.node.uuid, call="instance_pause", args={
            "instance": guest.instance.uuid, "hypervisor": str(guest.instance.hypervisor), "paused": stands})

    verb = "pausing" if paused else "resuming"
    return Step(title=f"* {verb} instance {guest.name} on {guest.place}", action=call(stands=paused),
                undo=call(stands=False) if paused else None, weight=steps.CALL_SECONDS)
