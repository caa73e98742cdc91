# SPDX-License-Identifier: BSD-2-Clause
"""The whole store as it is at one moment, read in parts while changes go on."""

import itertools
from pathlib import Path

from gantry.store import database as files
from gantry.store.record import TextRow

MOST = 1 << 20
"""Bytes of text in a part, about."""
_ROW = 64


class Snapshot:
    """Has a connection of its own, so the writer is not held up.  `part` until it says that it was the last."""

    def __init__(self, path: Path) -> None:
        self._database = files.open_database(path)
        self._database.hold()
        self.status = self._database.status()
        self._rows = self._database.rows()
        self._next = next(self._rows, None)

    def part(self) -> tuple[list[TextRow], bool]:
        """Rows of the next part, and whether nothing follows."""
        rows: list[TextRow] = []
        size = 0
        for row in itertools.chain(() if self._next is None else (self._next,), self._rows):
            size += len(row[0]) + len(row[1]) + len(row[2]) + _ROW
            if rows and size > MOST:
                self._next = row
                return rows, False
            rows.append(row)
        self._next = None
        return rows, True

    def close(self) -> None:
        self._rows.close()
        self._database.close()
