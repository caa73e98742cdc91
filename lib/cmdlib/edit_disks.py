# SPDX-License-Identifier: BSD-2-Clause
"""Changes of an instance's disks, one after the other as they were given."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gantry.cmdlib import attach, disks, vmspec
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.constants import DiskTemplate
from gantry.errors import NotFound, NotUnique, WrongInput, WrongState
from gantry.objects.instance import Disk, Instance

Line = tuple[str, Any]
RUNNING = "can't remove volume from a running instance without using hotplug"


@dataclass(frozen=True, kw_only=True)
class Edited:
    """`disks` as they will be.  `made` must be created, `removed` removed; `lines` are the opcode's result."""

    disks: tuple[Disk, ...]
    made: tuple[Disk, ...] = ()
    removed: tuple[tuple[int, Disk], ...] = ()
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Edit:
    """`running`: the guest runs, and is not told of anything."""

    view: View
    instance: Instance
    running: bool
    identifier: int | str
    params: dict[str, Any]


def apply(view: View, instance: Instance, edits: tuple[tuple[str, int | str, dict[str, Any]], ...], *,
          running: bool) -> Edited:
    """The result of `edits`; raises WrongInput, WrongState or NotFound for one that cannot be.

    `running`: the guest runs and is to have the changes at its next start only.
    """
    state = Edited(disks=view.config.disks_of(instance))
    for operation, identifier, params in edits:
        edit = _Edit(view=view, instance=instance, running=running, identifier=identifier, params=params)
        state = _OPERATIONS[operation](state, edit)
    disks.check_names(state.disks)
    return state


def unfilled(edited: Edited, now: float) -> Edited:
    """With new mirrors known to be whole at one end only: their first synchronisation is not waited for."""
    made = {disk.uuid: replace(disk, degraded_since=now) if disk.drbd is not None else disk for disk in edited.made}
    return replace(edited, made=tuple(made.values()), disks=tuple(made.get(disk.uuid, disk) for disk in edited.disks))


def _place(edit: _Edit, state: Edited) -> int:
    """Where a new disk goes."""
    count = len(state.disks)
    if not isinstance(edit.identifier, int) or not -1 <= edit.identifier <= count:
        raise WrongInput(detail=f"Disk index {edit.identifier} is not possible: 0 to {count}, or -1 for the end")
    return count if edit.identifier == -1 else edit.identifier


def _with_slot(edit: _Edit, state: Edited, disk: Disk) -> Disk:
    if disk.pci is not None:
        return disk
    hv = effective.hvparams(edit.view.config, edit.instance)
    used = vmspec.used_slots(edit.instance, (*state.disks, *edit.view.config.disks_of(edit.instance)))
    return replace(disk, pci=vmspec.free_slots(hv, used, 1)[0])


def _insert(state: Edited, index: int, disk: Disk, line: str) -> Edited:
    later = (*state.disks[:index], disk, *state.disks[index:])
    text = f"{line}:size={disk.size},mode={disk.mode}"
    return replace(state, disks=later, lines=(*state.lines, (f"disk/{index}", text)))


def _add(state: Edited, edit: _Edit) -> Edited:
    if edit.instance.disk_template is DiskTemplate.DISKLESS:
        raise WrongState(detail=f"Instance {edit.instance.name} is diskless, it has no disk template for a disk")
    index = _place(edit, state)
    layout = disks.layout_of(edit.view.config, edit.instance)
    disk = _with_slot(edit, state, disks.create(edit.view, layout, index, edit.params))
    if edit.running:
        edit.view.say(f" - INFO: disk/{index} is seen by instance {edit.instance.name} after its next start")
    return replace(_insert(state, index, disk, "add"), made=(*state.made, disk))


def _attach(state: Edited, edit: _Edit) -> Edited:
    keys = edit.params.keys() & {"uuid", "name"}
    if len(keys) != 1 or edit.params.keys() - keys:
        raise WrongInput(detail="attaching a disk takes exactly one of uuid and name")
    key = keys.pop()
    config, wanted = edit.view.config, edit.params[key]
    used = {uuid for instance in config.instances.values() for uuid in instance.disks}
    found = [disk for disk in config.disks.values() if disk.uuid not in used and getattr(disk, key) == wanted]
    if not found:
        raise NotFound(kind="Detached disk", name=wanted)
    if len(found) > 1:
        raise NotUnique(detail=f"There are {len(found)} detached disks named '{wanted}', give a UUID")
    disk = found[0]
    if disk.dev_type is not edit.instance.disk_template:
        raise WrongInput(detail=f"Disk '{wanted}' is of template {disk.dev_type}, instance {edit.instance.name} of "
                                f"{edit.instance.disk_template}")
    attach.require_place(edit.view, edit.instance, state.disks, disk)
    return _insert(state, _place(edit, state), _with_slot(edit, state, replace(disk, pci=None)), "attach")


def _out(state: Edited, edit: _Edit, line: str) -> tuple[Edited, int, Disk]:
    if edit.running:
        raise WrongState(detail=RUNNING)
    index = disks.find(state.disks, edit.identifier)
    disk = state.disks[index]
    later = (*state.disks[:index], *state.disks[index + 1:])
    return replace(state, disks=later, lines=(*state.lines, (f"disk/{index}", line))), index, disk


def _remove(state: Edited, edit: _Edit) -> Edited:
    state, index, disk = _out(state, edit, "remove")
    if disk in state.made:
        raise WrongInput(detail=f"disk/{index} is added and removed at once")
    return replace(state, removed=(*state.removed, (index, disk)))


def _detach(state: Edited, edit: _Edit) -> Edited:
    return _out(state, edit, "detach")[0]


def _modify(state: Edited, edit: _Edit) -> Edited:
    index = disks.find(state.disks, edit.identifier)
    params = edit.params
    if "size" in params:
        raise WrongInput(detail="Disk size change not possible, use grow-disk")
    if not params or params.keys() - {"mode", "name"}:
        raise WrongInput(detail=f"Disk modification supports only the parameters mode and name, not "
                                f"{', '.join(sorted(params)) or 'none'}")
    disk, lines = state.disks[index], list(state.lines)
    if "mode" in params:
        disk = replace(disk, mode=disks.checked_mode(params["mode"]))
        lines.append((f"disk.mode/{index}", disk.mode))
    if "name" in params:
        disk = replace(disk, name=disks.checked_name(params["name"]))
        lines.append((f"disk.name/{index}", disk.name or None))
    made = tuple(disk if old.uuid == disk.uuid else old for old in state.made)
    return replace(state, disks=(*state.disks[:index], disk, *state.disks[index + 1:]), made=made, lines=tuple(lines))


_OPERATIONS: dict[str, Callable[[Edited, _Edit], Edited]] = {
    "add": _add, "attach": _attach, "remove": _remove, "detach": _detach, "modify": _modify,
}
