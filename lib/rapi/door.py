# SPDX-License-Identifier: BSD-2-Clause
"""The way to the master daemon: kept connections, one for each request that is under way."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from gantry.luxi.client import Client

MOST_IDLE = 32


class Door(Protocol):
    """Asking the master daemon; raises as `Client.call`."""

    def call(self, method: str, args: Sequence[Any] = ()) -> Any: ...

    def raw(self, method: str, args: Sequence[Any] = ()) -> bytes: ...


class LuxiDoor:
    """For any number of threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._idle: list[Client] = []

    def call(self, method: str, args: Sequence[Any] = ()) -> Any:
        client = self._take()
        try:
            return client.call(method, args)
        finally:
            self._give_back(client)

    def raw(self, method: str, args: Sequence[Any] = ()) -> bytes:
        """The result as the JSON text that the master daemon sent."""
        client = self._take()
        try:
            return client.call_raw(method, args)
        finally:
            self._give_back(client)

    def close(self) -> None:
        with self._guard:
            idle, self._idle = self._idle, []
        for client in idle:
            client.close()

    def _take(self) -> Client:
        with self._guard:
            client = self._idle.pop() if self._idle else Client(self._path)
        client.drop_if_ended()
        return client

    def _give_back(self, client: Client) -> None:
        with self._guard:
            if len(self._idle) < MOST_IDLE:
                self._idle.append(client)
                return
        client.close()
