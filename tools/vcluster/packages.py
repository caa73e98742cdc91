# SPDX-License-Identifier: BSD-2-Clause
"""The Debian packages a virtual cluster with real guests uses."""

import shutil

NEEDED = {
    "qemu-system-x86": "qemu-system-x86_64",
    "busybox-static": "busybox",
    "iproute2": "ip",
}
"""Package to the program that shows it is there."""


def missing() -> list[str]:
    """Names of packages to install; empty when all is there."""
    return [package for package, program in NEEDED.items() if shutil.which(program) is None]
