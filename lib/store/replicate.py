# SPDX-License-Identifier: BSD-2-Clause
"""Copies of the store on master candidates.

In sync are the candidates that hold every acknowledged change; all nodes are told who they are, and only one
of them may become master.

Rule 1: a record is acknowledged when every in-sync copy has it on disk.
Rule 2: a copy that does not answer leaves the set: a majority of the nodes must know that it did before
        anything is acknowledged without it.
Rule 3: a copy joins by being brought up (by the journal's tail, or by a snapshot) while records go on; between
        two records it is made to follow each one, and then the nodes are told.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from gantry.errors import Error, NodeError, StaleTerm
from gantry.objects import codec
from gantry.objects.node import InSync, StoreStatus
from gantry.rpc import calls
from gantry.rpc.declare import CallType
from gantry.store.record import Record, Row
from gantry.store.store import Store
from gantry.utils.retry import growing

log = logging.getLogger(__name__)

META, IN_SYNC = "meta", "in_sync"
NO_COPY = StoreStatus(term=0, serial=-1)


class Nodes(Protocol):
    """Asking nodes, by UUID (`NodeClient`)."""

    async def call(self, node: str, call: CallType, /, **args: Any) -> Any: ...

    async def call_many(self, nodes: Iterable[str], call: CallType, /, **args: Any) -> dict[str, Any]: ...


def votes_needed(nodes: int) -> int:
    """How many of so many nodes a running master must reach, itself among them.

    Of two nodes one is enough, else the loss of either would stop both; there a failover is the operator's word.
    """
    return 1 if nodes <= 2 else nodes // 2 + 1


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What replication asks of the rest of the master daemon.

    `candidates` and `members` give UUIDs as of now: master candidates, and all nodes that are not marked
    offline; this node may be among them.  `remember` keeps an InSync on
    this node (`promise.remember`).  `changed` is called with the in-sync nodes after each change of the set.
    `voting` False: on the operator's word this node goes on alone, no majority need be told.
    """

    own: str
    candidates: Callable[[], Iterable[str]]
    members: Callable[[], Iterable[str]]
    remember: Callable[[InSync], bool]
    changed: Callable[[tuple[str, ...]], None] = lambda _: None
    voting: bool = True


def newest(*known: InSync) -> InSync:
    """What was said last."""
    return max(known, key=lambda item: (item.term, item.number))


def recorded(tables: Mapping[str, Mapping[str, Any]]) -> InSync:
    """The in-sync set as this copy of the store (`Store.tables()`) has it."""
    return codec.decode(InSync, tables.get(META, {}).get(IN_SYNC, {}), f"{META}/{IN_SYNC}")


