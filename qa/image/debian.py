# SPDX-License-Identifier: BSD-2-Clause
"""The Debian part of the image: a folder made by debootstrap, kept for as long as the list of packages is the same."""

import hashlib
import shutil
from pathlib import Path

from qa import work
from qa.work import Unavailable

SUITE = "bookworm"
PACKAGES = ("python3", "openssh-server", "iproute2", "lvm2", "drbd-utils", "qemu-system-x86", "qemu-utils", "kmod",
            "procps", "socat", "busybox-static", "iputils-arping", "iputils-ping", "e2fsprogs", "strace")
_SECONDS = 1200.0


def folder() -> Path:
    """Where the unpacked system lies; made when it is not there.  Nothing else writes into it."""
    key = hashlib.sha256(f"{SUITE} {PACKAGES}".encode()).hexdigest()[:12]
    made = work.cache() / f"debian-{key}"
    if made.is_dir():
        return made
    partial = made.with_suffix(".partial")
    if partial.exists():
        shutil.rmtree(partial)
    work.say("unpacking Debian (debootstrap), two minutes")
    log = work.cache() / "debootstrap.log"
    done = work.run(["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(partial)],
                    seconds=_SECONDS, may_fail=True, log=log)
    if done.returncode != 0:
        raise Unavailable(f"debootstrap failed with exit status {done.returncode}; see {log}")
    for lists in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(partial / lists, ignore_errors=True)
    partial.rename(made)
    return made
