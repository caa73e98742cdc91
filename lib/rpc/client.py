# SPDX-License-Identifier: BSD-2-Clause
"""Asking nodes: `NodeClient` on the master's event loop, `BlockingClient` for programs without one."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pycurl

from gantry import constants
from gantry.errors import Error, NodeError, NodeRefused
from gantry.rpc import calls, credentials
from gantry.rpc.declare import CallType
from gantry.rpc.exchange import Handle, Peer, Request, check, no_answer, request
from gantry.rpc.multi import TransferFailed, Transfers
from gantry.utils import counting

Directory = Callable[[str], tuple[str, str]]
"""Node UUID to (name, address); a NodeError or NotFound it raises goes to the caller."""
Standing = Callable[[], tuple[int, str]]
"""The caller's term and the UUID of its master, now."""

MOST_IDLE = 64


class _Generation:
    """Handles and connections made with one state of the certificate files."""

    def __init__(self, stamp: credentials.Stamp) -> None:
        self.stamp = stamp
        self.transfers = Transfers()
        self.idle: list[Handle] = []

    def take(self) -> Handle:
        return self.idle.pop() if self.idle else Handle()

    def give_back(self, handle: Handle) -> None:
        if len(self.idle) < MOST_IDLE:
            self.idle.append(handle)


class NodeClient:
    """Calls to node daemons over kept connections; implements `Nodes` of `lib/cmdlib/view.py`.

    Belongs to the loop it is first used on.  Every node is verified as itself, by its UUID.
    """

    def __init__(self, directory: Directory, standing: Standing, *, port: int = constants.NODED_PORT) -> None:
        self._directory, self._standing, self._port = directory, standing, port
        self._generation: _Generation | None = None
        self._old: list[_Generation] = []

    async def call(self, node: str, call: CallType, /, *, request_id: str = "", **args: Any) -> Any:
        """The result of `call` on the node of this UUID.

        With `request_id` a node that was asked before answers with its first result.  Raises NodeUnreachable
        (no answer in time), NodeRefused, StaleTerm, the error the node raised, or DecodeError for an
        answer that makes no sense; all of them name the node.
        """
        return await self._ask(self._peer(node), request(call, args, self._standing(), request_id))

    async def call_many(self, nodes: Iterable[str], call: CallType, /, *, request_id: str = "",
                        **args: Any) -> dict[str, Any | NodeError]:
        """The same call to many nodes at once; whatever fails is a NodeError among the answers."""
        wanted = request(call, args, self._standing(), request_id)
        uuids = list(dict.fromkeys(nodes))
        answers = await asyncio.gather(*(self._ask_quietly(uuid, wanted) for uuid in uuids))
        return dict(zip(uuids, answers, strict=True))

    async def close(self) -> None:
        """Close all connections; calls still under way fail."""
        for generation in [*self._old, *([self._generation] if self._generation else [])]:
            generation.transfers.close()
        self._old, self._generation = [], None

    def _peer(self, node: str) -> Peer:
        name, address = self._directory(node)
        return Peer(node, name, address)

    async def _ask_quietly(self, node: str, wanted: Request) -> Any:
        try:
            return await self._ask(self._peer(node), wanted)
        except NodeError as err:
            return err
        except Error as err:
            return _as_node_error(err, node)

    async def _ask(self, peer: Peer, wanted: Request) -> Any:
        try:
            return await self._exchange(peer, wanted)
        except NodeRefused as err:
            # A node that was away while this master was elected has not promised anything yet.
            if not err.facts.get("promise_missing") or not await self._promise(peer):
                raise
        return await self._exchange(peer, wanted)

    async def _promise(self, peer: Peer) -> bool:
        term, master = self._standing()
        ask = request(calls.leader_accept, {"term": term, "master": master}, (term, master))
        return bool(await self._exchange(peer, ask))

    async def _exchange(self, peer: Peer, wanted: Request) -> Any:
        check(peer, wanted)
        generation = self._present()
        handle = generation.take()
        handle.aim(peer, self._port, wanted)
        try:
            with counting.RPC_SECONDS.time(peer.name):
                await generation.transfers.perform(handle.easy)
            return handle.answer(peer, wanted.call)
        except TransferFailed as err:
            counting.RPC_ERRORS.add(peer.name, "no answer")
            raise no_answer(peer, wanted.call, err.code, err.message) from err
        except Error as err:
            counting.RPC_ERRORS.add(peer.name, type(err).__name__)
            raise
        finally:
            generation.give_back(handle)

    def _present(self) -> _Generation:
        """The generation of the certificate files as they are now; older ones end with their last call."""
        stamp = credentials.own_stamp()
        if self._generation is None or self._generation.stamp != stamp:
            if self._generation is not None:
                self._old.append(self._generation)
            self._generation = _Generation(stamp)
        if self._old:
            for generation in [old for old in self._old if not old.transfers.busy]:
                generation.transfers.close()
                self._old.remove(generation)
        return self._generation


class BlockingClient:
    """The same calls, one at a time, for bootstrap programs; connections are kept from call to call."""

    def __init__(self, directory: Directory, standing: Standing, *, port: int = constants.NODED_PORT) -> None:
        self._directory, self._standing, self._port = directory, standing, port
        self._handle: Handle | None = None
        self._stamp: credentials.Stamp = ()

    def call(self, node: str, call: CallType, /, *, request_id: str = "", **args: Any) -> Any:
        """As `NodeClient.call`, but blocking, and a missing promise is not asked for."""
        peer, wanted = Peer(node, *self._directory(node)), request(call, args, self._standing(), request_id)
        check(peer, wanted)
        handle = self._present()
        handle.aim(peer, self._port, wanted)
        try:
            handle.easy.perform()
        except pycurl.error as err:
            raise no_answer(peer, call, int(err.args[0]), str(err.args[-1])) from err
        return handle.answer(peer, call)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.easy.close()
            self._handle = None

    def _present(self) -> Handle:
        stamp = credentials.own_stamp()
        if self._handle is None or self._stamp != stamp:
            self.close()
            self._handle, self._stamp = Handle(), stamp
        return self._handle


def ask(peer: Peer, call: CallType, /, *, standing: tuple[int, str] = (0, ""), port: int = constants.NODED_PORT,
        **args: Any) -> Any:
    """One call by a program that knows the node's UUID, name and address; raises as `BlockingClient.call`."""
    client = BlockingClient(lambda _uuid: (peer.name, peer.address), lambda: standing, port=port)
    try:
        return client.call(peer.uuid, call, **args)
    finally:
        client.close()


def _as_node_error(err: Error, node: str) -> NodeError:
    name = str(err.facts.get("on_node") or node)
    wrapped = NodeError(node=name, detail=str(err).removeprefix(f"node {name}: "))
    wrapped.__cause__ = err
    return wrapped
