# SPDX-License-Identifier: BSD-2-Clause
"""Jobs, queries, job filters."""

from typing import Any

from gantry.errors import Error
from gantry.rapi.client.transport import Resource

FINAL = ("success", "error", "canceled")


class JobFailed(Error):
    text = "job {job} ended with status {status}: {result}"


class Jobs(Resource):
    folder = "jobs"

    def ids(self) -> list[int]:
        return [int(item["id"]) for item in self._transport.get("/2/jobs")]

    def all(self) -> list[dict[str, Any]]:
        """Whole objects, without logs and results."""
        return list(self._transport.get("/2/jobs", {"bulk": 1}))

    def get(self, job: int) -> dict[str, Any]:
        return dict(self._transport.get(self._path(str(job))))

    def cancel(self, job: int) -> tuple[bool, str]:
        done, message = self._transport.ask("DELETE", self._path(str(job)))
        return bool(done), str(message)

    def wait_for_change(self, job: int, fields: list[str], previous: list[Any] | None = None,
                        log_serial: int | None = None) -> dict[str, Any] | None:
        """`job_info` and `log_entries`, or None when nothing changed for ten seconds."""
        answer = self._transport.get(self._path(str(job), "wait"), None, {
            "fields": fields, "previous_job_info": previous, "previous_log_serial": log_serial})
        return None if answer is None else dict(answer)

    def wait_until_ended(self, job: int) -> list[Any]:
        """The results of its opcodes; raises JobFailed.  Needs the right to write."""
        previous: list[Any] | None = None
        while previous is None or previous[0] not in FINAL:
            answer = self.wait_for_change(job, ["status"], previous)
            previous = answer["job_info"] if answer else previous
        found = self.get(job)
        if found["status"] != "success":
            raise JobFailed(job=job, status=found["status"], result=found["opresult"])
        return list(found["opresult"])


class Queries(Resource):
    folder = "query"

    def query(self, what: str, fields: list[str], qfilter: list[Any] | None = None) -> dict[str, Any]:
        """`fields` and `data`, a cell being [status, value]."""
        if qfilter is None:
            return dict(self._transport.get(self._path(what), {"fields": ",".join(fields)}))
        return dict(self._transport.ask("PUT", self._path(what), None, {"fields": fields, "qfilter": qfilter}))

    def fields(self, what: str, fields: list[str] | None = None) -> list[dict[str, str]]:
        wanted = ",".join(fields) if fields else None
        return list(self._transport.get(self._path(what, "fields"), {"fields": wanted})["fields"])


class Filters(Resource):
    """Rules: `priority`, `predicates`, `action`, `reason`."""

    folder = "filters"

    def uuids(self) -> list[str]:
        return [item["uuid"] for item in self._transport.get("/2/filters")]

    def all(self) -> list[dict[str, Any]]:
        return list(self._transport.get("/2/filters", {"bulk": 1}))

    def get(self, uuid: str) -> dict[str, Any]:
        return dict(self._transport.get(self._path(uuid)))

    def create(self, **rule: Any) -> str:
        return str(self._transport.ask("POST", "/2/filters", None, rule))

    def replace(self, uuid: str, **rule: Any) -> str:
        return str(self._transport.ask("PUT", self._path(uuid), None, rule))

    def remove(self, uuid: str) -> None:
        self._transport.ask("DELETE", self._path(uuid))
