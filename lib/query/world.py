# SPDX-License-Identifier: BSD-2-Clause
"""What queries are answered from, and what a resource is."""

import copy
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from gantry.config.config import Config
from gantry.objects.instance import Instance
from gantry.query.fields import Field, nice_sorted
from gantry.query.live import SECONDS, LiveNodes, Nodes


class JobOp(Protocol):
    """One opcode of a job; times are (seconds, microseconds) or None."""

    @property
    def shown_input(self) -> Mapping[str, Any]: ...
    @property
    def status(self) -> Any: ...
    @property
    def result(self) -> Any: ...
    @property
    def log(self) -> Sequence[Any]: ...
    @property
    def priority(self) -> int: ...
    @property
    def start(self) -> Any: ...
    @property
    def exec(self) -> Any: ...
    @property
    def end(self) -> Any: ...


class Job(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def ops(self) -> Sequence[JobOp]: ...
    @property
    def received(self) -> Any: ...
    @property
    def start(self) -> Any: ...
    @property
    def end(self) -> Any: ...
    @property
    def archived(self) -> bool: ...
    @property
    def status(self) -> Any: ...
    @property
    def priority(self) -> int: ...
    @property
    def summary(self) -> Sequence[str]: ...


class Jobs(Protocol):
    """The part of the job queue that queries read."""

    def job(self, id: int) -> Job | None: ...

    def jobs(self) -> Iterable[Job]: ...

    def archived(self, ids: Iterable[int] | None) -> Awaitable[Iterable[Job]]: ...


class LockTable(Protocol):
    """The part of the lock manager that queries read: name, mode, owner and pending of each lock in use."""

    def rows(self) -> Iterable[Mapping[str, Any]]: ...


@dataclass(frozen=True, kw_only=True)
class World:
    """Where answers come from.  `queue` and `locks` are absent where a job asks: it may not ask for those.

    `recorded` changes with each record of the store, those of jobs' steps included; without it the serial of the
    configuration stands for it.

    `patience`: seconds to wait for nodes.
    """

    config: Config
    nodes: Nodes
    queue: Jobs | None = None
    locks: LockTable | None = None
    recorded: Callable[[], int] | None = None
    patience: float = SECONDS
    live: LiveNodes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "live", LiveNodes(
            self.nodes, self.recorded or (lambda: self.config.serial), patience=self.patience))

    def steady(self) -> "World":
        """The same with a configuration that does not change while an answer is made."""
        found = copy.copy(self)
        object.__setattr__(found, "config", self.config.frozen())
        return found


class Context:
    """What the rows of one answer share: relations that are worth computing once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.config = world.config

    @cached_property
    def secondaries(self) -> dict[str, list[str]]:
        """Names of the instances that have the node (UUID) as a secondary."""
        found: dict[str, list[str]] = {}
        for instance in self.config.instances.values():
            for node in self.config.secondaries_of(instance):
                found.setdefault(node, []).append(instance.name)
        return {node: nice_sorted(names) for node, names in found.items()}

    @cached_property
    def by_group(self) -> dict[str, list[str]]:
        """Names of the instances whose primary node is in the group (UUID)."""
        found: dict[str, list[str]] = {}
        for instance in self.config.instances.values():
            found.setdefault(self.config.nodes[instance.primary_node].group, []).append(instance.name)
        return {group: nice_sorted(names) for group, names in found.items()}

    @cached_property
    def by_network(self) -> dict[str, dict[str, Instance]]:
        """Instances with an interface in the network (UUID), by name."""
        found: dict[str, dict[str, Instance]] = {}
        for instance in self.config.instances.values():
            for nic in instance.nics:
                if nic.network:
                    found.setdefault(nic.network, {})[instance.name] = instance
        return found


Row = TypeVar("Row")


@dataclass(frozen=True)
class Resource(Generic[Row]):
    """One kind of object that can be queried.

    `rows` gives the rows of the names asked for (in that order; raises NotFound), or all of them in their
    natural order; it gets the union of what the fields need.  `fetch` brings what is needed to the rows.
    `key` is the field that names are compared with.
    """

    name: str
    key: str
    fields: Mapping[str, Field]
    rows: Callable[[World, Sequence[Any] | None, frozenset[str]], Awaitable[list[Row]]]
    fetch: Callable[[World, Sequence[Row], frozenset[str]], Awaitable[None]] | None = None
    over_luxi: bool = True


def table(*groups: Iterable[Field]) -> dict[str, Field]:
    """Fields by name."""
    return {item.name: item for group in groups for item in group}
