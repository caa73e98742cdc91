# SPDX-License-Identifier: BSD-2-Clause
"""curl's multi interface on the asyncio loop.

curl says which sockets it wants to hear about and when it wants to be woken; the loop does both.  curl may
not be called from within its own callbacks, so those only talk to the loop.
"""

import asyncio
from collections.abc import Callable

import pycurl

MOST_KEPT = 2048
"""Open connections kept; curl's own default closes most of them whenever little is going on."""


class TransferFailed(Exception):
    """curl's error code and words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Transfers:
    """All transfers of one loop that share kept connections."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, MOST_KEPT)
        self._timer: asyncio.Handle | None = None
        self._waiting: dict[pycurl.Curl, asyncio.Future[None]] = {}
        self._watched: dict[int, int] = {}
        self._closed = False

    async def perform(self, easy: pycurl.Curl) -> None:
        """Run the transfer to its end; raises TransferFailed.  When cancelled, it is broken off."""
        done = self._waiting[easy] = self._loop.create_future()
        self._multi.add_handle(easy)
        try:
            self._act(pycurl.SOCKET_TIMEOUT, 0)
            await done
        finally:
            self._waiting.pop(easy, None)
            if not self._closed:
                self._multi.remove_handle(easy)

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def close(self) -> None:
        """Close all connections; transfers under way fail."""
        self._closed = True
        for easy, done in list(self._waiting.items()):
            self._multi.remove_handle(easy)
            if not done.done():
                done.set_exception(TransferFailed(pycurl.E_ABORTED_BY_CALLBACK, "the connections were closed"))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._multi.close()
        for fd in list(self._watched):
            self._forget(fd)

    def _on_socket(self, what: int, fd: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            self._forget(fd)
            return
        before = self._watched.get(fd, 0)
        self._watched[fd] = what
        self._watch(before & pycurl.POLL_IN, what & pycurl.POLL_IN, fd, pycurl.CSELECT_IN)
        self._watch(before & pycurl.POLL_OUT, what & pycurl.POLL_OUT, fd, pycurl.CSELECT_OUT)

    def _watch(self, before: int, now: int, fd: int, event: int) -> None:
        if bool(before) == bool(now):
            return
        reading = event == pycurl.CSELECT_IN
        if now:
            add: Callable[..., None] = self._loop.add_reader if reading else self._loop.add_writer
            add(fd, self._act, fd, event)
        else:
            (self._loop.remove_reader if reading else self._loop.remove_writer)(fd)

    def _forget(self, fd: int) -> None:
        if self._watched.pop(fd, None) is not None:
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)

    def _on_timer(self, milliseconds: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if milliseconds == 0:
            self._timer = self._loop.call_soon(self._act, pycurl.SOCKET_TIMEOUT, 0)
        elif milliseconds > 0:
            self._timer = self._loop.call_later(milliseconds / 1000, self._act, pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, fd: int, event: int) -> None:
        self._multi.socket_action(fd, event)
        self._settle()

    def _settle(self) -> None:
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            for easy in good:
                self._end(easy, None)
            for easy, code, message in bad:
                self._end(easy, TransferFailed(code, message))

    def _end(self, easy: pycurl.Curl, error: TransferFailed | None) -> None:
        done = self._waiting.pop(easy, None)
        if done is None or done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
