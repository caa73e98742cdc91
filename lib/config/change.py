# SPDX-License-Identifier: BSD-2-Clause
"""The only way to change the configuration.

A transaction is a list of changes.  All of them are tried on a draft first; when one is wrong nothing is
changed, in memory or on disk.  Then the configuration in memory changes at once, and the rows go to the
store; what `change` returns resolves when they are durable.  The cost is the size of the change.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias

from gantry.config import history, references
from gantry.config.config import KINDS, TYPES, Config
from gantry.errors import AlreadyExists, ConfigurationError
from gantry.objects import codec
from gantry.objects.base import ConfigObject
from gantry.objects.instance import Instance
from gantry.objects.plan import Delete, Put, Update
from gantry.utils import clock

Change: TypeAlias = Put | Update | Delete
Row: TypeAlias = tuple[str, str, Any | None]

KEPT_BY_CONFIG = frozenset({"uuid", "serial_no", "ctime", "mtime"})
UNIQUE_NAMES = frozenset({"cluster", "nodes", "nodegroups", "instances", "networks", "filters"})
"""Tables whose names are unique; a disk's name is unique in its instance only."""


class Durable(Protocol):
    """What is asked of the store."""

    def put(self, rows: Sequence[Row]) -> Awaitable[Any]:
        """Enqueue; resolves to the record's serial when the rows are durable.  Raises when it can take none."""


class ConfigWriter:
    """Changes `config` and keeps it durable in `store`."""

    def __init__(self, config: Config, store: Durable, *, now: Callable[[], float] = clock.epoch) -> None:
        self._config, self._store, self._now = config, store, now

    def change(self, changes: Sequence[Change], *, who: str, why: str,
               extra: Sequence[Row] = ()) -> "asyncio.Future[Any]":
        """Apply `changes` at once; the result resolves when they and the `extra` rows are durable, together.

        `who` (a user or `job 12`) and `why` (the operation) go into the history.  Raises ConfigurationError or
        AlreadyExists, and then nothing has changed.  A change that changes nothing is no error.
        """
        now = self._now()
        draft = Draft(self._config, now)
        for change in changes:
            draft.apply(change)
        draft.check()
        touched = draft.touched()
        rows: list[Row] = [(table, uuid, None if value is None else codec.encode(value))
                           for (table, uuid), value in touched.items()]
        if touched:
            rows.append(history.row(self._config, touched, who=who, why=why, now=now))
        pending = asyncio.ensure_future(self._store.put([*rows, *extra]))  # first: a store that failed says so here
        for (table, uuid), value in touched.items():
            if value is None:
                self._config.remove(table, uuid)
            else:
                self._config.replace(table, value)
        pending.add_done_callback(self._done)
        return pending

    def inverse(self, changes: Sequence[Change]) -> list[Change]:
        """The changes that undo `changes`, from the configuration as it is now."""
        draft = Draft(self._config, self._now())
        undo = []
        for change in changes:
            undo += _undo(draft, change)
            draft.apply(change)
        return undo[::-1]

    def _done(self, pending: "asyncio.Future[Any]") -> None:
        if not pending.cancelled() and pending.exception() is None:
            serial = pending.result()
            if isinstance(serial, int):
                self._config.serial = max(self._config.serial, serial)


