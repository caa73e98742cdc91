# SPDX-License-Identifier: BSD-2-Clause
"""The part of `gnt-node add` that comes before its job: the new node gets its certificate and its daemon."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from gantry import paths
from gantry.bootstrap import transport
from gantry.errors import AlreadyExists, NotFound, WrongInput, WrongState
from gantry.leader import promise
from gantry.luxi.client import Client
from gantry.utils import names, x509
from gantry.utils.resolver import resolve


def add_node(name: str, options: dict[str, Any], say: Callable[[str], None]) -> dict[str, str]:
    """Make `name` ready for OP_NODE_ADD; what its parameters node_name, node_uuid and certificate must be.

    `options`: readd, no_ssh_key_check, ssh_port (all optional).
    """
    full, address = resolve(name)
    present = {row[0]: row for row in Client().call("QueryNodes", [[], ["name", "uuid", "master"], False])}
    short = names.find_short(full, present)
    readd = bool(options.get("readd"))
    if short and not readd:
        raise AlreadyExists(kind="Node", name=f"{full} (as {short}) - please retry with '--readd'; it")
    if readd and not short:
        raise NotFound(kind="Node", name=full)
    if short and present[short][2]:
        raise WrongInput(detail=f"Node {short} is the master, cannot readd")
    node_uuid = present[short][1] if short else str(uuid.uuid4())
    authority = paths.here().cluster_certificate.read_text()
    node_pem = x509.issue(authority, common_name=full, alt_names=[node_uuid, full, address])
    say(f"bringing the certificate to {full} and starting its node daemon")
    with transport.connect(full, address, ssh_port=int(options.get("ssh_port") or 22),
                           check_key=not options.get("no_ssh_key_check")) as way:
        _refuse_members(way, full)
        _install(way, authority, node_pem, f"{full} {address}")
        way.stop_daemon("gnt-noded")
        way.start_daemon("gnt-noded")
    return {"node_name": full, "node_uuid": node_uuid, "certificate": x509.digest(node_pem)}


def _refuse_members(way: transport.Transport, name: str) -> None:
    """A node of another cluster keeps what it has."""
    file = paths.here().ssconf("cluster_name")
    other = way.read(file)
    own = file.read_text().strip()
    if other is not None and other.strip() not in ("", own):
        raise WrongState(detail=f"Node {name} belongs to the cluster {other.strip()}; remove it there first")


def _install(way: transport.Transport, authority: str, node_pem: str, address: str) -> None:
    """`address` is the node's line of the primary addresses: its daemon must know where to listen."""
    here = paths.here()
    term, master = promise.read()
    way.write(here.cluster_certificate, authority, mode=0o400)
    way.write(here.node_certificate, node_pem, mode=0o400)
    way.write(here.term, json.dumps({"term": term, "master": master}), mode=0o600)
    for file in sorted(here.state.glob("ssconf_*")):
        text = file.read_text()
        if file == here.ssconf("node_primary_ips") and address not in text.splitlines():
            text += f"{address}\n"
        way.write(file, text, mode=0o444)
