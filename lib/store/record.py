# SPDX-License-Identifier: BSD-2-Clause
"""Journal records: the unit in which the store changes, is replicated and is caught up.

A record is numbered (`serial`) and carries a digest over its content and the digest of the record before it.
So two copies that agree on the digest of a serial agree on everything up to there, whatever crashed when.
On the wire: {term, serial, time, prev, rows}, `rows` being JSON text of [[table, key, JSON text or null], ...]:
values are encoded once, on the master, and stored as that text by every copy.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import simplejson

from gantry.errors import ConfigurationError

Row: TypeAlias = tuple[str, str, Any | None]
"""Table, key, and the JSON value, or None to delete."""
TextRow: TypeAlias = tuple[str, str, str | None]
"""The same with the value as JSON text."""

_ENCODER = simplejson.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def encode_rows(rows: Iterable[Row]) -> list[TextRow]:
    """Raises ConfigurationError for what JSON cannot hold.  Halves of characters, as in names of files that are no
    text, become question marks.
    """
    found: list[TextRow] = []
    for table, key, value in rows:
        try:
            text = None if value is None else _ENCODER.encode(value)
            if text is not None and not text.isascii():
                text = text.encode(errors="replace").decode()
            found.append((table, key, text))
        except (TypeError, ValueError) as err:
            raise ConfigurationError(detail=f"{table}/{key} cannot be stored: {err}") from err
    return found


def decode_value(text: str) -> Any:
    return simplejson.loads(text)


@dataclass(frozen=True, kw_only=True)
class Record:
    """`time` is seconds since 1970; `prev` the digest of the record before this one."""

    term: int
    serial: int
    time: float
    prev: str
    rows: str

    @property
    def digest(self) -> str:
        head = f"{self.prev}:{self.term}:{self.serial}:{self.time!r}:"
        return hashlib.sha256(head.encode() + self.rows.encode()).hexdigest()[:32]

    def decode_rows(self) -> list[TextRow]:
        """Raises ConfigurationError."""
        try:
            rows = [(table, key, value) for table, key, value in simplejson.loads(self.rows)]
        except (TypeError, ValueError) as err:
            raise ConfigurationError(detail=f"journal record {self.serial} is damaged: {err}") from err
        if not all(isinstance(table, str) and isinstance(key, str) and isinstance(value, str | None)
                   for table, key, value in rows):
            raise ConfigurationError(detail=f"journal record {self.serial} is damaged: it holds no rows")
        return rows

    def encode(self) -> dict[str, Any]:
        return {"term": self.term, "serial": self.serial, "time": self.time, "prev": self.prev, "rows": self.rows}


def decode_record(data: dict[str, Any]) -> Record:
    """Raises ConfigurationError."""
    try:
        record = Record(**data)
    except TypeError as err:
        raise ConfigurationError(detail=f"a journal record has wrong keys: {err}") from err
    kinds = (("term", int), ("serial", int), ("time", (int, float)), ("prev", str), ("rows", str))
    for name, kind in kinds:
        if not isinstance(getattr(record, name), kind):
            raise ConfigurationError(detail=f"a journal record has a wrong value of {name}")
    return record


def rows_text(rows: Sequence[TextRow]) -> str:
    return _ENCODER.encode(rows)


def first_digest(cluster: str) -> str:
    """The digest under an empty store of this cluster."""
    return hashlib.sha256(f"gantry:{cluster}".encode()).hexdigest()[:32]
