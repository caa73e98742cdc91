# SPDX-License-Identifier: BSD-2-Clause
"""Ground of the node machines: where things lie, running programs of this host, and telling what happens."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
"""The clone this package belongs to."""

HOST_PACKAGES = {"debootstrap": "debootstrap", "qemu-system-x86": "qemu-system-x86_64", "qemu-utils": "qemu-img",
                 "iproute2": "ip", "e2fsprogs": "mke2fs", "kmod": "depmod", "openssh-client": "ssh-keygen"}
"""Debian package to the program that shows it is there."""

MEMORY_NEEDED = 6 << 10
"""MiB, of three machines and what this program does meanwhile."""

_BEGIN = time.monotonic()


class QaError(Exception):
    """A sentence for the person at the terminal."""


class Unavailable(QaError):
    """What the machines are made of cannot be had here: no fault of what they are to show."""


def cache() -> Path:
    """What is costly to make and may be removed at any time: `$QA_CACHE`, else below `~/.cache/gantry`."""
    base = os.environ.get("QA_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    found = Path(base) if os.environ.get("QA_CACHE") else Path(base) / "gantry" / "qa"
    found.mkdir(parents=True, exist_ok=True)
    return found


def run(argv: Sequence[str], *, seconds: float, may_fail: bool = False, log: Path | None = None,
        env: Mapping[str, str] | None = None, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run a program of this host to its end; its output is captured, or goes to the file `log`.

    Raises QaError when it cannot run, does not end in time, or fails and `may_fail` is not set.
    """
    full = None if env is None else os.environ | dict(env)
    try:
        if log is None:
            done = subprocess.run(list(argv), input=stdin, capture_output=True, timeout=seconds, env=full, check=False)
        else:
            with log.open("wb") as out:
                done = subprocess.run(list(argv), input=stdin, stdout=out, stderr=out, timeout=seconds, env=full,
                                      check=False)
    except subprocess.TimeoutExpired as err:
        raise QaError(f"{argv[0]} did not end within {seconds:g} seconds: {' '.join(argv)}") from err
    except OSError as err:
        raise QaError(f"{argv[0]} cannot be run: {err}") from err
    if done.returncode != 0 and not may_fail:
        text = ((done.stderr or b"") + (done.stdout or b"")).decode(errors="replace").strip()[-2000:]
        raise QaError(f"`{' '.join(argv)}` failed with exit status {done.returncode}: {text or log}")
    return done


def say(text: str) -> None:
    print(f"[{time.monotonic() - _BEGIN:7.1f}] {text}", flush=True)


def missing() -> str:
    """Why the machines cannot run here, in a sentence; empty when they can."""
    if os.geteuid() != 0:
        return "node machines need root (network namespaces, taps, debootstrap)"
    if not Path("/dev/net/tun").exists():
        return "node machines need /dev/net/tun"
    if _available_memory() < MEMORY_NEEDED:
        return f"node machines need {MEMORY_NEEDED >> 10} GiB of memory that nobody uses"
    if sys.version_info[:2] != (3, 11):
        return ("node machines are Debian 12 and take their Python packages from this environment, which must be "
                f"of Python 3.11, not {sys.version_info[0]}.{sys.version_info[1]}")
    return ""


def _available_memory() -> int:
    """MiB."""
    found = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
    return int(found.split()[1]) >> 10


def install_host_packages() -> None:
    """Debian packages that are missing here; needs root and the network."""
    needed = [package for package, program in HOST_PACKAGES.items() if shutil.which(program) is None]
    if not needed:
        return
    say("installing " + ", ".join(needed))
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *needed]
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    if run(install, seconds=600, may_fail=True, env=env).returncode == 0:
        return
    run(["apt-get", "update", "-qq"], seconds=600, may_fail=True, env=env)
    if run(install, seconds=600, may_fail=True, env=env).returncode != 0:
        raise Unavailable(f"the Debian packages {' '.join(needed)} cannot be installed; see `{' '.join(install)}`")
