# SPDX-License-Identifier: BSD-2-Clause
"""The state of every instance and job, read at a cost that does not grow with how many want to know."""

import json
import threading
from dataclasses import dataclass
from typing import Any

from gantry.rapi.door import Door
from gantry.rapi.failures import HttpError
from gantry.rapi.objects import ANSWER

FIELDS = ("uuid", "name", "status", "admin_state", "oper_state", "pnode", "snodes", "serial_no")


@dataclass(frozen=True)
class JobState:
    status: str
    summary: list[str]


class States:
    """Of one cluster; for any number of threads."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._guard = threading.Lock()
        self._version: str | None = None
        self._instances: dict[str, dict[str, Any]] = {}

    def instances(self) -> dict[str, dict[str, Any]]:
        """By UUID; the same object while nothing has changed."""
        with self._guard:
            text = self._door.raw("QueryInstanceObjects", [None, list(FIELDS), self._version])
            start = ANSWER.match(text)
            if start is None:
                raise HttpError(502, "The master daemon's answer makes no sense")
            if text[start.end():] != b"null}":
                self._instances = {item["uuid"]: item for item in json.loads(text[start.end():-1])}
                self._version = start[1].decode()
            return self._instances

    def jobs(self) -> dict[int, JobState]:
        """All that are not archived, by id."""
        rows = self._door.call("QueryJobs", [[], ["id", "status", "summary"]])
        return {id: JobState(status, summary) for id, status, summary in rows if status is not None}

    def wait(self, known: int, seconds: float) -> int:
        """The number of the newest record: as soon as it is not `known`, or after these seconds."""
        return int(self._door.call("WaitForRecord", [known, seconds]))
