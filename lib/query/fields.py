# SPDX-License-Identifier: BSD-2-Clause
"""What a field is, and what a cell of an answer can be.

A cell on the wire is `[status, value]`.  A getter returns the value itself, or one of the four `Missing`
constants where there is none.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from gantry.utils.names import nice_key

NORMAL: Final = 0


class Missing:
    """Why a cell has no value; `cell` is its wire form."""

    __slots__ = ("cell", "status", "word")

    def __init__(self, status: int, word: str) -> None:
        self.status = status
        self.word = word
        self.cell: list[Any] = [status, None]

    def __repr__(self) -> str:
        return self.word


UNKNOWN = Missing(1, "unknown")
NODATA = Missing(2, "nodata")
UNAVAIL = Missing(3, "unavail")
OFFLINE = Missing(4, "offline")


class Kind(StrEnum):
    """A field's type on the wire; the command line shows each in its own way."""

    TEXT = "text"
    BOOL = "bool"
    NUMBER = "number"
    FLOAT = "float"
    UNIT = "unit"
    TIMESTAMP = "timestamp"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a resource.  `get` takes a row of the resource.

    `needs` names what must be fetched from elsewhere before `get` can be called; empty for fields that come
    from the configuration.  `host`: a host name, which a filter may shorten to its leading components.
    """

    name: str
    title: str
    kind: Kind
    doc: str
    get: Callable[[Any], Any]
    needs: str = ""
    host: bool = False

    def definition(self) -> dict[str, str]:
        return {"name": self.name, "title": self.title, "kind": self.kind.value, "doc": self.doc}


def unknown(name: str) -> Field:
    """Stands for a field that was asked for and does not exist."""
    return Field(name, name, Kind.UNKNOWN, f"Unknown field '{name}'", lambda row: UNKNOWN)


def maybe(value: Any) -> Any:
    """`value`, or unavailable where it is None."""
    return UNAVAIL if value is None else value


@lru_cache(maxsize=1 << 15)
def sort_key(name: str) -> tuple[tuple[int, int, str], ...]:
    return tuple(nice_key(name))


def nice_sorted(names: Iterable[str]) -> list[str]:
    """In the order in which node2 comes before node10."""
    return sorted(names, key=sort_key)


def tags_of(row: Any) -> list[str]:
    return sorted(row.item.tags)


def common_fields() -> tuple[Field, ...]:
    """What every object of the configuration has, but for its name."""
    return (
        Field("ctime", "CTime", Kind.TIMESTAMP, "When it was added, in seconds since 1970",
              attrgetter("item.ctime")),
        Field("mtime", "MTime", Kind.TIMESTAMP, "When it was last changed, in seconds since 1970",
              attrgetter("item.mtime")),
        Field("serial_no", "SerialNo", Kind.NUMBER, "Counts the changes",
              attrgetter("item.serial_no")),
        Field("tags", "Tags", Kind.OTHER, "Its tags", tags_of),
        Field("uuid", "UUID", Kind.TEXT, "Its UUID, which never changes", attrgetter("item.uuid")),
    )
