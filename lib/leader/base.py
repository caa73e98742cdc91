# SPDX-License-Identifier: BSD-2-Clause
"""Who is master: what the rest of the program asks, whichever way masters are chosen.

`votes.py` is the default: an operator's command chooses, and asks all nodes.
"""

from abc import ABC, abstractmethod

from gantry.errors import WrongState


class Deposed(WrongState):
    """Another node is master."""


class Leader(ABC):
    """One node's part in choosing the master.  Used on an event loop."""

    @property
    @abstractmethod
    def term(self) -> int:
        """The term this node is master in, or the highest it has seen."""

    @property
    @abstractmethod
    def has_quorum(self) -> bool:
        """Whether this master may take and start work."""

    @property
    @abstractmethod
    def problem(self) -> str:
        """Why there is no quorum, as a sentence; empty when there is."""

    @abstractmethod
    async def in_sync(self) -> tuple[str, ...]:
        """UUIDs of the nodes that hold every acknowledged change, as far as can be heard."""

    @abstractmethod
    async def confirm(self, *, rounds: int = 15, pause: float = 1.0) -> int:
        """A master daemon that starts: the term in which the cluster obeys this node.  Raises Deposed when
        another node is master, WrongState when that cannot be told."""

    @abstractmethod
    async def campaign(self) -> int:
        """Become master: the new term.  Raises WrongState with the reason, and then nothing has changed, or no
        more than that the old master is no longer obeyed."""

    @abstractmethod
    async def watch(self) -> None:
        """Keep `has_quorum` true to the facts until cancelled, or until this node is no longer master."""

    @abstractmethod
    async def resign(self) -> None:
        """Stop being master without a successor: `has_quorum` is false from here on."""
