# SPDX-License-Identifier: BSD-2-Clause
"""Changes of an instance's network interfaces, one after the other as they were given."""

from dataclasses import replace
from typing import Any

from gantry.cmdlib import nics, vmspec
from gantry.cmdlib.edit_disks import Line
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.constants import MAX_NICS
from gantry.errors import NotFound, WrongInput
from gantry.objects.instance import Disk, Instance, Nic

Edits = tuple[tuple[str, int | str, dict[str, Any]], ...]


def apply(view: View, instance: Instance, disks: tuple[Disk, ...], edits: Edits,
          place: nics.Place) -> tuple[tuple[Nic, ...], list[Line]]:
    """(interfaces as they will be, lines of the opcode's result); raises WrongInput or NotFound."""
    found, lines = list(instance.nics), []
    for operation, identifier, params in edits:
        if operation == "add":
            index = _place(found, identifier)
            nic = _with_slot(view, instance, disks, found, nics.create(view, place, params))
            found.insert(index, nic)
            place = place.after(nic)
            lines.append((f"nic.{index}", _added(view, place, nic)))
        elif operation == "remove":
            index = _find(found, identifier)
            del found[index]
            lines.append((f"nic.{index}", "remove"))
        elif operation == "modify":
            index = _find(found, identifier)
            nic = found[index] = nics.modify(view, place, found[index], params)
            place = place.after(nic)
            lines += _modified(index, nic, params)
        else:
            raise WrongInput(detail=f"a NIC cannot be {operation}ed: add, modify and remove are possible")
    if len(found) > MAX_NICS:
        raise WrongInput(detail=f"Instance has too many network interfaces ({len(found)}), no more than {MAX_NICS} "
                                "are possible")
    return tuple(found), lines


def _place(found: list[Nic], identifier: int | str) -> int:
    if not isinstance(identifier, int) or not -1 <= identifier <= len(found):
        raise WrongInput(detail=f"NIC index {identifier} is not possible: 0 to {len(found)}, or -1 for the end")
    return len(found) if identifier == -1 else identifier


def _find(found: list[Nic], identifier: int | str) -> int:
    for index, nic in enumerate(found):
        if identifier in (index, index - len(found), nic.uuid) or (nic.name and identifier == nic.name):
            return index
    raise NotFound(kind="NIC", name=f"nic/{identifier}" if isinstance(identifier, int) else identifier)


def _with_slot(view: View, instance: Instance, disks: tuple[Disk, ...], found: list[Nic], nic: Nic) -> Nic:
    hv = effective.hvparams(view.config, instance)
    used = vmspec.used_slots(instance, disks) + [other.pci for other in found]
    return replace(nic, pci=vmspec.free_slots(hv, used, 1)[0])


def _added(view: View, place: nics.Place, nic: Nic) -> str:
    params = effective.nicparams(view.config, nic, place.group.uuid)
    return f"add:mac={nic.mac},ip={nic.ip},mode={params['mode']},link={params['link']}"


def _modified(index: int, nic: Nic, params: dict[str, Any]) -> list[Line]:
    values = {"mac": nic.mac, "ip": nic.ip, "network": nic.network, "name": nic.name, **nic.nicparams}
    names = [("link" if name == "bridge" else name) for name in params]
    return [(f"nic.{name}/{index}", values.get(name)) for name in names]
