# SPDX-License-Identifier: BSD-2-Clause
"""Nodes."""

from typing import Any

from gantry.rapi.client.transport import Listed


class Nodes(Listed):
    folder, key = "nodes", "id"

    def powercycle(self, name: str, *, force: bool = False, reason: str | None = None) -> int:
        return self._job("POST", self._path(name, "powercycle"), {"force": force, "reason": reason})

    def role(self, name: str) -> str:
        return str(self._transport.get(self._path(name, "role")))

    def set_role(self, name: str, role: str, *, force: bool = False, auto_promote: bool = False,
                 reason: str | None = None) -> int:
        return self._job("PUT", self._path(name, "role"),
                         {"force": force, "auto-promote": auto_promote, "reason": reason}, role)

    def evacuate(self, name: str, *, dry_run: bool = False, reason: str | None = None, **params: Any) -> int:
        return self._job("POST", self._path(name, "evacuate"), {"dry-run": dry_run, "reason": reason}, params)

    def migrate(self, name: str, *, reason: str | None = None, **params: Any) -> int:
        return self._job("POST", self._path(name, "migrate"), {"reason": reason}, params)

    def modify(self, name: str, *, reason: str | None = None, **params: Any) -> int:
        return self._job("POST", self._path(name, "modify"), {"reason": reason}, params)

    def storage(self, name: str, storage_type: str, fields: list[str], *, reason: str | None = None) -> int:
        """The rows are the result of the job."""
        return self._job("GET", self._path(name, "storage"), {
            "storage_type": storage_type, "output_fields": ",".join(fields), "reason": reason})

    def modify_storage(self, name: str, storage_type: str, unit: str, *, allocatable: bool | None = None,
                       reason: str | None = None) -> int:
        return self._job("PUT", self._path(name, "storage", "modify"), {
            "storage_type": storage_type, "name": unit, "allocatable": allocatable, "reason": reason})

    def repair_storage(self, name: str, storage_type: str, unit: str, *, reason: str | None = None) -> int:
        return self._job("PUT", self._path(name, "storage", "repair"), {
            "storage_type": storage_type, "name": unit, "reason": reason})
