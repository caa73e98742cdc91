# SPDX-License-Identifier: BSD-2-Clause
"""Clients that wait for a job: any number of them, none of which takes a thread.

Each question to the master daemon has a connection of its own, which many clients share that ask the same.  One thread
watches those connections, and those of the clients, who may hang up.
"""

import json
import logging
import select
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gantry.constants import LUXI_END
from gantry.errors import Error
from gantry.luxi.client import Client, ConnectionLost
from gantry.luxi.protocol import decode_reply
from gantry.rapi.failures import HttpError

log = logging.getLogger(__name__)

MOST = 2000
"""Clients at once."""
METHOD = "WaitForJobChange"
_HUNG_UP = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_PIECE = 1 << 18


@dataclass
class Told:
    """What the master daemon said, or the Error that came instead; `shown`: what the first to be told made of it."""

    result: Any
    shown: Any = None


class Waiter(Protocol):
    """A client, whose connection nobody else uses meanwhile."""

    def fileno(self) -> int: ...

    def gone(self) -> bool: ...

    def answer(self, told: Told) -> None:
        """Tell it, at once."""

    def answered(self) -> None:
        """Do the rest, once all have been told."""

    def give_up(self) -> None:
        """It has hung up."""


@dataclass
class _Question:
    link: socket.socket
    waiters: dict[int, Waiter] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)


class Waits:
    """The thread starts with the first client, and stays."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._poll = select.epoll()
        self._questions: dict[str, _Question] = {}
        self._by_link: dict[int, str] = {}
        self._by_waiter: dict[int, str] = {}
        self._started = False

    def check_room(self) -> None:
        """Raises HttpError 503 when too many wait."""
        if len(self._by_waiter) >= MOST:
            raise HttpError(503, "Too many clients wait for jobs")

    def add(self, args: Sequence[Any], waiter: Waiter) -> None:
        """Have `waiter` answered from that thread; raises an Error when the master daemon cannot be asked."""
        key = json.dumps(args)
        with self._guard:
            if self._join(key, waiter):
                return
        link = Client(self._path).hand_over(METHOD, args)
        link.setblocking(False)  # noqa: FBT003 - its only parameter
        with self._guard:
            if self._join(key, waiter):  # somebody else has asked meanwhile
                link.close()
                return
            self._questions[key] = _Question(link)
            self._by_link[link.fileno()] = key
            self._join(key, waiter)
            self._poll.register(link.fileno(), select.EPOLLIN)
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="waits", daemon=True).start()

    def _join(self, key: str, waiter: Waiter) -> bool:
        question = self._questions.get(key)
        if question is None:
            return False
        question.waiters[waiter.fileno()] = waiter
        self._by_waiter[waiter.fileno()] = key
        self._poll.register(waiter.fileno(), _HUNG_UP)
        return True

    def _run(self) -> None:
        while True:
            for number, _ in self._poll.poll():
                if number in self._by_link:
                    self._read(number)
                else:
                    self._hung_up(number)

    def _read(self, number: int) -> None:
        with self._guard:
            question = self._questions[self._by_link[number]]
        try:
            part = question.link.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        question.parts.append(part.removesuffix(LUXI_END))
        if part and not part.endswith(LUXI_END):
            return
        result: Any
        try:
            if not part:
                raise ConnectionLost(method=METHOD)
            result = decode_reply(b"".join(question.parts))
        except Error as err:
            result = err
        with self._guard:
            self._forget(question)
        told = Told(result)
        for waiter in question.waiters.values():
            waiter.answer(told)
        for waiter in question.waiters.values():
            waiter.answered()

    def _hung_up(self, number: int) -> None:
        with self._guard:
            question = self._questions.get(self._by_waiter.get(number, ""))
            if question is None or not question.waiters[number].gone():
                return  # this number is somebody else's by now
            self._poll.unregister(number)
            del self._by_waiter[number]
            waiter = question.waiters.pop(number)
            if not question.waiters:
                self._forget(question)
        waiter.give_up()

    def _forget(self, question: _Question) -> None:
        """Under the lock."""
        number = question.link.fileno()
        self._poll.unregister(number)
        del self._questions[self._by_link.pop(number)]
        for waiter in question.waiters:
            self._poll.unregister(waiter)
            del self._by_waiter[waiter]
        question.link.close()
