# SPDX-License-Identifier: BSD-2-Clause
"""The blocking client of the master daemon: what the command line and the RAPI daemon speak.

Imports little, because every `gnt-*` command pays for it.  `$FORCE_LUXI_SOCKET` (`master`, `query` or a path)
selects the socket.
"""

import errno
import os
import select
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from gantry import paths
from gantry.constants import LUXI_END
from gantry.errors import LuxiError, WrongInput
from gantry.luxi.protocol import PATH_LIMIT, decode_reply, encode_request, raw_result
from gantry.utils.clock import PATIENCE, SYSTEM, Clock

CONNECT_SECONDS = 30.0 * PATIENCE
CONNECT_PAUSE = 1.0
ANSWER_SECONDS = 180.0
TRIES = 15
PAUSE, LONGEST_PAUSE = 0.5, 5.0

REPEATABLE = frozenset({
    "Query", "QueryFields", "QueryJobs", "QueryInstanceObjects", "QueryInstances", "QueryNodes", "QueryGroups",
    "QueryNetworks", "QueryExports", "QueryFilters", "QueryConfigValues", "QueryMetrics", "QueryOperatingSystems",
    "QueryClusterInfo", "QueryTags", "WaitForJobChange", "WaitForRecord", "SetDrainFlag", "SetWatcherPause",
    "ChangeJobPriority",
})
"""Methods that may be asked again when the connection broke before the answer came."""


class NoMaster(LuxiError):
    text = "Cannot communicate with {whom}.\nIs the process running and listening for connections?"


class NotPermitted(LuxiError):
    text = ("It seems you don't have permissions to connect to the master daemon.\n"
            "Please retry as a different user.")


class TimedOut(LuxiError):
    text = ("Timeout while talking to the master daemon. Jobs might have been submitted and will continue to run "
            "even if the call timed out. Useful commands in this situation are \"gnt-job list\", "
            "\"gnt-job cancel\" and \"gnt-job watch\". Error:\n{detail}")


class ConnectionLost(LuxiError):
    text = ("The master daemon closed the connection before it answered {method}. It may have carried the request "
            "out: see gnt-job list before you repeat it.")


class Client:
    """One connection, opened at the first call and again when it broke.

    Raises RemoteError for what the server reports, LuxiError leaves when it cannot be reached or understood,
    and WrongInput where this node is not the master or in no cluster.
    """

    def __init__(self, path: str | Path | None = None, *, clock: Clock = SYSTEM) -> None:
        forced = os.environ.get("FORCE_LUXI_SOCKET", "")
        self._default = path is None and forced in ("", "master", "query")
        self._path = paths.here().luxi if self._default else Path(path or forced)
        self._whom = f"socket '{self._path}'"
        if self._default:
            self._whom = "the config daemon" if forced == "query" else "the master daemon"
        self._clock = clock
        self._socket: socket.socket | None = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def drop_if_ended(self) -> None:
        """Let go of a connection that the server has closed since the last call: a request sent into it would
        look as if it may have been carried out.
        """
        if self._socket is not None:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            if poll.poll(0):
                self.close()

    def call(self, method: str, args: Sequence[Any] = ()) -> Any:
        """The result of `method`.  A request that the server may have carried out is never sent twice, unless
        it is one that changes nothing the second time.
        """
        return decode_reply(self._exchange(method, args))

    def call_raw(self, method: str, args: Sequence[Any] = ()) -> bytes:
        """As `call`, the result as its JSON text."""
        return raw_result(self._exchange(method, args))

    def hand_over(self, method: str, args: Sequence[Any]) -> socket.socket:
        """Send a request; the connection is the caller's from here on, who reads the reply from it."""
        link, self._socket = self._connected(), None
        try:
            link.sendall(encode_request(method, args))
        except OSError as err:
            link.close()
            raise ConnectionLost(method=method) from err
        return link

    def _exchange(self, method: str, args: Sequence[Any]) -> bytes:
        """The reply to one request, without its end byte."""
        request = encode_request(method, args)
        pause = PAUSE
        for left in reversed(range(TRIES)):
            sent = False
            try:
                link = self._connected()
                link.sendall(request)
                sent = True
                return self._receive(link)
            except TimeoutError as err:
                self.close()
                raise TimedOut(detail=f"no answer to {method} within {ANSWER_SECONDS:g} s") from err
            except OSError as err:
                self.close()
                if left == 0 or (sent and method not in REPEATABLE):
                    raise ConnectionLost(method=method) from err
            self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        raise AssertionError  # pragma: no cover  # the last try returns or raises

    def _receive(self, link: socket.socket) -> bytes:
        """One message without its end byte; raises OSError when the connection ends first."""
        parts: list[bytes] = []
        while True:
            part = link.recv(1 << 18)
            if not part:
                raise ConnectionResetError(errno.ECONNRESET, "closed by the server")
            if part.endswith(LUXI_END):
                parts.append(part[:-1])
                return b"".join(parts)
            parts.append(part)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = self._connect()
        return self._socket

    def _connect(self) -> socket.socket:
        """A new connection, tried for half a minute where the master daemon may be about to start."""
        end = self._clock.now() + CONNECT_SECONDS
        while True:
            link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                link.settimeout(ANSWER_SECONDS)
                connect_unix(link, self._path)
            except OSError as err:
                link.close()
                self._refuse(err, last=self._clock.now() + CONNECT_PAUSE > end)
            else:
                return link
            self._clock.sleep(CONNECT_PAUSE)

    def _refuse(self, err: OSError, *, last: bool) -> None:
        """Raise what the operator should read, unless it is worth another try."""
        if err.errno in (errno.EACCES, errno.EPERM):
            raise NotPermitted() from err
        if err.errno == errno.EAGAIN:
            if last:
                raise TimedOut(detail=f"{self._path} takes no more connections") from err
            return
        if self._default:
            must_be_master()
        if last or not self._default or err.errno not in (errno.ENOENT, errno.ECONNREFUSED):
            raise NoMaster(whom=self._whom) from err


def connect_unix(link: socket.socket, path: Path) -> None:
    """Connect to a unix socket whose path may be longer than an address can be."""
    if len(os.fsencode(path)) <= PATH_LIMIT:
        link.connect(os.fspath(path))
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        link.connect(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def must_be_master() -> None:
    """Raise WrongInput where this node is in no cluster, or another one is the master."""
    from gantry.utils import resolver

    try:
        master = paths.here().ssconf("master_node").read_text().strip()
    except OSError as err:
        raise WrongInput(detail="This host is not part of a cluster, or the cluster is not initialized yet; "
                                "see gnt-cluster init") from err
    if master != resolver.own_name():
        raise WrongInput(detail=f"This is not the master node, please connect to node '{master}' and rerun "
                                "the command")
