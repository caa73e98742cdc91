# SPDX-License-Identifier: BSD-2-Clause
"""Is this node the master?  Asked before the master daemon does anything, and noticed when it ends."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gantry import paths
from gantry.errors import NodeError, StaleTerm
from gantry.leader import promise
from gantry.rpc.client import NodeClient
from gantry.rpc.declare import CallType
from gantry.server.daemon import NotInCluster, NotMaster
from gantry.utils import x509


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
