# SPDX-License-Identifier: BSD-2-Clause
"""The cluster's address on this node: brought up where the master is, taken down where it was.

The address is made with a preferred lifetime of 0, so that the node does not use it as a source address.
"""

import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable

import psutil

from gantry import constants, paths
from gantry.backend import hooks
from gantry.errors import CommandFailed, HooksAbort, NotFound, WrongState
from gantry.utils import command

SECONDS = 30.0
PROBE_SECONDS = 2.0


def master_ip_start(*, netdev: str, address: str, netmask: int, external: bool) -> None:
    if external:
        _with_hooks("turnup", netdev, address, netmask, lambda: _script("start", netdev, address, netmask))
    elif not holder(address):
        _with_hooks("turnup", netdev, address, netmask, lambda: _add(netdev, address, netmask))


def master_ip_stop(*, netdev: str, address: str, netmask: int, external: bool) -> None:
    if external:
        _with_hooks("turndown", netdev, address, netmask, lambda: _script("stop", netdev, address, netmask))
        return
    found = holder(address)
    if not found or _is_implicit(address):
        return
    if found != netdev:
        raise WrongState(detail=f"the cluster address {address} is on device {found} here, not on {netdev}; remove it "
                                f"with: ip address del {address}/{netmask} dev {found}")
    _with_hooks("turndown", netdev, address, netmask, lambda: _run(del_argv(netdev, address, netmask)))


def holder(address: str) -> str:
    """The network device of this node that has the address; empty when none has."""
    wanted = ipaddress.ip_address(address)
    for device, entries in psutil.net_if_addrs().items():
        for entry in entries:
            if entry.family in (socket.AF_INET, socket.AF_INET6) and _plain(entry.address) == wanted:
                return device
    return "lo" if _is_implicit(address) else ""


def add_argv(netdev: str, address: str, netmask: int) -> list[str]:
    label = ["label", f"{netdev}:0"] if ipaddress.ip_address(address).version == 4 else []
    return ["ip", "address", "add", f"{address}/{netmask}", "dev", netdev, *label, "preferred_lft", "0"]


def del_argv(netdev: str, address: str, netmask: int) -> list[str]:
    return ["ip", "address", "del", f"{address}/{netmask}", "dev", netdev]


def announce_argv(netdev: str, address: str) -> list[str]:
    """Tell the neighbours who has the address now."""
    if ipaddress.ip_address(address).version == 4:
        return ["arping", "-q", "-U", "-c", "3", "-I", netdev, "-s", address, address]
    return ["ndisc6", "-q", "-r", "3", address, netdev]


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(text.partition("%")[0])


def _is_implicit(address: str) -> bool:
    """The kernel answers on every loopback address, whether it was added or not."""
    return ipaddress.ip_address(address).is_loopback


def _add(netdev: str, address: str, netmask: int) -> None:
    if netdev not in psutil.net_if_addrs():
        raise NotFound(kind="network device", name=netdev)
    if _answers(address):
        raise WrongState(detail=f"the cluster address {address} is not brought up: another host answers there; take it "
                                "down there first (gnt-cluster deactivate-master-ip)")
    _run(add_argv(netdev, address, netmask))
    with contextlib.suppress(CommandFailed):  # the program may be missing, and lo has no neighbours
        _run(announce_argv(netdev, address))


def _answers(address: str) -> bool:
    try:
        with socket.create_connection((address, constants.NODED_PORT), timeout=PROBE_SECONDS):
            return True
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


def _run(argv: list[str]) -> None:
    command.run(argv, seconds=SECONDS, env={"PATH": command.CLEAN_PATH})


def _variables(netdev: str, address: str, netmask: int) -> dict[str, str]:
    return {"MASTER_NETDEV": netdev, "MASTER_IP": address, "MASTER_NETMASK": str(netmask),
            "CLUSTER_IP_VERSION": str(ipaddress.ip_address(address).version)}


def _script(action: str, netdev: str, address: str, netmask: int) -> None:
    """The site's own script."""
    script = paths.here().etc / "scripts" / "master-ip-setup"
    if not os.access(script, os.X_OK):
        raise NotFound(kind="cluster IP script", name=str(script))
    command.run([str(script), action], seconds=SECONDS,
                env=_variables(netdev, address, netmask) | {"PATH": command.CLEAN_PATH})


def _with_hooks(direction: str, netdev: str, address: str, netmask: int, act: Callable[[], None]) -> None:
    """The hooks of the cluster address run on this node only; a pre script may forbid the change."""
    def env(phase: str) -> dict[str, str]:
        values = {"HOOKS_VERSION": "2", "HOOKS_PHASE": phase, "HOOKS_PATH": path, "OBJECT_TYPE": "CLUSTER",
                  "OP_CODE": f"OP_CLUSTER_IP_{direction.upper()}", "DATA_DIR": str(paths.here().state),
                  **_variables(netdev, address, netmask)}
        return {f"GANETI_{name}": value for name, value in values.items()}

    path = f"master-ip-{direction}"
    failed = [[socket.gethostname(), result.script, result.output]
              for result in hooks.hooks_run(phase="pre", path=path, env=env("pre")) if result.code == hooks.FAILED]
    if failed:
        raise HooksAbort(results=failed)
    act()
    hooks.hooks_run(phase="post", path=path, env=env("post"))
