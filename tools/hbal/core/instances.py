# SPDX-License-Identifier: BSD-2-Clause
"""What each instance weighs on its nodes, as arrays: amounts that count for real instances and, with the suffix
`_forth`, amounts that count for forthcoming ones too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hbal.model import Instance, Mirror

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LOADS = ("cpu", "memory", "disk", "network")


class Amounts(NamedTuple):
    """One entry an instance.  All amounts are floats that hold whole numbers, but for the loads."""

    memory: Floats
    """Taken on the primary while it runs."""
    memory_forth: Floats
    reserved: Floats
    """Kept free on the secondary."""
    reserved_forth: Floats
    cpus: Floats
    cpus_forth: Floats
    disk: Floats
    disk_forth: Floats
    spindles: Floats
    """Physical spindles, taken on nodes with exclusive storage; 0 where there are no data."""
    spindles_known: Bools
    spindle_use: Floats
    spindle_use_forth: Floats
    loads: Floats
    """Four rows, in the order of LOADS."""
    real: Bools
    local: Bools
    running: Bools
    """Uses memory."""
    drbd: Bools
    external: Bools
    movable: Bools
    on_primary: Floats
    """Tally x instance: what it adds to each of the first tallies of its primary (`arrays.TALLIES`)."""
    on_secondary: Floats

    @property
    def number(self) -> int:
        """Of instances."""
        return len(self.memory)

    @classmethod
    def of(cls, instances: Sequence[Instance]) -> "Amounts":
        def column(values: list[float]) -> Floats:
            return np.array(values, dtype=np.float64)

        def flags(values: list[bool]) -> Bools:
            return np.array(values, dtype=np.bool_)

        real = flags([not one.forthcoming for one in instances])
        kinds = {template: (template.local, template.has_secondary, template.mirror is Mirror.EXTERNAL)
                 for template in {one.template for one in instances}}
        of_kind = [kinds[one.template] for one in instances]
        local = flags([kind[0] for kind in of_kind])
        online = flags([one.online for one in instances])
        kept = online & flags([one.auto_balance for one in instances])
        running = flags([one.uses_memory for one in instances])
        memory = column([one.memory for one in instances])
        disk = column([one.disk for one in instances]) * local
        cpus = column([one.vcpus for one in instances]) * online
        spindle_use = column([one.spindle_use for one in instances]) * local
        spindles = [one.spindles for one in instances]
        drbd = flags([kind[1] and one.secondary >= 0 for kind, one in zip(of_kind, instances, strict=True)])
        loads = column([value for one in instances
                        for value in (one.load.cpu, one.load.memory, one.load.disk, one.load.network)])
        loads = np.ascontiguousarray(loads.reshape(-1, 4).T) * real
        nothing, disks, uses = np.zeros(len(memory)), disk * real, spindle_use * real
        on_primary = np.array([
            memory * -1.0 * running, -disks, cpus * real, *loads, uses, -memory, -disk, cpus, spindle_use,
            nothing, nothing, nothing, memory * running, real, nothing])
        on_secondary = np.array([
            nothing, -disks, nothing, nothing, nothing, loads[2], nothing, uses, nothing, -disk, nothing, spindle_use,
            nothing, nothing, nothing, nothing, nothing, real])
        return cls(
            memory=memory * running, memory_forth=memory, running=running,
            reserved=memory * (kept & real) * drbd, reserved_forth=memory * kept * drbd,
            cpus=cpus * real, cpus_forth=cpus, disk=disks, disk_forth=disk,
            spindles=column([value or 0 for value in spindles]),
            spindles_known=flags([value is not None for value in spindles]),
            spindle_use=uses, spindle_use_forth=spindle_use, loads=loads, real=real, local=local, drbd=drbd,
            external=flags([kind[2] for kind in of_kind]),
            movable=flags([one.movable and one.auto_balance for one in instances]),
            on_primary=on_primary, on_secondary=on_secondary)
