# SPDX-License-Identifier: BSD-2-Clause
"""Is this node the master?  Asked before the master daemon does anything, and noticed when it ends."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gantry import paths
from gantry.config.config import Config
from gantry.errors import BadEnvironment, NodeError, StaleTerm
from gantry.leader import promise
from gantry.objects.node import Version
from gantry.rpc import calls
from gantry.rpc.client import NodeClient
from gantry.rpc.declare import CallType
from gantry.server.daemon import NotInCluster, NotMaster
from gantry.store.replicate import votes_needed
from gantry.utils import x509

log = logging.getLogger(__name__)
VOTE_ROUNDS, VOTE_PAUSE = 15, 1.0
"""Nodes that start at the same time as this one are given so many rounds, and seconds between two."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """This node's UUID and the term in which it is master."""

    own: str
    term: int


def read() -> Standing:
    """What this node has promised itself; raises NotInCluster, or NotMaster when it obeys another."""
    here = paths.here()
    if not here.node_certificate.exists() or not here.store.exists():
        missing = here.store if here.node_certificate.exists() else here.node_certificate
        raise NotInCluster(detail=f"this host is not part of a cluster, or no master candidate: {missing} is missing")
    own = next(iter(x509.subject(here.node_certificate.read_text()).alt_names), "")
    term, master = promise.read()
    if master != own:
        raise NotMaster(detail=f"this node is not the master: in term {term} that is the node with UUID "
                               f"{master or '(none)'}; use gnt-cluster master-failover to change that")
    return Standing(own=own, term=term)


async def ask_votes(standing: Standing, config: Config, nodes: NodeClient) -> None:
    """Return when a majority of the nodes takes this one for the master.

    Raises NotMaster when a node knows of a newer term, BadEnvironment when too few answer.
    """
    others = [node.uuid for node in config.nodes.values() if node.uuid != standing.own]
    needed = votes_needed(len(others) + 1)
    agreed = 1
    for _ in range(VOTE_ROUNDS):
        answers = await nodes.call_many(others, calls.version)
        agreed = 1 + count(standing, answers.values())
        if agreed >= needed:
            return
        log.warning("%d of %d nodes take this one for the master, %d are needed", agreed, len(others) + 1, needed)
        await asyncio.sleep(VOTE_PAUSE)
    raise BadEnvironment(detail=f"only {agreed} of {len(others) + 1} nodes take this one for the master, {needed} are "
                                "needed; start their node daemons, or use --no-voting --yes-do-it when no other "
                                "node can be the master")


def count(standing: Standing, answers: Iterable[Version | NodeError]) -> int:
    """Votes for this node; a node that was away when it was elected does not contradict.  Raises NotMaster."""
    agreed = 0
    for answer in answers:
        if isinstance(answer, StaleTerm):
            raise NotMaster(detail=str(answer))
        if isinstance(answer, NodeError):
            continue
        if answer.term > standing.term:
            raise NotMaster(detail=f"this node is no longer the master: node {answer.node} obeys {answer.master} in "
                                   f"term {answer.term}, ours is {standing.term}")
        agreed += answer.term < standing.term or answer.master == standing.own
    return agreed


class WatchedNodes:
    """Passes calls on; calls `deposed` when a node says that our term is over."""

    def __init__(self, client: NodeClient, deposed: Callable[[StaleTerm], None]) -> None:
        self._client, self._deposed = client, deposed

    async def call(self, node: str, call: CallType, /, *, request_id: str = "", **args: Any) -> Any:
        try:
            return await self._client.call(node, call, request_id=request_id, **args)
        except StaleTerm as err:
            self._deposed(err)
            raise

    async def call_many(self, nodes: Iterable[str], call: CallType, /, *, request_id: str = "",
                        **args: Any) -> dict[str, Any | NodeError]:
        answers = await self._client.call_many(nodes, call, request_id=request_id, **args)
        for answer in answers.values():
            if isinstance(answer, StaleTerm):
                self._deposed(answer)
        return answers
