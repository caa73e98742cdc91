# SPDX-License-Identifier: BSD-2-Clause
"""What nodes are told of the contents of a disk that go into an export, or come from one."""

from dataclasses import dataclass, field

from gantry.objects.instance import Disk


@dataclass(frozen=True, kw_only=True)
class Dump:
    """`name`: that of its file.  `disk` is read or written: by the OS definition `os`, which is given `env` and the
    instance's `disks`; as it is when there is none.
    """

    name: str
    disk: Disk
    os: str = ""
    disks: tuple[Disk, ...] = ()
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """`peer`: UUID of the node at the other end.  The receiver listens at `host` and `port`."""

    peer: str
    host: str
    port: int
