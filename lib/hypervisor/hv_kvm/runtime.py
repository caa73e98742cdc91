# SPDX-License-Identifier: BSD-2-Clause
"""What is remembered of a guest while it runs: the spec it was started with, and its process.

The command line is not stored; it follows from the spec.
"""

import json
from dataclasses import dataclass, field
from enum import StrEnum

from gantry import paths
from gantry.errors import ConfigurationError
from gantry.hypervisor.hv_kvm.process import ProcessId
from gantry.objects import codec
from gantry.objects.instance import Disk
from gantry.objects.vm import DiskTarget, VmSpec
from gantry.utils.files import write_atomic


class Phase(StrEnum):
    """Where a guest is in its life on this node.

    Rule: a record is written before its process starts (`starting`, `incoming`), so that whatever a crash
    leaves behind can be found by it.
    """

    STARTING = "starting"
    RUNNING = "running"
    INCOMING = "incoming"
    USER_DOWN = "user_down"


@dataclass(frozen=True, kw_only=True)
class Pivot:
    """The guest goes over from the disk `old` to the block node `node`, and then goes on if it ran before."""

    old: Disk
    node: str
    runs: bool


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """`machine` is the machine type in use, `taps` the devices of its NICs by UUID, `uid` one taken from the pool,
    `uri` where it waits (or waited) for a migration, which takes `key`, `inbox` where its disks are written to
    meanwhile; `mirrored` are the disks that are copied to where it goes, `pivot` an exchange that is at its last
    moment.
    """

    spec: VmSpec
    phase: Phase
    machine: str = ""
    process: ProcessId | None = None
    taps: dict[str, str] = field(default_factory=dict)
    uid: int | None = None
    uri: str = ""
    key: str = ""
    inbox: DiskTarget | None = None
    mirrored: tuple[str, ...] = ()
    pivot: Pivot | None = None


def save(record: Runtime) -> None:
    file = paths.here().vm_specs / f"{record.spec.uuid}.json"
    write_atomic(file, json.dumps(codec.encode(record), indent=1))


def load(guest: str) -> Runtime | None:
    """The record of a guest, None if there is none; raises ConfigurationError when it is damaged."""
    file = paths.here().vm_specs / f"{guest}.json"
    try:
        return codec.decode(Runtime, json.loads(file.read_text()), str(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as err:
        raise ConfigurationError(detail=f"{file}: {err}") from err


def known() -> list[str]:
    """UUIDs of all guests with a record."""
    return sorted(file.stem for file in paths.here().vm_specs.glob("*.json"))


def forget(guest: str) -> None:
    (paths.here().vm_specs / f"{guest}.json").unlink(missing_ok=True)
