# SPDX-License-Identifier: BSD-2-Clause
"""Several nodes in one process: their real backend functions, each with a root folder of its own, behind a
network that loses, repeats and delays what it is told to."""

import asyncio
import os
from contextlib import contextmanager

from gantry import paths
from gantry.backend import leader as backend_leader
from gantry.backend import store as backend_store
from gantry.errors import Error, NodeError, NodeUnreachable, StaleTerm
from gantry.leader import promise
from gantry.objects import codec
from gantry.objects.node import Version

FUNCTIONS = {name: getattr(module, name) for module, names in (
    (backend_store, ("store_status", "store_append", "store_snapshot", "store_forget")),
    (backend_leader, ("leader_accept", "leader_in_sync", "leader_known"))) for name in names}


class FakeNodes:
    """`down` nodes do not answer; `deaf` ones do the work and the answer is lost.  Each call asks `standing`
    for the caller's term and master, and a node refuses a lower term as the real server does."""

    def __init__(self, root, names, standing):
        self.root, self.names, self.standing = root, names, standing
        self.down, self.deaf, self.twice = set(), set(), set()
        self.calls, self.old = [], []

    @contextmanager
    def on(self, node):
        before = os.environ.get("GANTRY_ROOT")
        os.environ["GANTRY_ROOT"] = str(self.root / node)
        try:
            yield paths.here()
        finally:
            if before is None:
                del os.environ["GANTRY_ROOT"]
            else:
                os.environ["GANTRY_ROOT"] = before

    def ask(self, node, call, args):
        """Run the call on the node, now."""
        sent = codec.encode({name: value for name, value in args.items()})
        decoded = call.decode_args(sent)
        term, master = self.standing()
        with self.on(node):
            promised, obeyed = promise.read()
            if call.master_only and term < promised:
                raise StaleTerm(node=node, ours=term, theirs=promised)
            if call.master_only and (term, master) != (promised, obeyed) and not promise.accept(term, master):
                raise NodeError(node=node, detail="it obeys another")
            if call.name == "version":
                return Version(protocol=1, release="x", node=node, term=promised, master=obeyed)
            return codec.decode(call.result, codec.encode(FUNCTIONS[call.name](**decoded)), call.name)

    async def call(self, node, call, /, *, request_id="", **args):
        await asyncio.sleep(0)
        self.calls.append((node, call.name))
        if node in self.down:
            raise NodeUnreachable(node=node, call=call.name, detail="no route")
        self.old.append((node, call, args))
        if node in self.twice:
            self.ask(node, call, args)
        answer = self.ask(node, call, args)
        if node in self.deaf:
            raise NodeUnreachable(node=node, call=call.name, detail="the answer was lost")
        return answer

    async def call_many(self, nodes, call, /, *, request_id="", **args):
        async def quietly(node):
            try:
                return await self.call(node, call, **args)
            except NodeError as err:
                return err
            except Error as err:
                return NodeError(node=node, detail=str(err))
        nodes = list(nodes)
        return dict(zip(nodes, await asyncio.gather(*map(quietly, nodes)), strict=True))

    def replay(self, index):
        """An old request arrives once more, late."""
        if self.old:
            node, call, args = self.old[index % len(self.old)]
            try:
                self.ask(node, call, args)
            except Error:
                return