class Draft:
    """The configuration as it will be.  `None` stands for an object that is gone."""

    def __init__(self, config: Config, now: float) -> None:
        self._config, self._now = config, now
        self._new: dict[tuple[str, str], ConfigObject | None] = {}

    def get(self, table: str, uuid: str) -> Any:
        """The object, or None."""
        if (table, uuid) in self._new:
            return self._new[table, uuid]
        try:
            return self._config.tables[table].get(uuid)
        except KeyError:
            raise ConfigurationError(detail=f"the configuration has no table '{table}'") from None

    def apply(self, change: Change) -> None:
        if isinstance(change, Put):
            self._put(change)
        elif isinstance(change, Update):
            self._update(change)
        elif self.get(change.table, change.uuid) is not None:
            if change.table == "cluster":
                raise ConfigurationError(detail="the cluster itself cannot be taken out of the configuration")
            self._new[change.table, change.uuid] = None

    def touched(self) -> dict[tuple[str, str], ConfigObject | None]:
        """What really changed."""
        return {key: value for key, value in self._new.items()
                if value is not self._config.tables[key[0]].get(key[1])}

    def check(self) -> None:
        """Raise AlreadyExists or ConfigurationError when the result would not hold together."""
        names: set[tuple[str, str]] = set()
        disks: dict[str, str] = {}
        for (table, uuid), value in self._new.items():
            if value is None:
                references.check_gone(self._config, self.get, table, uuid)
                continue
            references.check(self.get, table, value)
            if table in UNIQUE_NAMES:
                self._check_name(table, value, names)
            if isinstance(value, Instance):
                self._check_disks(value, disks)

    def _check_name(self, table: str, value: ConfigObject, names: set[tuple[str, str]]) -> None:
        holder = self._config.uuid_of(table, value.name)
        present = None if holder in (None, value.uuid) else self.get(table, str(holder))
        if (table, value.name) in names or (present is not None and present.name == value.name):
            raise AlreadyExists(kind=KINDS[table].capitalize(), name=value.name)
        names.add((table, value.name))

    def _check_disks(self, value: Instance, claimed: dict[str, str]) -> None:
        for disk in value.disks:
            owner = self._config.owner_of(disk)
            now = self.get("instances", owner.uuid) if owner is not None and owner.uuid != value.uuid else None
            if claimed.setdefault(disk, value.uuid) != value.uuid or (now is not None and disk in now.disks):
                raise ConfigurationError(detail=f"instance '{value.name}' cannot have the disk '{disk}': it belongs to "
                                                "another instance")

    def _put(self, change: Put) -> None:
        if change.table not in TYPES:
            raise ConfigurationError(detail=f"the configuration has no table '{change.table}'")
        value = codec.decode(TYPES[change.table], change.value, f"new object in {change.table}")
        if not value.uuid:
            raise ConfigurationError(detail=f"new object in {change.table}: it has no UUID")
        old = self.get(change.table, value.uuid)
        if old is None:
            if change.table == "cluster" and self._config.tables["cluster"]:
                raise ConfigurationError(detail="there is a cluster record already")
            new = dataclasses.replace(value, ctime=value.ctime or self._now, mtime=self._now)
        else:
            new = self._next(old, value)
        self._new[change.table, value.uuid] = new

    def _update(self, change: Update) -> None:
        old = self.get(change.table, change.uuid)
        kind = KINDS.get(change.table, change.table)
        if old is None:
            raise ConfigurationError(detail=f"{kind} '{change.uuid}' cannot be changed: it is not in the configuration")
        refused = sorted(KEPT_BY_CONFIG & change.fields.keys())
        if refused:
            raise ConfigurationError(detail=f"{kind} '{old.name}': {', '.join(refused)} cannot be set, the "
                                            "configuration does it")
        value = codec.decode(type(old), codec.encode(old) | change.fields, f"{kind} '{old.name}'")
        self._new[change.table, change.uuid] = self._next(old, value)

    def _next(self, old: ConfigObject, value: ConfigObject) -> ConfigObject:
        """`value` as the successor of `old`; `old` itself when they do not differ."""
        same = dataclasses.replace(value, serial_no=old.serial_no, ctime=old.ctime, mtime=old.mtime)
        if same == old:
            return old
        return dataclasses.replace(same, serial_no=old.serial_no + 1, mtime=self._now)


def _undo(draft: Draft, change: Change) -> list[Change]:
    """What undoes one change that is about to be applied to `draft`."""
    uuid = change.value.get("uuid", "") if isinstance(change, Put) else change.uuid
    old = draft.get(change.table, uuid)
    if isinstance(change, Update) and old is not None:
        return [Update(table=change.table, uuid=uuid, fields={
            name: codec.encode(getattr(old, name)) for name in change.fields if hasattr(old, name)})]
    if old is not None:
        return [Put(table=change.table, value=codec.encode(old))]
    return [Delete(table=change.table, uuid=uuid)] if isinstance(change, Put) else []
