# SPDX-License-Identifier: BSD-2-Clause
"""Initramfs images: the newc cpio format, and which kernel modules a guest needs in what order."""

import gzip
import lzma
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gantry.utils import command

_MAGIC = b"070701"
_DIRECTORY, _FILE, _LINK, _DEVICE = 0o040755, 0o100755, 0o120777, 0o020600
_SUFFIX = re.compile(r"\.ko(\.(xz|zst|gz))?$")


@dataclass(frozen=True)
class Entry:
    """One name in the archive; `device` is (major, minor) of a character device."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(name: str) -> Entry:
    return Entry(name, _DIRECTORY)


def file(name: str, data: bytes) -> Entry:
    return Entry(name, _FILE, data)


def link(name: str, target: str) -> Entry:
    return Entry(name, _LINK, target.encode())


def device(name: str, major: int, minor: int) -> Entry:
    return Entry(name, _DEVICE, device=(major, minor))


def cpio(entries: list[Entry]) -> bytes:
    """The archive; folders must come before what is in them.  The same entries give the same bytes."""
    numbered = enumerate([*entries, Entry("TRAILER!!!", 0)], start=1)
    return b"".join(_record(number, entry) for number, entry in numbered)


def _record(number: int, entry: Entry) -> bytes:
    name = entry.name.encode() + b"\0"
    fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    head = _MAGIC + b"".join(b"%08X" % value for value in fields) + name
    return _padded(head) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def find_modules(folder: Path) -> dict[str, Path]:
    """All modules below a kernel's module folder, by name (with `_`)."""
    return {_SUFFIX.sub("", path.name).replace("-", "_"): path
            for path in sorted((folder / "kernel").rglob("*.ko*")) if _SUFFIX.search(path.name)}


def read_module(path: Path) -> bytes:
    """The module's code, unpacked."""
    if path.suffix == ".zst":
        with tempfile.TemporaryDirectory() as scratch:
            unpacked = Path(scratch) / "module"
            command.run(["zstd", "-d", "-q", "-o", str(unpacked), str(path)], seconds=30)
            return unpacked.read_bytes()
    unpack = {".xz": lzma.decompress, ".gz": gzip.decompress}.get(path.suffix)
    raw = path.read_bytes()
    return unpack(raw) if unpack else raw


def insmod_order(wanted: list[str], available: dict[str, Path]) -> list[tuple[str, bytes]]:
    """(name, code) of the wanted modules and all they depend on, each after what it needs.

    What is not there is taken to be built into the kernel.
    """
    order: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in order or name not in available:
            return
        code = read_module(available[name])
        for needed in depends(code):
            add(needed)
        order[name] = code

    for name in wanted:
        add(name)
    return list(order.items())


def depends(code: bytes) -> list[str]:
    """Names of the modules that a module says it needs."""
    match = re.search(rb"\0depends=([^\0]*)\0", code)
    return [name.replace("-", "_") for name in match[1].decode().split(",") if name] if match else []
