# SPDX-License-Identifier: BSD-2-Clause
"""Files that people edit while the daemon runs: read again when they changed, kept as they were when broken."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from gantry.errors import Error
from gantry.utils.files import Stamp, stamp

log = logging.getLogger(__name__)

T = TypeVar("T")


class Watched(Generic[T]):
    """`parse` makes the value of the text and may raise an Error; a missing file has the value `missing`."""

    def __init__(self, path: Path, parse: Callable[[str], T], missing: T) -> None:
        self._path, self._parse, self._missing = path, parse, missing
        self._guard = threading.Lock()
        self._stamp: Stamp | None = None
        self._value = missing

    def get(self) -> T:
        now = self._stamp
        try:
            now = stamp(self._path)
            if now != self._stamp:
                with self._guard:
                    if now != self._stamp:
                        self._value = self._missing if now is None else self._parse(self._path.read_text())
                        self._stamp = now
                        log.info("read %s", self._path)
        except (OSError, ValueError, Error) as err:
            log.error("%s cannot be read, what it said before still holds: %s", self._path, err)  # noqa: TRY400 - a sentence, no bug
            self._stamp = now if isinstance(err, (ValueError, Error)) else self._stamp
        return self._value