class Replicator:
    """Sends records of `store` to the copies.  `start` it before the first put; `close` it before the store.

    `answer_seconds` is how long an in-sync copy may take before it leaves the set.
    """

    def __init__(self, store: Store, nodes: Nodes, around: Surroundings, known: InSync, *,
                 answer_seconds: float = 4.0,
                 pauses: Callable[[], Iterable[float]] = lambda: growing(0.5, 2, 5)) -> None:
        self._store, self._nodes, self._around = store, nodes, around
        self._answer_seconds, self._pauses = answer_seconds, pauses
        self._number = known.number if known.term == store.term else 0
        self._told: frozenset[str] = frozenset(known.nodes) - {around.own}  # the nodes may take these for in sync
        self._believed = self._told  # or these, while a telling has not reached a majority
        self._settled = False  # `known` may be a telling that the last master did not end
        self._live = set(self._told)  # these get each record before it is acknowledged
        self._known: set[str] = set(self._told)  # candidates at the last look
        self._telling = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._patient: dict[str, asyncio.Event] = {}  # bringing up their copies waits for them to answer
        self._remembering: asyncio.Future[bool] | None = None
        self._row: Row | None = None
        self._closed = False
        self.problem = ""
        """Why changes wait at this moment, or empty."""

    @property
    def in_sync(self) -> tuple[str, ...]:
        """UUIDs of the nodes that hold every acknowledged change, this one first."""
        return (self._around.own, *sorted(self._told & self._live))

    def start(self) -> None:
        self._store.attach(self)
        self.look()

    async def close(self) -> None:
        self._closed = True
        tasks = [*self._tasks.values(), *self._leaving.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *filter(None, [self._remembering]), return_exceptions=True)

    def look(self) -> None:
        """Take note of who is master candidate now: bring up new ones, let go of those that are none any more.

        Each record does this; call it where nothing is put.
        """
        wanted = set(self._around.candidates()) - {self._around.own}
        if self._closed:
            return
        come, gone = wanted - self._known, self._known - wanted
        self._known = wanted
        for node in gone:
            self._live.discard(node)
            self._end(node)
            self._leaving[node] = asyncio.create_task(self._let_go(node), name=f"store-leave-{node}")
        for node in come:
            self._bring_up(node)

    def heard(self, nodes: Iterable[str]) -> None:
        """These nodes answer again: bring their copies up at once."""
        for node in nodes:
            if node in self._patient:
                self._patient[node].set()

    # --- Copies -------------------------------------------------------------------------------------------------

    def rows(self) -> list[Row]:
        row, self._row = self._row, None
        return [] if row is None else [row]

    async def send(self, record: Record) -> None:
        self.look()
        live = sorted(self._live)
        answers = await asyncio.gather(*(self._deliver(node, record) for node in live), return_exceptions=True)
        for node, answer in zip(live, answers, strict=True):
            if isinstance(answer, StaleTerm):
                raise answer
            if answer is not None:
                self._lose(node, answer)
        if not self._settled or self._believed - self._live:
            await self._tell()

    async def _deliver(self, node: str, record: Record) -> None:
        """Raises when the copy does not have the record within the time."""
        async with asyncio.timeout(self._answer_seconds):
            status = await self._nodes.call(node, calls.store_append, records=[record.encode()])
            if (status.serial, status.digest) == (record.serial, record.digest):
                return
            missing = await self._missing(status, record)
            status = await self._nodes.call(node, calls.store_append, records=[item.encode() for item in missing])
            if (status.serial, status.digest) != (record.serial, record.digest):
                raise NodeError(node=node, detail=f"its copy of the store stands at record {status.serial}, "
                                                  f"not at {record.serial}")

    async def _missing(self, status: StoreStatus, record: Record) -> list[Record]:
        """What a copy lacks that was in sync when this master started; few, or it is none of the journal."""
        if status.serial >= record.serial or not await self._store.follows(status):
            raise NodeError(node="", detail=f"its copy of the store (record {status.serial}) is not part of this one")
        tail = [item for item in await self._store.tail(status.serial) if item.serial < record.serial]
        return [*tail, record]

    def _lose(self, node: str, err: BaseException) -> None:
        log.warning("the copy of the store on node %s is out of sync: %s", node,
                    f"no answer within {self._answer_seconds:g} s" if isinstance(err, TimeoutError) else err)
        self._live.discard(node)
        if not isinstance(err, (Error, TimeoutError)):
            raise err
        if node in self._known:
            self._bring_up(node)

    # --- who is in sync -------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        """Return when a majority of the nodes knows that only the live copies are in sync."""
        async with self._telling:
            pauses = iter(self._pauses())
            while not self._settled or frozenset(self._live) != self._told or self._believed != self._told:
                target = frozenset(self._live)
                self._believed |= target
                self._number += 1
                nodes = (self._around.own, *sorted(target))
                known = InSync(term=self._store.term, number=self._number, nodes=nodes)
                if await self._told_majority(known):
                    self.problem, self._settled = "", True
                    self._told = self._believed = target
                    self._record(known)
                    self._around.changed(nodes)
                else:
                    await asyncio.sleep(next(pauses))

    async def _told_majority(self, known: InSync) -> bool:
        self._remembering = asyncio.ensure_future(asyncio.to_thread(self._around.remember, known))
        await asyncio.shield(self._remembering)  # this node knows it before any other
        members = set(self._around.members()) | {self._around.own}
        answers = await self._nodes.call_many(sorted(members - {self._around.own}), calls.leader_in_sync, known=known)
        for answer in answers.values():
            if isinstance(answer, StaleTerm):
                self._store.fail(str(answer))
                raise answer
        heard = 1 + sum(answer is True for answer in answers.values())
        needed = votes_needed(len(members)) if self._around.voting else 1
        if heard >= needed:
            return True
        self.problem = (f"changes wait: a copy of the state was lost, and only {heard} of {len(members)} nodes can be "
                        f"told, {needed} are needed")
        log.error("%s", self.problem)
        return False

    def _record(self, known: InSync) -> None:
        """Have the next record say it; make one when none is under way."""
        self._row = (META, IN_SYNC, codec.encode(known))
        try:
            self._store.put([])
        except Error as err:
            log.info("the in-sync set is not recorded: %s", err)

    # --- bringing copies up -----------------------------------------------------------------------------------------

    def _bring_up(self, node: str) -> None:
        self._end(node)
        if self._closed:
            return
        self._tasks[node] = asyncio.create_task(self._catch_up(node), name=f"store-copy-{node}")

    def _end(self, node: str) -> None:
        task = self._tasks.pop(node, None)
        if task is not None:
            task.cancel()

    async def _catch_up(self, node: str) -> None:
        leaving = self._leaving.get(node)
        if leaving is not None:  # its copy must not be removed once it counts
            await asyncio.wait([leaving])
        for pause in self._pauses():
            try:
                status = await self._bring(node, await self._nodes.call(node, calls.store_status))
                async with self._store.between_records() as ours:
                    if status != ours:
                        async with asyncio.timeout(self._answer_seconds):
                            await self._bring(node, status)
                    self._live.add(node)
                await self._tell()
            except StaleTerm as err:
                self._store.fail(str(err))
                return
            except (Error, TimeoutError) as err:
                log.info("the copy of the store on node %s cannot be brought up yet: %s", node, err)
                await self._wait(node, pause)
            else:
                log.info("the copy of the store on node %s is in sync", node)
                return

    async def _wait(self, node: str, seconds: float) -> None:
        """Until the node is heard of, but no longer than that."""
        self._patient[node] = heard = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await heard.wait()
        except TimeoutError:
            pass
        finally:
            if self._patient.get(node) is heard:
                del self._patient[node]

    async def _bring(self, node: str, status: StoreStatus) -> StoreStatus:
        """Bring the copy to where the journal ends; where it then stands."""
        if not await self._store.follows(status):
            status = await self._send_snapshot(node, status)
        while tail := await self._store.tail(status.serial):
            before = status.serial
            status = await self._nodes.call(node, calls.store_append, records=[record.encode() for record in tail])
            if status.serial <= before:
                raise NodeError(node=node, detail=f"its copy of the store stays at record {status.serial}")
        return status

    async def _send_snapshot(self, node: str, replaces: StoreStatus) -> StoreStatus:
        number, answer = 0, NO_COPY
        async with aclosing(self._store.snapshot()) as parts:
            async for status, rows, last in parts:
                answer = await self._nodes.call(node, calls.store_snapshot, part=number, last=last,
                                                rows=[list(row) for row in rows], status=status, replaces=replaces)
                number += 1
        return answer

    async def _let_go(self, node: str) -> None:
        """Have the node remove its copy, once a majority knows that it does not count any more.  A node that
        cannot be reached keeps it."""
        for pause, _ in zip(self._pauses(), range(3), strict=False):
            try:
                await self._tell()
                if node not in self._known:
                    status = await self._nodes.call(node, calls.store_status)
                    await self._nodes.call(node, calls.store_forget, status=status)
            except Error as err:
                log.info("node %s did not remove its copy of the store: %s", node, err)
                await asyncio.sleep(pause)
            else:
                break
        if self._leaving.get(node) is asyncio.current_task():
            del self._leaving[node]
