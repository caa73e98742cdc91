# SPDX-License-Identifier: BSD-2-Clause
"""Who changed what in the configuration, when and why.

Each transaction leaves one row in the table `history`; its key is the time in nanoseconds, so keys sort by
age.  The store keeps the youngest rows (`lib/store/store.py`).  Private OS parameters are never written here.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import simplejson

from gantry.config.config import Config
from gantry.objects import codec
from gantry.objects.base import ConfigObject

TABLE = "history"
_NOT_SHOWN = frozenset({"uuid", "serial_no", "ctime", "mtime"})
_PRIVATE = frozenset({"osparams_private", "osparams_private_cluster"})
_LONGEST = 200
"""Characters of an old or new value."""


@dataclass(frozen=True, kw_only=True)
class Touched:
    """One object of a transaction.  `action`: add, change or remove; `fields`: old and new value by field
    name, as JSON text that may be cut."""

    table: str
    uuid: str
    name: str
    action: str
    fields: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One transaction; `time` is seconds since 1970."""

    time: float
    who: str
    why: str
    objects: tuple[Touched, ...] = ()


class Readable(Protocol):
    """What is asked of the store."""

    async def read(self, table: str, keys: Iterable[str] | None = None) -> dict[str, Any]: ...


class _Keys:
    """Keys that grow even when the clock does not."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now: float) -> str:
        self._last = max(self._last + 1, int(now * 1e9))
        return f"{self._last:020d}"


_KEYS = _Keys()


def row(config: Config, touched: Mapping[tuple[str, str], ConfigObject | None], *, who: str, why: str,
        now: float) -> tuple[str, str, Any]:
    """The history row of a transaction that is about to be applied to `config`."""
    objects = tuple(_touched(table, uuid, config.tables[table].get(uuid), new)
                    for (table, uuid), new in touched.items())
    return TABLE, _KEYS.next(now), codec.encode(Entry(time=now, who=who, why=why, objects=objects))


async def read(store: Readable, *, uuid: str | None = None, limit: int = 100) -> list[Entry]:
    """The youngest entries, youngest first; with `uuid` those that touched that object."""
    rows = await store.read(TABLE)
    found = []
    for key in sorted(rows, reverse=True):
        entry = codec.decode(Entry, rows[key], f"{TABLE}/{key}")
        if uuid is None or any(item.uuid == uuid for item in entry.objects):
            found.append(entry)
            if len(found) == limit:
                break
    return found


def _touched(table: str, uuid: str, old: Any, new: Any) -> Touched:
    if old is None or new is None:
        return Touched(table=table, uuid=uuid, name=(new or old).name, action="add" if old is None else "remove")
    fields = {}
    for field in dataclasses.fields(new):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before is not after and before != after and field.name not in _NOT_SHOWN:
            fields[field.name] = ("(private)", "(private)") if field.name in _PRIVATE else _differ(before, after)
    return Touched(table=table, uuid=uuid, name=new.name, action="change", fields=fields)


def _differ(before: Any, after: Any) -> tuple[str, str]:
    """Old and new value; of dictionaries only the keys that differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        before = {key: before[key] for key in keys if key in before}
        after = {key: after[key] for key in keys if key in after}
    return _short(before), _short(after)


def _short(value: Any) -> str:
    text = simplejson.dumps(codec.encode(value))
    return text if len(text) <= _LONGEST else text[:_LONGEST - 3] + "..."
