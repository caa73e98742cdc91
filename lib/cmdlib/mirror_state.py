# SPDX-License-Identifier: BSD-2-Clause
"""What both ends say of an instance's mirrored disks, and what may be done with disks in such a state.

Before anything is taken away from one end, the other one must have the newest data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gantry.cmdlib.steps import Guest
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import Error, WrongState
from gantry.objects.cluster import Node
from gantry.rpc import calls

State = Mapping[str, Any]
"""One disk on one node, as `disks_status` tells it."""
States = Mapping[str, Sequence[State]]
"""By node (UUID), in the order of the disks; nodes that cannot be asked are left out."""
NEWEST = "UpToDate"
BROKEN = frozenset({"Diskless", "Failed", "Detaching"})


@dataclass(frozen=True, kw_only=True)
class Side:
    """One node's mirrors: which of the disks (by index) it has not brought up, which are broken there, and which hold
    the newest data.
    """

    down: frozenset[int]
    broken: frozenset[int]
    newest: frozenset[int]


def is_whole(status: str) -> bool | None:
    """Whether a mirror in this state, as its primary node tells it, has all data at both ends; None when the state says
    nothing of that: what is not up is not written to.
    """
    return None if status == "down" else status == "ok"


async def look(view: View, guest: Guest) -> States:
    """Ask the primary node and the peers; a node that does not answer is left out, with a warning."""
    if not guest.mirrored:
        return {}
    answers = await view.nodes.call_many([guest.node.uuid, *(node.uuid for node in guest.peers)], calls.disks_status,
                                         disks=list(guest.disks))
    found = {}
    for node, answer in answers.items():
        if isinstance(answer, Error):
            view.warn(f"node {view.config.nodes[node].name} cannot tell the state of the disks of instance "
                      f"{guest.name}: {answer}")
        else:
            found[node] = answer
    return found


def side(states: Sequence[State]) -> Side:
    """What one node says."""
    mirrors = [(index, state, state.get("mirror") or {"status": "down"}) for index, state in enumerate(states)]
    down = frozenset(index for index, _, seen in mirrors if seen["status"] == "down")
    return Side(down=down,
                broken=frozenset(index for index, state, seen in mirrors
                                 if not state.get("exists") or seen.get("disk") in BROKEN),
                newest=frozenset(index for index, _, seen in mirrors
                                 if index not in down and seen.get("disk") == NEWEST))


def is_down(states: States) -> bool:
    """Whether a disk is not brought up on one of the nodes."""
    return any(side(found).down for found in states.values())


def is_apart(states: States) -> bool:
    """Whether an end stands alone: it has given up looking for its peer."""
    return any((state.get("mirror") or {}).get("connection") == "StandAlone" for found in states.values()
               for state in found)


def require_usable(guest: Guest, states: States, must: str) -> None:
    """Refuse when a mirror cannot be brought up on a peer that answers; `must` says what the operator can do."""
    for node in guest.peers:
        for index in sorted(side(states.get(node.uuid, ())).broken):
            raise WrongState(detail=f"Disk consistency error: disk/{index} of instance {guest.name} is broken on "
                                    f"secondary node {node.name}, its volumes are lost or failed; make them anew "
                                    f"(gnt-instance replace-disks -s), or {must}")


def require_synced(guest: Guest, states: States, what: str, *, first: int = 0) -> None:
    """Refuse unless all disks have the newest data at both ends and are connected; `first`: index of the first disk."""
    for found in states.values():
        for index, state in enumerate(found):
            mirror = state.get("mirror") or {}
            if mirror.get("status") != "ok":
                problem = mirror.get("problem") or f"it is {mirror.get('status') or 'not there'}"
                raise WrongState(detail=f"disk/{first + index} of instance {guest.name} is not in sync ({problem}), "
                                        f"cannot {what}; see gnt-instance activate-disks")


def require_newest(config: Config, guest: Guest, states: States, node: Node, indices: Sequence[int]) -> None:
    """Refuse unless `node` has the newest data of these disks: the other end's storage is about to be given up.

    Of disks that are not brought up nobody can tell yet; the node daemon looks again when they are.
    """
    if node.uuid not in states:
        raise WrongState(detail=f"Node {node.name} has the only other copy of the disks of instance {guest.name} and "
                                "does not answer; their storage elsewhere is left as it is")
    found = side(states[node.uuid])
    bad = [index for index in indices if index not in found.newest | found.down or index in found.broken]
    if bad:
        raise WrongState(detail=f"disk/{bad[0]} of instance {guest.name} has not the newest data on node {node.name}; "
                                "giving up its storage elsewhere would lose the only good copy. Repair that node's "
                                f"mirror first (gnt-instance activate-disks {guest.name}, or replace-disks there)")
