# SPDX-License-Identifier: BSD-2-Clause
"""Node groups and networks."""

from typing import Any

from gantry.rapi.client.transport import Listed


class Groups(Listed):
    folder = "groups"

    def create(self, name: str, *, dry_run: bool = False, reason: str | None = None, **params: Any) -> int:
        return self._job("POST", "/2/groups", {"dry-run": dry_run, "reason": reason}, {"group_name": name, **params})

    def remove(self, name: str, *, dry_run: bool = False, reason: str | None = None) -> int:
        return self._job("DELETE", self._path(name), {"dry-run": dry_run, "reason": reason})

    def modify(self, name: str, *, reason: str | None = None, **params: Any) -> int:
        return self._job("PUT", self._path(name, "modify"), {"reason": reason}, params)

    def rename(self, name: str, new_name: str, *, dry_run: bool = False, reason: str | None = None) -> int:
        return self._job("PUT", self._path(name, "rename"), {"dry-run": dry_run, "reason": reason},
                         {"new_name": new_name})

    def assign_nodes(self, name: str, nodes: list[str], *, force: bool = False, dry_run: bool = False,
                     reason: str | None = None) -> int:
        return self._job("PUT", self._path(name, "assign-nodes"),
                         {"force": force, "dry-run": dry_run, "reason": reason}, {"nodes": nodes})


class Networks(Listed):
    folder = "networks"

    def create(self, name: str, network: str, *, dry_run: bool = False, reason: str | None = None,
               **params: Any) -> int:
        """`network`: its IPv4 subnet."""
        return self._job("POST", "/2/networks", {"dry-run": dry_run, "reason": reason},
                         {"network_name": name, "network": network, **params})

    def remove(self, name: str, *, force: bool = False, dry_run: bool = False, reason: str | None = None) -> int:
        return self._job("DELETE", self._path(name), {"dry-run": dry_run, "reason": reason}, {"force": force})

    def connect(self, name: str, group: str, mode: str, link: str, *, dry_run: bool = False,
                reason: str | None = None) -> int:
        return self._job("PUT", self._path(name, "connect"), {"dry-run": dry_run, "reason": reason},
                         {"group_name": group, "network_mode": mode, "network_link": link})

    def disconnect(self, name: str, group: str, *, dry_run: bool = False, reason: str | None = None) -> int:
        return self._job("PUT", self._path(name, "disconnect"), {"dry-run": dry_run, "reason": reason},
                         {"group_name": group})

    def modify(self, name: str, *, reason: str | None = None, **params: Any) -> int:
        return self._job("PUT", self._path(name, "modify"), {"reason": reason}, params)

    def rename(self, name: str, new_name: str, *, dry_run: bool = False, reason: str | None = None) -> int:
        return self._job("PUT", self._path(name, "rename"), {"dry-run": dry_run, "reason": reason},
                         {"new_name": new_name})
