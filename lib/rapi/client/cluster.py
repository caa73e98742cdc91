# SPDX-License-Identifier: BSD-2-Clause
"""The cluster as a whole."""

from typing import Any

from gantry.rapi.client.transport import Resource


class ClusterResource(Resource):
    def version(self) -> int:
        return int(self._transport.get("/version"))

    def info(self) -> dict[str, Any]:
        return dict(self._transport.get("/2/info"))

    def features(self) -> list[str]:
        return list(self._transport.get("/2/features"))

    def operating_systems(self) -> list[str]:
        """Names that an instance can be created with."""
        return list(self._transport.get("/2/os"))

    def operating_systems_bulk(self) -> list[dict[str, Any]]:
        return list(self._transport.get("/2/os", {"bulk": 1}))

    def redistribute_config(self, *, reason: str | None = None) -> int:
        return self._job("PUT", "/2/redistribute-config", {"reason": reason})

    def modify(self, *, reason: str | None = None, **params: Any) -> int:
        return self._job("PUT", "/2/modify", {"reason": reason}, params)

    def tags(self) -> list[str]:
        return list(self._transport.get("/2/tags"))

    def add_tags(self, tags: list[str], *, dry_run: bool = False, reason: str | None = None) -> int:
        return self._job("PUT", "/2/tags", {"tag": tags, "dry-run": dry_run, "reason": reason})

    def remove_tags(self, tags: list[str], *, dry_run: bool = False, reason: str | None = None) -> int:
        return self._job("DELETE", "/2/tags", {"tag": tags, "dry-run": dry_run, "reason": reason})

    def metrics(self) -> str:
        return str(self._transport.get("/metrics"))

    def description(self) -> dict[str, Any]:
        """The OpenAPI description."""
        return dict(self._transport.get("/2/openapi.json"))
