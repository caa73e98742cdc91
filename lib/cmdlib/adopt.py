# SPDX-License-Identifier: BSD-2-Clause
"""Volumes that exist already and become the disks of a new instance: found, checked, and given their new names."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gantry.cmdlib import steps
from gantry.cmdlib.view import View
from gantry.constants import OF_INSTANCE, DiskTemplate
from gantry.errors import NotFound, NotUnique, WrongInput, WrongState
from gantry.objects.instance import Disk, LvmLocation
from gantry.objects.plan import Call, Step
from gantry.rpc import calls

Spec = Mapping[str, Any]
ADOPTED = "adopted"
"""Kind of the reservations of volumes that are being adopted: node (UUID), VG and LV by slashes."""


def wanted(template: DiskTemplate, specs: Sequence[Spec], iallocator: str | None) -> bool:
    """Whether the disks are to be adopted; raises WrongInput when that cannot be."""
    count = sum(bool(spec.get("adopt")) for spec in specs)
    if not count:
        return False
    if count != len(specs):
        raise WrongInput(detail="Either all disks are adopted or none is")
    if template is not DiskTemplate.PLAIN:
        raise WrongInput(detail=f"Disk adoption is not supported for the '{template}' disk template")
    if iallocator is not None:
        raise WrongInput(detail="Disk adoption not allowed with an iallocator script: the volumes are where they are")
    names = [(spec.get("vg"), spec["adopt"]) for spec in specs]
    if len(set(names)) != len(names):
        raise WrongInput(detail="Duplicate volume names given for adoption")
    return True


async def sized(view: View, node: str, vg: str, specs: Sequence[Spec]) -> list[Spec]:
    """`specs` with the sizes of their volumes, which are reserved; raises NotFound, NotUnique or WrongState."""
    name = view.config.nodes[node].name
    volumes = {(item["vg"], item["name"]): item for item in await view.nodes.call(node, calls.volumes_list)}
    owned = {(disk.lvm.vg, disk.lvm.lv) for disk in view.config.disks_on(node) if disk.lvm is not None}
    owned |= {(place.vg, place.lv) for disk in view.config.disks_on(node) if disk.drbd is not None
              for end in disk.drbd.ends if end.node == node for place in (end.data, end.meta)}
    found: list[Spec] = []
    for spec in specs:
        place = (spec.get("vg") or vg, spec["adopt"])
        text = "/".join(place)
        if place not in volumes:
            raise NotFound(kind="Logical volume", name=text, on_node=name)
        if place in owned:
            raise NotUnique(detail=f"Logical volume {text} on node {name} belongs to an instance already")
        view.reservations.reserve(ADOPTED, f"{node}/{text}")
        found.append({**spec, "vg": place[0], "size": int(volumes[place]["size"])})
    await _refuse_used(view, node, found)
    return found


async def _refuse_used(view: View, node: str, specs: Sequence[Spec]) -> None:
    volumes = [_before(Disk(uuid=view.new_uuid(), name="", dev_type=DiskTemplate.PLAIN, size=spec["size"],
                            nodes=(node,)), spec) for spec in specs]
    states = await view.nodes.call(node, calls.disks_status, disks=volumes)
    for spec, state in zip(specs, states, strict=True):
        if state["used"]:
            raise WrongState(detail=f"Logical volume {spec['vg']}/{spec['adopt']} on node "
                                    f"{view.config.nodes[node].name} is in use, it cannot be adopted")


def reserves(node: str, specs: Sequence[Spec]) -> tuple[tuple[str, str], ...]:
    return tuple((ADOPTED, f"{node}/{spec['vg']}/{spec['adopt']}") for spec in specs if spec.get("adopt"))


def rename(guest: steps.Guest, specs: Sequence[Spec]) -> Step:
    """The volumes get the names of the new disks.  Undone, they get their own again: an adopted volume is never
    removed.
    """
    old = tuple(_before(disk, spec) for disk, spec in zip(guest.disks, specs, strict=True))

    def call(disks: Sequence[Disk], new: Sequence[Disk]) -> Call:
        return Call(node=guest.node.uuid, call="disks_rename",
                    args={"disks": steps.encoded(disks), "new": steps.encoded(new)})
    names = ", ".join(f"{disk.lvm.vg}/{disk.lvm.lv}" for disk in old if disk.lvm is not None)
    return Step(title=f"* adopting {names} on {guest.place}", action=call(old, guest.disks),
                undo=call(guest.disks, old), weight=steps.CALL_SECONDS)


def _before(disk: Disk, spec: Spec) -> Disk:
    """The volume under its own name, nobody's."""
    params = {key: value for key, value in disk.params.items() if key != OF_INSTANCE}
    return replace(disk, lvm=LvmLocation(vg=spec["vg"], lv=spec["adopt"]), params=params)
