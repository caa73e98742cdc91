# SPDX-License-Identifier: BSD-2-Clause
"""What a node checks about LVM and DRBD for `gnt-cluster verify`."""

import re
from collections.abc import Iterator

from gantry import paths
from gantry.errors import Error
from gantry.objects.node import DrbdFacts, NodeProblem
from gantry.storage import drbd_device, lvm_volumes

MIB = 1 << 20


def volume_group(name: str) -> Iterator[NodeProblem]:
    """A missing group, and physical volumes that are missing or that LVM cannot be told of by name."""
    try:
        group = lvm_volumes.groups().get(name)
        if group is None:
            yield NodeProblem(code="ENODELVM", message=f"there is no volume group '{name}'; make it with vgcreate")
            return
        for device in lvm_volumes.physical():
            if device.vg != name:
                continue
            if device.missing:
                yield NodeProblem(code="ENODELVM", message=f"physical volume {device.name} of volume group {name} is "
                                                           "missing; bring it back, or run gnt-node repair-storage")
            elif re.search(r"[:,]", device.name):
                yield NodeProblem(code="ENODELVM", message=f"the name of physical volume {device.name} has a character "
                                                           "that LVM's own lists use")
    except Error as err:
        yield NodeProblem(code="ENODELVM", message=f"LVM does not say what there is: {err}")


def drbd(helper: str) -> tuple[DrbdFacts | None, list[NodeProblem]]:
    """What the module is and has, and what is wrong with it; `helper` is what its helper program should be.

    A module that is not loaded yet is loaded: only then there is something to check.
    """
    try:
        drbd_device.load_module()
        table, version = drbd_device.look(), drbd_device.module().version
    except Error as err:
        return None, [NodeProblem(code="ENODEDRBD", message=f"DRBD does not say what there is: {err}")]
    problems = []
    present = _helper()
    if helper and present != helper:
        problems.append(NodeProblem(code="ENODEDRBDHELPER", message=(
            f"wrong drbd usermode helper: '{present}' instead of '{helper}'; set the module's option usermode_helper")))
    return DrbdFacts(version=version, helper=present, minors=tuple(sorted(table.ends))), problems


def _helper() -> str:
    try:
        return paths.here().drbd_helper.read_text().strip()
    except OSError:
        return ""
