# SPDX-License-Identifier: BSD-2-Clause
"""The stream of changes."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pycurl

from gantry.rapi.client.transport import Transport, Unreachable, decode

WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Event:
    """`kind`: job, instance, or reset when some were missed."""

    number: int
    kind: str
    data: dict[str, Any]


class Events:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def listen(self, kinds: Sequence[str] = (), last_seen: int | None = None) -> Iterator[Event | None]:
        """Events as they come, on a connection of their own; None first, when it is open, and where a second passed
        without any.  Raises RapiError, or Unreachable when the stream ends.
        """
        url = self._transport.address("/2/events", {"kinds": ",".join(kinds) or None})
        headers = [] if last_seen is None else [f"Last-Event-ID: {last_seen}"]
        curl, received = self._transport.handle(url, headers), bytearray()
        curl.setopt(pycurl.WRITEFUNCTION, received.extend)
        multi = pycurl.CurlMulti()
        multi.add_handle(curl)
        try:
            while True:
                ended = self._advance(multi)
                yield from _cut(received)
                if ended:
                    status = int(curl.getinfo(pycurl.RESPONSE_CODE))
                    decode(status or 200, bytes(received))
                    raise Unreachable(url=self._transport.url, detail="the stream of events ended")
                if multi.select(WAIT_SECONDS) <= 0 and curl.getinfo(pycurl.RESPONSE_CODE) == 200:
                    yield None
        finally:
            multi.remove_handle(curl)
            curl.close()
            multi.close()

    def _advance(self, multi: pycurl.CurlMulti) -> bool:
        """Read what is there; whether the stream has ended."""
        while True:
            result, running = multi.perform()
            if result != pycurl.E_CALL_MULTI_PERFORM:
                break
        _, _, failed = multi.info_read()
        for _, code, words in failed:
            raise Unreachable(url=self._transport.url, detail=f"{words} ({code})")
        return not running


def _cut(received: bytearray) -> Iterator[Event | None]:
    """Take whole blocks off the front; a comment is None."""
    while (end := received.find(b"\n\n")) >= 0:
        lines = bytes(received[:end]).decode().splitlines()
        del received[:end + 2]
        parts = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
        yield Event(int(parts["id"]), parts["event"], json.loads(parts["data"])) if parts else None
