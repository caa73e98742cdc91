# SPDX-License-Identifier: BSD-2-Clause
"""What a logical unit may look at."""

from collections.abc import Iterable
from typing import Any, Protocol

from gantry.config.config import Config
from gantry.errors import NodeError
from gantry.rpc.declare import CallType


class Nodes(Protocol):
    """Asking nodes, by UUID."""

    async def call(self, node: str, call: CallType, /, *, request_id: str = "", **args: Any) -> Any:
        """The node's answer, or a NodeError (or the error the node raised).

        Asked again with the same `request_id` (JOB.OP.STEP), a node answers with its first result.
        """

    async def call_many(self, nodes: Iterable[str], call: CallType, /, *, request_id: str = "",
                        **args: Any) -> dict[str, Any | NodeError]:
        """Answers of many nodes at once, within the call's time; what failed is a NodeError in the answer."""


class Reservations(Protocol):
    """Names, addresses and ports that running jobs will use; released when the job ends."""

    def taken(self, kind: str) -> frozenset[str]:
        """Values of `kind` (mac, ip, port, minor, name) reserved by jobs other than this one."""

    def held(self, kind: str) -> frozenset[str]:
        """Values of `kind` reserved by any job, this one included."""

    def reserve(self, kind: str, value: str) -> None:
        """Reserve for this job, until it ends or its plan (which lists it again) is stored."""


class View(Protocol):
    """Configuration to read, nodes to ask, a log to write to.  One for each run of a job's opcode."""

    config: Config
    nodes: Nodes
    reservations: Reservations

    @property
    def job(self) -> int:
        """The job's id."""

    def say(self, line: str) -> None:
        """A line for the job's log."""

    def warn(self, line: str) -> None:
        """` - WARNING: ` and the line."""

    def locked(self, level: str) -> frozenset[str]:
        """Names whose locks are held at a level: of an opportunistic one, those that were free."""

    def new_uuid(self) -> str:
        """A fresh UUID; `plan` itself may not make one."""
