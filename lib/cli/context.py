# SPDX-License-Identifier: BSD-2-Clause
"""One invocation of a command: its options and arguments, and the way to the master daemon."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from gantry.cli.declare import Command
from gantry.cli.options import PRIORITIES
from gantry.errors import WrongInput
from gantry.utils.clock import nanoseconds


class LuxiClient(Protocol):
    """What commands need of the master daemon's client."""

    def call(self, method: str, args: Sequence[Any] = ...) -> Any: ...


def open_client() -> LuxiClient:
    from gantry.luxi.client import Client

    return Client()


class Context:
    """`options` has an attribute for each option of the command, None where it was not given."""

    def __init__(self, program: str, name: str, command: Command, options: Any, args: list[str],
                 connect: Callable[[], LuxiClient] = open_client) -> None:
        self.program, self.name, self.command = program, name, command
        self.options, self.args = options, args
        self._connect = connect
        self._client: LuxiClient | None = None

    def call(self, method: str, *args: Any) -> Any:
        """The master daemon's answer."""
        if self._client is None:
            self._client = self._connect()
        return self._client.call(method, args)

    def option(self, name: str) -> Any:
        """The option's value; None also where the command has no such option."""
        return getattr(self.options, name, None)

    def reason(self) -> list[list[Any]]:
        """The reason trail that this invocation starts."""
        trail: list[list[Any]] = [[f"gnt:client:{self.program}", self.name, nanoseconds()]]
        if self.option("reason"):
            trail.append(["gnt:user", self.options.reason, nanoseconds()])
        return trail

    def opcode(self, op_id: str, **params: Any) -> dict[str, Any]:
        """An opcode's wire form with the common parameters of this invocation."""
        op = {"OP_ID": op_id, **params, "reason": self.reason()}
        if self.option("dry_run"):
            op["dry_run"] = True
        if self.option("priority") in PRIORITIES:
            op["priority"] = PRIORITIES[self.options.priority]
        if self.option("debug"):
            op["debug_level"] = self.options.debug
        return op

    # --- looking things up ---

    def query(self, what: str, fields: Sequence[str], qfilter: Any = None) -> list[list[Any]]:
        """Values of a query; what is not available is None."""
        answer = self.call("Query", what, list(fields), qfilter)
        return [[cell[1] for cell in row] for row in answer["data"]]

    def named(self, what: str, fields: Sequence[str], names: Sequence[str]) -> list[list[Any]]:
        """The same for objects of these names (short ones too); raises for a name that is not known."""
        return self.query(what, fields, by_names(what, names))

    def one(self, what: str, fields: Sequence[str], name: str) -> list[Any]:
        rows = self.named(what, fields, [name])
        if len(rows) != 1:
            raise WrongInput(detail=f"{what.capitalize()} name '{name}' is not unique" if rows else
                             f"{what.capitalize()} '{name}' not known")
        return rows[0]


def by_names(what: str, names: Sequence[str]) -> list[Any] | None:
    """A filter that looks objects up by name; None (everything) for no names."""
    if not names:
        return None
    key: dict[str, str] = {"job": "id", "filter": "uuid", "export": "node"}
    field = key.get(what, "name")
    found: list[Any] = [["==", field, int(name) if what == "job" else name] for name in names]
    return found[0] if len(found) == 1 else ["|", *found]
