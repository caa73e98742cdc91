# SPDX-License-Identifier: BSD-2-Clause
"""As whom a guest's QEMU runs: us, one user for all, or a user of its own from the cluster's pool."""

import os
import pwd
from collections.abc import Collection, Iterable

from gantry import paths
from gantry.errors import HypervisorError
from gantry.objects.base import Params


def run_as(hv: Params, *, taken: Collection[int]) -> tuple[str, int | None]:
    """(what QEMU's `-runas` is given or nothing, the number taken from the pool).

    Raises HypervisorError: not root, no such user, the pool is empty or used up.
    """
    model = hv["security_model"]
    if model == "none":
        return "", None
    if os.geteuid() != 0:
        raise HypervisorError(detail=f"security_model {model} needs a node daemon that runs as root")
    if model == "user":
        return user(hv["security_domain"]), None
    pool = parse_pool(_pool_text().splitlines())
    busy = set(taken) | _in_use()
    uid = next((number for number in pool if number not in busy), None)
    if uid is None:
        raise HypervisorError(detail="security_model pool: no user of the cluster's pool is free on this node; "
                                     "extend it with gnt-cluster modify --add-uids")
    return f"{uid}:{uid}", uid


def user(name: str) -> str:
    try:
        pwd.getpwnam(name)
    except KeyError:
        raise HypervisorError(detail=f"security_domain: user '{name}' does not exist on this node") from None
    return name


def parse_pool(lines: Iterable[str]) -> list[int]:
    """Numbers of a pool written as `4000-4009` or `4000`, a range a line or joined by commas.  Pure."""
    found: list[int] = []
    for item in ",".join(lines).split(","):
        if item.strip():
            first, _, last = item.strip().partition("-")
            found += range(int(first), int(last or first) + 1)
    return found


def _pool_text() -> str:
    try:
        return paths.here().ssconf("uid_pool").read_text()
    except FileNotFoundError:
        return ""


def _in_use() -> set[int]:
    """Users of all processes of this machine."""
    users = set()
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                users.add(os.stat(f"/proc/{entry}").st_uid)
            except OSError:
                continue
    return users
