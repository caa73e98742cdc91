# SPDX-License-Identifier: BSD-2-Clause
"""`/2/events`: changes of jobs and instances as server-sent events, so that nobody has to poll.

    event: job          data: {"id", "status", "summary"}                 new, or its status changed
    event: instance     data: {"uuid", "name", "status", "admin_state", ...}   new, changed, or with "removed": true

While somebody listens, however many do, the master daemon is asked when it has recorded something, and once a second
for what guests do by themselves.  A client that reads too slowly
is let go; one that comes back with the number of the last event it saw (`Last-Event-ID`) is sent what it missed, or
the event `reset` when that is not known any more.
"""

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from gantry.errors import Error
from gantry.rapi.endpoint import STREAM, Argument, Endpoint, look
from gantry.rapi.failures import HttpError, bad_request
from gantry.rapi.request import Raw, Request
from gantry.rapi.states import States
from gantry.utils import clock
from gantry.utils.clock import SYSTEM

log = logging.getLogger(__name__)

SECONDS = 1.0
LEAST_SECONDS, SHARE = 0.1, 10
"""Pause after a look: at least so long, and so many times as long as the look took."""
KEEP_ALIVE_SECONDS = 15.0
LINGER_SECONDS = 30.0
"""How long changes are noted after the last listener has left: it may come back."""
REMEMBERED = 10_000
MOST_LISTENERS = 200
HEADERS = [("Content-Type", STREAM), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")]
KINDS = ("job", "instance")
KIND = Argument(name="kinds", doc="which events: job, instance, or both, separated by a comma")


class Sink(Protocol):
    """A connection that was let go by its server."""

    def sendall(self, data: bytes) -> None: ...

    def stop_blocking(self) -> None:
        """From here on `sendall` raises OSError where it would have to wait: a client that does not keep up."""

    def gone(self) -> bool: ...

    def close(self) -> None: ...


@dataclass
class _Listener:
    """`kinds`: which events it wants."""

    sink: Sink
    kinds: frozenset[str]
    last_sent: float = field(default_factory=SYSTEM.now)


@dataclass(frozen=True)
class _Event:
    number: int
    kind: str
    text: bytes


class Events:
    """Finds out what changes, and tells; one thread, which exists while somebody listens."""

    def __init__(self, states: States) -> None:
        self._states = states
        self._guard = threading.Lock()
        self._listeners: list[_Listener] = []
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._past: deque[_Event] = deque(maxlen=REMEMBERED)
        self._last_listened = SYSTEM.now()
        self._record = -1
        self._number = clock.nanoseconds() // 1_000_000  # numbers of an earlier life of this daemon are lower
        self._jobs: dict[int, str] | None = None
        self._instances: dict[str, dict[str, Any]] | None = None

    def full(self) -> bool:
        with self._guard:
            return len(self._listeners) >= MOST_LISTENERS

    def add(self, take: Callable[[], Sink], kinds: Iterable[str], last_seen: int | None) -> None:
        """Tell the sink that `take` gives of everything from now on, and of what it missed after the event `last_seen`.

        Raises an Error, and takes nothing, when the master daemon cannot be asked.
        """
        with self._guard:
            if self._jobs is None:
                list(self._changes())
                self._number += 1  # what happened before this look is not known
        listener = _Listener(take(), frozenset(kinds))
        text = b": listening\n\n"
        try:
            while text:
                listener.sink.sendall(text)
                with self._guard:
                    text = b"".join(self._missed(last_seen, listener.kinds))
                    last_seen = None if last_seen is None else self._number
                    if not text:
                        listener.sink.stop_blocking()
                        self._listeners.append(listener)
                        self._start()
        except OSError as err:
            log.info("a listener is gone: %s", err)
            listener.sink.close()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="events", daemon=True)
            self._thread.start()

    def endpoint(self) -> Endpoint:
        return look("/2/events", "Changes of jobs and instances, as server-sent events.", self._listen, query=(KIND,),
                    answer={"type": "string"}, content=STREAM)

    def _listen(self, request: Request) -> Raw:
        """Takes the connection over, so what it returns is not sent."""
        kinds = [kind for value in request.query.get(KIND.name, ()) for kind in value.split(",")] or list(KINDS)
        unknown = sorted(set(kinds) - set(KINDS))
        if unknown:
            raise bad_request(f"There are no events of the kind {', '.join(unknown)}; there are {', '.join(KINDS)}")
        if request.detach is None:
            raise HttpError(501, "This server has no streams")
        if self.full():
            raise HttpError(503, "Too many clients listen to events")
        last_seen = request.last_event
        take = request.detach
        self.add(lambda: take(HEADERS), kinds, int(last_seen) if last_seen.isdecimal() else None)
        return Raw(b"")

    def stop(self) -> None:
        self._stopped.set()

    def _missed(self, last_seen: int | None, kinds: frozenset[str]) -> list[bytes]:
        if last_seen is None or last_seen == self._number:
            return []
        if not self._past or last_seen < self._past[0].number - 1 or last_seen > self._number:
            return [_encode(self._number, "reset", {})]
        return [event.text for event in self._past if event.number > last_seen and event.kind in kinds]

    def _run(self) -> None:
        while True:
            found = []
            try:
                self._record = self._states.wait(self._record, SECONDS)
                start = SYSTEM.now()
                found = list(self._changes())
                pause = max(LEAST_SECONDS, SHARE * (SYSTEM.now() - start))
            except Error as err:
                log.warning("the master daemon cannot be asked for changes: %s", err)
                pause = SECONDS * 5
            with self._guard:
                self._tell(found)
                if self._listeners:
                    self._last_listened = SYSTEM.now()
                over = not self._listeners and SYSTEM.now() - self._last_listened > LINGER_SECONDS
                if over or self._stopped.is_set():
                    self._end()
                    return
            self._stopped.wait(pause)

    def _tell(self, found: list[tuple[str, dict[str, Any]]]) -> None:
        events = []
        for kind, data in found:
            self._number += 1
            events.append(_Event(self._number, kind, _encode(self._number, kind, data)))
        self._past.extend(events)
        now = SYSTEM.now()
        for listener in self._listeners:
            if listener.sink.gone():
                self._let_go(listener, "hung up")
                continue
            text = b"".join(event.text for event in events if event.kind in listener.kinds)
            if not text and now - listener.last_sent >= KEEP_ALIVE_SECONDS:
                text = b": still here\n\n"
            if text:
                listener.last_sent = now
                self._send(listener, text)
        self._listeners = [listener for listener in self._listeners if listener.kinds]

    def _send(self, listener: _Listener, text: bytes) -> None:
        try:
            listener.sink.sendall(text)
        except OSError as err:
            self._let_go(listener, str(err))

    @staticmethod
    def _let_go(listener: _Listener, why: str) -> None:
        log.info("a listener is gone: %s", why)
        listener.kinds = frozenset()
        listener.sink.close()

    def _end(self) -> None:
        """What happens from here on is not known to anybody."""
        for listener in self._listeners:
            listener.sink.close()
        self._listeners, self._thread, self._jobs, self._instances = [], None, None, None
        self._past.clear()

    def _changes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Both are asked before any is taken over: what fails is asked again, and nothing is lost."""
        jobs, instances = self._states.jobs(), self._states.instances()
        if self._jobs is not None:
            for id, job in jobs.items():
                if self._jobs.get(id) != job.status:
                    yield "job", {"id": id, "status": job.status, "summary": job.summary}
        self._jobs = {id: job.status for id, job in jobs.items()}
        before, self._instances = self._instances, instances
        if before is None or before is instances:
            return
        for uuid, item in instances.items():
            if before.get(uuid) != item:
                yield "instance", item
        for uuid in before.keys() - instances.keys():
            yield "instance", {"uuid": uuid, "name": before[uuid]["name"], "removed": True}


def _encode(number: int, kind: str, data: dict[str, Any]) -> bytes:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()
