# SPDX-License-Identifier: BSD-2-Clause
"""The machines' networks: bridges and taps in a network namespace, which takes everything along when it goes.

Network 0 (10.77.0.0/24) is the cluster's, network 1 (10.78.0.0/24) the mirrored disks'.
"""

from qa import work
from qa.work import QaError, Unavailable

NAMESPACE, TRIAL = "gantry-qa", "gantry-qa-trial"
NETWORKS = (0, 1)


def address(number: int, network: int = 0) -> str:
    """Of node `number`; 1 is this host."""
    return f"10.{77 + network}.0.{10 + number}"


def host_address(network: int = 0) -> str:
    return f"10.{77 + network}.0.1"


def tap(number: int, network: int) -> str:
    return f"n{number}-{network}"


def inside(*argv: str) -> list[str]:
    """The command that runs `argv` in the namespace."""
    return ["ip", "netns", "exec", NAMESPACE, *argv]


def try_out() -> None:
    """Raises Unavailable where this host lets nobody make such networks."""
    try:
        work.run(["ip", "netns", "add", TRIAL], seconds=20)
        try:
            for argv in (["link", "add", "qa0", "type", "bridge"], ["tuntap", "add", "n1-0", "mode", "tap"]):
                work.run(["ip", "-n", TRIAL, *argv], seconds=20)
        finally:
            work.run(["ip", "netns", "del", TRIAL], seconds=20)
    except QaError as err:
        raise Unavailable(f"network namespaces, bridges and taps cannot be made on this host: {err}") from err


def exists() -> bool:
    listed = work.run(["ip", "netns", "list"], seconds=20).stdout.decode()
    return any(line.split()[0] == NAMESPACE for line in listed.splitlines() if line.strip())


def create(count: int) -> None:
    """Namespace, bridges and taps for `count` machines."""
    work.run(["ip", "netns", "add", NAMESPACE], seconds=20)
    _ip("link", "set", "lo", "up")
    for network in NETWORKS:
        bridge = f"qa{network}"
        _ip("link", "add", bridge, "type", "bridge", "forward_delay", "0")
        _ip("address", "add", f"{host_address(network)}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for number in range(1, count + 1):
            name = tap(number, network)
            _ip("tuntap", "add", name, "mode", "tap")
            _ip("link", "set", name, "master", bridge, "up")


def remove() -> None:
    if exists():
        work.run(["ip", "netns", "del", NAMESPACE], seconds=20)


def set_cable(number: int, network: int, *, plugged: bool) -> None:
    """Cut a machine off from a network, or let it back in; the machine sees no change of its own link."""
    _ip("link", "set", tap(number, network), "up" if plugged else "down")


def _ip(*argv: str) -> None:
    work.run(["ip", "-n", NAMESPACE, *argv], seconds=20)
