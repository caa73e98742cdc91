# SPDX-License-Identifier: BSD-2-Clause
"""`gnt-cluster renew-crypto`: exchange the cluster's certificates and keys, on all nodes that are not marked offline.

Guests and tasks run on.  What is exchanged outside of jobs may be exchanged again: a run that was cut off is repaired
by the next.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from gantry import paths
from gantry.bootstrap import daemons, transport
from gantry.bootstrap.transport import Transport
from gantry.errors import BadEnvironment, Error, WrongInput, WrongState
from gantry.utils import resolver, x509

Say = Callable[[str], None]


class Members:
    """The nodes that are not marked offline, and ways into all of them; a context manager."""

    def __init__(self, *, check_key: bool) -> None:
        self._stack = ExitStack()
        self._check_key = check_key
        self.ways: dict[str, Transport] = {}
        self.ports: dict[str, int] = {}
        self.own = resolver.own_name()

    def __enter__(self) -> "Members":
        """Raises BadEnvironment when one cannot be reached: nothing is changed then."""
        try:
            for name, address in _addresses().items():
                self.ports[name] = int(_pairs("ssh_ports", "=").get(name) or 22)
                self.ways[name] = self._stack.enter_context(transport.connect(
                    name, address, ssh_port=self.ports[name], check_key=self._check_key))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()


def own_files(new: Mapping[Path, str], members: Members, say: Say) -> None:
    """Replace secret files on all nodes, while nobody needs them."""
    say("Updating certificates and keys")
    for name, way in members.ways.items():
        for path, text in new.items():
            if name != members.own:
                say(f"Copying {path} to {name}:{members.ports[name]}")
            way.write(path, text, mode=0o400)


def cluster_certificate(members: Members, say: Say) -> None:
    """Exchange the cluster's certificate while the daemons stand still.  Each node issues itself a certificate under it
    when its daemon starts; their digests are then to be recorded (OP_CLUSTER_RENEW_CRYPTO).
    """
    here = paths.here()
    authority = x509.make_authority(here.ssconf("cluster_name").read_text().strip())
    say("Stopping master daemons")
    was_serving = daemons.stop_daemon("gnt-rapi", here.root)
    daemons.stop_daemon("gnt-masterd", here.root)
    failed: list[str] = []
    try:
        for name, way in members.ways.items():
            say(f"Stopping daemons on {name}")
            failed += _tried(name, lambda way=way: way.stop_daemon("gnt-noded"), say)  # type: ignore[misc]  # bound now
        say("Updating the cluster SSL certificate.")
        for name, way in members.ways.items():
            if name != members.own:
                say(f"Copying {here.cluster_certificate} to {name}:{members.ports[name]}")
            failed += _tried(name, lambda way=way: way.write(  # type: ignore[misc]  # bound now
                here.cluster_certificate, authority, mode=0o400), say)
        say("Updating client SSL certificates.")
    finally:
        for name, way in members.ways.items():
            say(f"Starting daemons on {name}")
            failed += _tried(name, lambda way=way: way.start_daemon("gnt-noded"), say)  # type: ignore[misc]  # bound now
        for daemon in ("gnt-masterd", *(["gnt-rapi"] if was_serving else [])):
            say(f"Starting daemon {daemon}")
            daemons.start_daemon(daemon, here.root)
    if failed:
        names = ", ".join(dict.fromkeys(failed))
        raise BadEnvironment(detail=f"The new cluster certificate is not in use on: {names}; run this again when they "
                                    "can be reached, or add them again with gnt-node add --readd")


def read_given(path: str) -> str:
    """A key and certificate that the administrator gives."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        x509.expiry(text)
    except (OSError, UnicodeDecodeError, Error) as err:
        raise WrongInput(detail=f"{path} does not hold a certificate: {err}") from err
    return text


def _tried(node: str, act: Callable[[], None], say: Say) -> list[str]:
    """The node's name when it did not work."""
    try:
        act()
    except Error as err:
        say(f"Warning: node {node}: {err}")
        return [node]
    return []


def _addresses() -> dict[str, str]:
    """Of the nodes that are not marked offline, this one first."""
    offline = set(_lines("offline_nodes"))
    own = resolver.own_name()
    found = {name: address for name, address in _pairs("node_primary_ips", " ").items() if name not in offline}
    if own not in found:
        raise WrongState(detail=f"This node ({own}) is not among the nodes of the cluster that are online")
    return {own: found[own]} | found


def _pairs(key: str, separator: str) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition(separator) for line in _lines(key))}


def _lines(key: str) -> list[str]:
    file = paths.here().ssconf(key)
    return file.read_text().splitlines() if file.exists() else []
