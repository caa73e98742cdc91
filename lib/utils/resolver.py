# SPDX-License-Identifier: BSD-2-Clause
"""Names to addresses; a virtual cluster's own hosts file comes first."""

import socket

from gantry import paths
from gantry.errors import CannotResolve


def own_name() -> str:
    """The name of this node."""
    here = paths.here()
    if here.hostname.is_file() and str(here.root) != "/":
        return here.hostname.read_text().strip()
    return socket.getfqdn()


def resolve(name: str) -> tuple[str, str]:
    """(full name, IPv4 or IPv6 address) of `name`; raises CannotResolve."""
    found = _from_hosts(name)
    if found is not None:
        return found
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    except OSError as err:
        raise CannotResolve(name=name) from err
    _, _, _, canonical, address = answers[0]
    return canonical or name, str(address[0])


def _from_hosts(name: str) -> tuple[str, str] | None:
    here = paths.here()
    if str(here.root) == "/" or not here.hosts.is_file():
        return None
    for line in here.hosts.read_text().splitlines():
        address, *names = line.split("#")[0].split() or [""]
        if name in names:
            return names[0], address
    return None
