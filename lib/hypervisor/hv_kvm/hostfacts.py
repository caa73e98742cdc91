# SPDX-License-Identifier: BSD-2-Clause
"""What this node's emulator can do: asked once for each QEMU and boot, then read from a file."""

import json
import os
import re
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from gantry import paths
from gantry.errors import CommandFailed, ConfigurationError, HypervisorError
from gantry.hypervisor.hv_kvm import probe, process
from gantry.objects import codec
from gantry.utils import command
from gantry.utils.files import write_atomic

_MACHINE = re.compile(r"^(\S+)\s+.*?(?:\(alias of (\S+)\))?( \(default\))?(?: \(deprecated\))?$")
_VERSION = re.compile(r"version (\d+)\.(\d+)")
_lock = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """`key` says for which emulator file and boot this holds.  `aliases` leads from pc and q35 to the
    versioned names; `default` is the versioned name of the default machine.  `kvm` is None until it was tried."""

    key: str = ""
    version: tuple[int, int] = (0, 0)
    machines: frozenset[str] = frozenset()
    aliases: dict[str, str] = field(default_factory=dict)
    default: str = ""
    kvm: bool | None = None
    spice: bool = False
    vhost: bool = False


def machine(wanted: str, pinned: str, facts: HostFacts) -> str:
    """The machine type to use: the versioned name, where the operator asks for nothing or an alias.

    `pinned` is the one of earlier starts; it stays in use while it is of the family asked for.
    """
    pinned = "" if pinned in facts.aliases else pinned
    concrete = facts.aliases.get(wanted, wanted) or facts.default
    if pinned and (not wanted or (wanted in facts.aliases and _family(pinned) == _family(concrete))):
        concrete = pinned
    if concrete not in facts.machines:
        raise HypervisorError(detail=f"the emulator does not know the machine type {concrete}; "
                                     f"set machine_version to one of its list (-machine help)")
    return concrete


def is_q35(name: str) -> bool:
    return name.startswith("pc-q35") or name == "q35"


def _family(name: str) -> str:
    return name.rpartition("-")[0]


def parse_machines(text: str) -> tuple[frozenset[str], dict[str, str], str]:
    """(names, aliases, default) from the output of `-machine help`."""
    names, aliases, default = set(), {}, ""
    for line in text.splitlines()[1:]:
        match = _MACHINE.match(line)
        if match:
            names.add(match[1])
            default = match[1] if match[3] else default
            if match[2]:
                aliases[match[1]] = match[2]
    return frozenset(names), aliases, aliases.get(default, default)


def gather(emulator: str, *, kvm: bool, again: bool = False) -> HostFacts:
    """Facts about `emulator`; raises HypervisorError when it is missing or does not start.

    With `kvm` it is found out whether KVM works, which takes some seconds the first time after a boot where it does
    not.  `again`: when it did not, it is tried once more.
    """
    with _lock:
        key = _key(emulator)
        file = paths.here().kvm / f"facts-{Path(emulator).name}.json"
        facts = _read(file)
        if facts is None or facts.key != key:
            facts = _ask(emulator, key)
        elif not kvm or facts.kvm or (facts.kvm is False and not again):
            return facts
        if kvm:
            facts = replace(facts, kvm=os.access("/dev/kvm", os.R_OK | os.W_OK) and probe.works(emulator))
        write_atomic(file, json.dumps(codec.encode(facts)))
        return facts


def _key(emulator: str) -> str:
    try:
        found = Path(emulator).resolve(strict=True).stat()
    except OSError as err:
        raise HypervisorError(detail=f"the emulator {emulator} cannot be used: {err.strerror}; "
                                     "install qemu-system-x86 or set kvm_path") from err
    device = "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "no-kvm"
    return f"{process.boot_id()} {found.st_ino} {found.st_size} {found.st_mtime_ns} {device}"


def _read(file: Path) -> HostFacts | None:
    """A damaged file is as good as none: it is made again."""
    try:
        return codec.decode(HostFacts, json.loads(file.read_text()), str(file))
    except (OSError, ValueError, ConfigurationError):
        return None


def _ask(emulator: str, key: str) -> HostFacts:
    try:
        version = _VERSION.search(command.run([emulator, "-version"], seconds=20).stdout)
    except CommandFailed as err:
        raise HypervisorError(detail=f"the emulator {emulator} does not work: {err}") from err
    if version is None:
        raise HypervisorError(detail=f"{emulator} does not say its version, it seems to be no QEMU")
    names, aliases, default = parse_machines(command.run([emulator, "-machine", "help"], seconds=20).stdout)
    spice = command.run([emulator, "-spice", "help"], seconds=20, may_fail=True)
    return HostFacts(key=key, version=(int(version[1]), int(version[2])), machines=names, aliases=aliases,
                     default=default, spice="spice options" in spice.stdout,
                     vhost=os.access("/dev/vhost-net", os.R_OK | os.W_OK))
