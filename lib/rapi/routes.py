# SPDX-License-Identifier: BSD-2-Clause
"""Every resource, and finding the one that a path names.

A path matches as a whole and as it was sent: nothing is decoded, a slash at its end is another path.
"""

import re
from collections.abc import Iterable
from typing import Any

from gantry.rapi import of_cluster, of_groups, of_instances, of_jobs, of_nodes
from gantry.rapi.endpoint import Endpoint
from gantry.rapi.failures import HttpError

_NAME, _DIGITS = re.compile(r"[\w.-]+", re.ASCII), re.compile(r"\d+", re.ASCII)
_ANY = "*"
_USUAL = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"})
"""Where a resource does not have one of these the answer is 501, as clients know it; for all others it is 405."""


def all_endpoints() -> list[Endpoint]:
    return [*of_cluster.ENDPOINTS, *of_groups.ENDPOINTS, *of_nodes.ENDPOINTS, *of_instances.ENDPOINTS,
            *of_jobs.ENDPOINTS]


class _Place:
    """What can follow a part of a path; `names`: what the variable parts on the way are called."""

    def __init__(self) -> None:
        self.next: dict[str, _Place] = {}
        self.pattern = _NAME
        self.names: tuple[str, ...] = ()
        self.methods: dict[str, Endpoint] = {}


class Routes:
    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._root = _Place()
        for endpoint in endpoints:
            self._add(endpoint)

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        """The endpoint, and the variable parts of the path; raises HttpError 404 or 501."""
        place, values = self._root, []
        for part in path.split("/")[1:]:
            following = None if part == _ANY else place.next.get(part)
            if following is None:
                following = place.next.get(_ANY)
                if following is None or not following.pattern.fullmatch(part):
                    raise HttpError(404)
                values.append(part)
            place = following
        if not place.methods or not path.startswith("/"):
            raise HttpError(404)
        endpoint = place.methods.get(method)
        if endpoint is None and method not in _USUAL:
            raise HttpError(405, allow=", ".join(sorted(place.methods)))
        if endpoint is None:
            raise HttpError(501, f"The method {method} is not supported for this resource")
        return endpoint, dict(zip(place.names, values, strict=True))

    def _add(self, endpoint: Endpoint) -> None:
        place, names = self._root, []
        for part in endpoint.path.split("/")[1:]:
            if part.startswith("{"):
                name, _, kind = part.strip("{}").partition(":")
                names.append(name)
                place = place.next.setdefault(_ANY, _Place())
                place.pattern = _DIGITS if kind == "int" else _NAME
            else:
                place = place.next.setdefault(part, _Place())
        place.names = tuple(names)
        known: Any = place.methods.setdefault(endpoint.method, endpoint)
        assert known is endpoint, f"{endpoint.method} {endpoint.path} is declared twice"  # noqa: S101 - a bug of ours
