# SPDX-License-Identifier: BSD-2-Clause
"""Masters chosen by an operator's word and the votes of the nodes.

A node's promise (`promise.py`) is its vote: it obeys one master in one term and nobody of a lower one.  A
node that wants to be master needs the promises of a strict majority of the nodes that are not marked offline,
and a copy of the store that holds every acknowledged change.  As the old master too needs a majority to
take a copy out of the in-sync set, and every promise fences it, no change is lost and no two masters act.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gantry.errors import Error, NodeError, StaleTerm, WrongState
from gantry.leader.base import Deposed, Leader
from gantry.objects.node import InSync, StoreStatus, Version
from gantry.rpc import calls
from gantry.store.replicate import Nodes, newest, votes_needed

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Local:
    """This node.  `names` gives the nodes that are not marked offline, UUID to name, itself among them.

    `promised`, `accept`, `known`, `remember` are those of `promise.py`; `status` tells where the own copy of the
    store stands.
    """

    own: str
    names: Callable[[], dict[str, str]]
    promised: Callable[[], tuple[int, str]]
    accept: Callable[[int, str], bool]
    known: Callable[[], InSync]
    remember: Callable[[InSync], bool]
    status: Callable[[], StoreStatus]


class Votes(Leader):
    """With `voting` False nobody is asked for a vote: for two nodes of which one is gone, on the operator's word.

    `on_deposed` is called once, with a sentence, when a higher term is seen while `watch` runs; `on_return` with
    nodes that answer again.
    """

    def __init__(self, nodes: Nodes, local: Local, *, voting: bool = True, pause: float = 5.0,
                 on_deposed: Callable[[str], None] = lambda _: None,
                 on_return: Callable[[set[str]], None] = lambda _: None) -> None:
        self._nodes, self._local, self._voting, self._pause = nodes, local, voting, pause
        self._on_deposed, self._on_return = on_deposed, on_return
        self._silent: set[str] = set()
        self._problem = "this node is not master"
        self._deposed = False

    @property
    def term(self) -> int:
        return self._local.promised()[0]

    @property
    def has_quorum(self) -> bool:
        return not self._problem

    @property
    def problem(self) -> str:
        return self._problem

    async def in_sync(self) -> tuple[str, ...]:
        return (await self._newest_known()).nodes

    # --- a master that starts ---------------------------------------------------------------------------------

    async def confirm(self, *, rounds: int = 15, pause: float = 1.0) -> int:
        """Asks up to `rounds` times, `pause` seconds apart: after a power cut the other nodes are as late as this."""
        problem = ""
        for left in reversed(range(rounds)):
            term, master = self._local.promised()
            if master != self._local.own:
                raise Deposed(detail=f"this node is not master: the master of term {term} is "
                                        f"{self._name(master) if master else 'unknown'}")
            problem = await self._unconfirmed(term)
            if not problem:
                self._problem = ""
                return term
            if left:
                log.warning("%s; the nodes are asked again", problem)
                await asyncio.sleep(pause)
        raise WrongState(detail=f"{problem}; if you know that no other master runs, start it with --no-voting")

    async def _unconfirmed(self, term: int) -> str:
        """Why the nodes do not confirm this master; empty when they do.  Raises WrongState when they deny it."""
        versions = await self._ask(calls.version)
        votes, silent = {self._local.own}, []
        for node, answer in versions.items():
            if not isinstance(answer, Version):
                silent.append(node)
            elif answer.term > term:
                raise Deposed(detail=f"this node is no longer master: node {self._name(node)} obeys "
                                        f"{self._name(answer.master)} in term {answer.term}, this is term {term}")
            elif (answer.term, answer.master) == (term, self._local.own):
                votes.add(node)
        nodes = len(versions) + 1
        if not self._voting or 2 * len(votes) > nodes:
            return ""
        return (f"only {len(votes)} of {nodes} nodes confirm that this node is master, more than half are needed"
                + self._list(", no answer from", silent))

    # --- a node that wants to be master -------------------------------------------------------------------------

    async def campaign(self) -> int:
        term = await self._next_term()
        await self._check_copy(await self._newest_known())
        if not self._local.accept(term, self._local.own):
            raise WrongState(detail=f"this node has promised to obey another master in term {term} or later")
        answers = await self._ask(calls.leader_accept, term=term, master=self._local.own)
        votes = 1 + sum(answer is True for answer in answers.values())
        if self._voting and 2 * votes <= len(answers) + 1:
            against = [node for node, answer in answers.items() if answer is not True]
            raise WrongState(detail=f"only {votes} of {len(answers) + 1} nodes accept this node as master, more than "
                                    "half are needed" + self._list("; not", against)
                                    + "; try again when they are reachable, or use --no-voting when they are lost")
        known = await self._newest_known()  # the old master could change it until a majority had promised
        await self._check_copy(known)
        self._local.remember(known)
        self._problem = ""
        return term

    async def _next_term(self) -> int:
        versions = [answer for answer in (await self._ask(calls.version)).values() if isinstance(answer, Version)]
        nodes = len(self._local.names())
        if self._voting and 2 * (len(versions) + 1) <= nodes:
            raise WrongState(detail=f"only {len(versions) + 1} of {nodes} nodes can be reached, more than half are "
                                    "needed for a new master; use --no-voting when the others are lost")
        return max([self.term, self._local.status().term, *(version.term for version in versions)]) + 1

    async def _check_copy(self, known: InSync) -> None:
        """Raise WrongState unless the own copy of the store holds every acknowledged change."""
        ours = self._local.status()
        if ours.serial < 0:
            raise WrongState(detail="this node holds no copy of the cluster's state, it cannot become master"
                                    + self._list("; nodes that can:", known.nodes))
        if self._local.own not in known.nodes:
            problem = ("this node's copy of the cluster's state is out of date"
                       + (self._list("; up to date are:", known.nodes) or "; no node has an up to date copy"))
            if self._voting:
                raise WrongState(detail=problem)
            log.warning("%s; it is used all the same", problem)
        others = [node for node in known.nodes if node != self._local.own and node in self._local.names()]
        answers = await self._nodes.call_many(others, calls.store_status)
        for node, theirs in answers.items():
            if isinstance(theirs, StoreStatus) and (theirs.term, theirs.serial) > (ours.term, ours.serial):
                raise WrongState(detail=f"node {self._name(node)} holds a newer copy of the cluster's state (term "
                                        f"{theirs.term}, record {theirs.serial}; here term {ours.term}, record "
                                        f"{ours.serial}): make that node the master")

    async def _newest_known(self) -> InSync:
        answers = await self._ask(calls.leader_known)
        return newest(self._local.known(), *(answer for answer in answers.values() if isinstance(answer, InSync)))

    # --- while it is master ---------------------------------------------------------------------------------------

    async def watch(self) -> None:
        while not self._deposed:
            await asyncio.sleep(max(self._pause, len(self._local.names()) / 10))
            try:
                await self.look()
            except Error as err:
                log.error("the nodes could not be asked whom they obey: %s", err)  # noqa: TRY400 - a sentence, no bug

    async def look(self) -> None:
        """Ask all nodes once."""
        term, master = self._local.promised()
        if master != self._local.own:
            self.depose(f"this node has promised to obey {self._name(master)} in term {term}")
            return
        versions = await self._ask(calls.version)
        silent = [node for node, answer in versions.items() if not isinstance(answer, Version)]
        for node, answer in versions.items():
            if isinstance(answer, Version) and answer.term > term:
                self.depose(f"node {self._name(node)} obeys {self._name(answer.master)} in term {answer.term}")
                return
            if isinstance(answer, StaleTerm):
                self.depose(f"node {self._name(node)}: {answer}")
                return
        back, self._silent = self._silent & versions.keys() - set(silent), set(silent)
        if back:
            self._on_return(back)
        reached, nodes = len(versions) + 1 - len(silent), len(versions) + 1
        needed = votes_needed(nodes) if self._voting else 1
        problem = "" if reached >= needed else (
            f"only {reached} of {nodes} nodes can be reached, {needed} are needed: no new work is taken or started"
            + self._list("; no answer from", silent))
        if bool(problem) != bool(self._problem):
            log.warning("%s", problem or f"{reached} of {nodes} nodes can be reached again: work goes on")
        self._problem = problem

    def depose(self, why: str) -> None:
        """This node is no longer master."""
        if not self._deposed:
            self._deposed, self._problem = True, f"this node is no longer master: {why}"
            log.critical("%s", self._problem)
            self._on_deposed(self._problem)

    async def resign(self) -> None:
        self._deposed, self._problem = True, "this node has resigned as master"

    # --- helpers ----------------------------------------------------------------------------------------------------

    async def _ask(self, call: Any, **args: Any) -> dict[str, Any | NodeError]:
        """Answers of all nodes but this one."""
        others = [node for node in self._local.names() if node != self._local.own]
        return await self._nodes.call_many(others, call, **args)

    def _name(self, node: str) -> str:
        return self._local.names().get(node, node)

    def _list(self, words: str, nodes: Iterable[str] | Sequence[str]) -> str:
        names = sorted(self._name(node) for node in nodes)
        return f"{words} {', '.join(names)}" if names else ""
