# SPDX-License-Identifier: BSD-2-Clause
"""The state that the programs share, and the files that stand for block devices."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MIB = 1 << 20
EXTENT = 4 * MIB
VG = "xenvg"
PV_SIZE = 20480 * MIB

Json = dict[str, Any]


class Refused(Exception):
    """What a program prints on its way out; its exit status is the first argument."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def new_node() -> Json:
    """A node with a volume group of two physical volumes."""
    return {"pvs": {f"/dev/fake{letter}": {"vg": VG, "size": PV_SIZE, "allocatable": True, "missing": False}
                    for letter in "ab"},
            "lvs": {}, "drbd": {}, "meta": {}, "held": [], "loaded": False, "log": []}


class World:
    """The state in `folder`, for tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def changing(self) -> Iterator[Json]:
        """All nodes by root, and `cut` (pairs of addresses), `rate` (KiB/s of synchronisation, None: at once)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            file = self.folder / "state.json"
            before = file.read_text() if file.exists() else ""
            state = json.loads(before) if before else {"nodes": {}, "cut": [], "rate": None, "serial": 0}
            try:
                yield state
            finally:
                after = json.dumps(state)
                if after != before:
                    new = file.with_suffix(".new")
                    new.write_text(after)
                    new.rename(file)

    def node(self, root: Path) -> Json:
        with self.changing() as state:
            return node(state, os.fspath(root))

    def volumes(self, root: Path) -> set[str]:
        """`VG/LV` of every volume of the node."""
        return set(self.node(root)["lvs"])

    def minors(self, root: Path) -> dict[int, Json]:
        return {one["minor"]: one for one in self.node(root)["drbd"].values()}

    def cut(self, *addresses: str) -> None:
        """Nothing goes between these two addresses any more."""
        from . import links
        with self.changing() as state:
            state["cut"].append(sorted(addresses))
            links.settle(state)

    def heal(self) -> None:
        from . import links
        with self.changing() as state:
            state["cut"] = []
            links.settle(state)

    def pace(self, rate: int | None) -> None:
        """KiB/s of synchronisations; None: they are done at once."""
        with self.changing() as state:
            state["rate"] = rate

    def reboot(self, root: Path) -> None:
        """What the kernel of the node knew is gone; what its disks hold is not."""
        import shutil

        from . import links
        with self.changing() as state:
            one = node(state, os.fspath(root))
            one["drbd"], one["loaded"], one["held"], one["log"] = {}, False, [], []
            for name, volume in one["lvs"].items():
                volume["active"] = False
                device(os.fspath(root), name).unlink(missing_ok=True)
            for link in (Path(root) / "dev").glob("drbd*"):
                link.unlink()
            shutil.rmtree(Path(root) / "proc", ignore_errors=True)
            links.settle(state)


def node(state: Json, root: str) -> Json:
    found: Json = state["nodes"].setdefault(root, new_node())
    return found


def store(root: str, name: str) -> Path:
    """Where the contents of a volume lie, active or not."""
    return Path(root) / "dev/.volumes" / name.replace("/", "--")


def device(root: str, name: str) -> Path:
    return Path(root) / "dev" / name


def activate(root: str, name: str) -> None:
    path = device(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink():
        path.symlink_to(store(root, name))


def zero(path: Path, start: int, length: int) -> None:
    """Only where there are data: files of disks are mostly holes."""
    with path.open("r+b") as file:
        end = start + length
        while start < end:
            try:
                start = os.lseek(file.fileno(), start, os.SEEK_DATA)
                stop = min(os.lseek(file.fileno(), start, os.SEEK_HOLE), end)
            except OSError:
                return
            while start < stop:
                start += os.pwrite(file.fileno(), bytes(min(stop - start, MIB)), start)


def copy(source: Path, target: Path) -> None:
    """Contents of the smaller of both sizes; holes stay holes."""
    with source.open("rb") as old, target.open("r+b") as new:
        size = os.fstat(new.fileno()).st_size
        end = min(os.fstat(old.fileno()).st_size, size)
        new.truncate(0)
        new.truncate(size)
        start = 0
        while start < end:
            try:
                start = os.lseek(old.fileno(), start, os.SEEK_DATA)
                stop = min(os.lseek(old.fileno(), start, os.SEEK_HOLE), end)
            except OSError:
                return
            while start < stop:
                start += os.pwrite(new.fileno(), os.pread(old.fileno(), min(stop - start, MIB), start), start)
