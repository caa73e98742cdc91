# SPDX-License-Identifier: BSD-2-Clause
"""Requests and answers over HTTP, on a kept pycurl handle."""

import json
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import pycurl

from gantry.errors import Error
from gantry.utils.clock import SYSTEM, Clock

Credentials = tuple[str, str]
"""Name and password; with an empty name the other is a bearer token."""
Arguments = Mapping[str, str | int | bool | list[str] | None]
TRIES, PAUSE = 3, 0.5
CONNECT_SECONDS = 10.0

_MAY_PASS = frozenset({pycurl.E_COULDNT_CONNECT, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR, pycurl.E_GOT_NOTHING,
                       pycurl.E_PARTIAL_FILE})


class RapiError(Error):
    """The server refused: `status`, and its `message` and `explain`."""

    text = "{message} ({status})"

    @property
    def status(self) -> int:
        return int(self.facts["status"])


class Unreachable(Error):
    """The server gave no answer."""

    text, http_status = "cannot ask {url}: {detail}", 502


class Transport:
    """Requests that change something carry a key of their own, so that one which broke off can be sent again."""

    def __init__(self, url: str, credentials: Credentials | None, *, authority: str | None, verify: bool,
                 seconds: float, clock: Clock = SYSTEM) -> None:
        self.url, self._credentials, self._clock = url.rstrip("/"), credentials, clock
        self._authority, self._verify, self._seconds = authority, verify, seconds
        self._curl: pycurl.Curl | None = None

    def close(self) -> None:
        if self._curl is not None:
            self._curl.close()
            self._curl = None

    def get(self, path: str, arguments: Arguments | None = None, body: Any = None) -> Any:
        return self.ask("GET", path, arguments, body)

    def ask(self, method: str, path: str, arguments: Arguments | None = None, body: Any = None) -> Any:
        """What the JSON of the answer says; text that is no JSON as it is."""
        headers = [] if method == "GET" else [f"Idempotency-Key: {uuid.uuid4()}"]
        raw = None if body is None else json.dumps(body).encode()
        for left in reversed(range(TRIES)):
            try:
                return self._exchange(method, self.address(path, arguments), headers, raw)
            except pycurl.error as err:
                self.close()
                code, words = int(err.args[0]), str(err.args[-1])
                if left == 0 or code not in _MAY_PASS:
                    raise Unreachable(url=self.url, detail=f"{words} ({code})") from err
            self._clock.sleep(PAUSE)
        raise AssertionError  # pragma: no cover  # the last try returns or raises

    def address(self, path: str, arguments: Arguments | None) -> str:
        given = [(name, str(int(value)) if isinstance(value, bool) else value)
                 for name, value in (arguments or {}).items() if value is not None]
        query = urlencode(given, doseq=True)
        return f"{self.url}{path}" + (f"?{query}" if query else "")

    def handle(self, url: str, headers: list[str]) -> pycurl.Curl:
        """A new handle that is ready for this address."""
        curl = pycurl.Curl()
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(CONNECT_SECONDS * 1000))
        curl.setopt(pycurl.SSL_VERIFYPEER, int(self._verify))
        curl.setopt(pycurl.SSL_VERIFYHOST, 2 if self._verify and not self._authority else 0)
        if self._authority:
            curl.setopt(pycurl.CAINFO, self._authority)
        self.aim(curl, url, headers)
        return curl

    def aim(self, curl: pycurl.Curl, url: str, headers: list[str]) -> None:
        name, secret = self._credentials or ("", "")
        curl.setopt(pycurl.URL, url)
        if name:
            curl.setopt(pycurl.HTTPAUTH, pycurl.HTTPAUTH_BASIC)
            curl.setopt(pycurl.USERNAME, name)
            curl.setopt(pycurl.PASSWORD, secret)
        elif secret:
            headers = [*headers, f"Authorization: Bearer {secret}"]
        curl.setopt(pycurl.HTTPHEADER, [*headers, "Expect:", "Accept: application/json"])

    def _exchange(self, method: str, url: str, headers: list[str], body: bytes | None) -> Any:
        curl = self._curl = self._curl or self.handle(url, headers)
        self.aim(curl, url, headers if body is None else [*headers, "Content-Type: application/json"])
        curl.setopt(pycurl.TIMEOUT_MS, int(self._seconds * 1000))
        if body is None:
            curl.setopt(pycurl.HTTPGET, 1)
        else:
            curl.setopt(pycurl.POSTFIELDS, body)
        curl.setopt(pycurl.CUSTOMREQUEST, method)
        answer = curl.perform_rb()
        return decode(int(curl.getinfo(pycurl.RESPONSE_CODE)), answer)


def decode(status: int, answer: bytes) -> Any:
    try:
        data = json.loads(answer)
    except ValueError:
        data = answer.decode(errors="replace")
    if status != 200:
        known = data if isinstance(data, dict) else {"message": str(data)[:200]}
        raise RapiError(status=status, message=known.get("message", ""), explain=known.get("explain", ""))
    return data


class Resource:
    """Part of the interface: paths below one folder."""

    folder = ""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _path(self, name: str, *parts: str) -> str:
        return "/".join(("/2", self.folder, quote(name, safe=""), *parts))

    def _job(self, method: str, path: str, arguments: Arguments | None = None, body: Any = None) -> int:
        """Submit; the id of the job."""
        return int(self._transport.ask(method, path, arguments, body))


class Tagged(Resource):
    """A resource whose objects have tags."""

    def tags(self, name: str) -> list[str]:
        return list(self._transport.get(self._path(name, "tags")))

    def add_tags(self, name: str, tags: list[str], *, dry_run: bool = False, reason: str | None = None) -> int:
        return self._job("PUT", self._path(name, "tags"), {"tag": tags, "dry-run": dry_run, "reason": reason})

    def remove_tags(self, name: str, tags: list[str], *, dry_run: bool = False, reason: str | None = None) -> int:
        return self._job("DELETE", self._path(name, "tags"), {"tag": tags, "dry-run": dry_run, "reason": reason})


class Listed(Tagged):
    """A resource that can be listed; `key`: where short lists have the name."""

    key = "name"

    def names(self) -> list[str]:
        return [item[self.key] for item in self._transport.get(f"/2/{self.folder}")]

    def all(self) -> list[dict[str, Any]]:
        """Whole objects."""
        return list(self._transport.get(f"/2/{self.folder}", {"bulk": 1}))

    def get(self, name: str) -> dict[str, Any]:
        return dict(self._transport.get(self._path(name)))
