# SPDX-License-Identifier: BSD-2-Clause
"""Running programs on a machine, through one of the serial ports its agent (`image/overlay/opt/qa/agent.py`) serves.

It needs no network, so it works on a machine that is cut off, and costs a process start there and no more.
"""

import contextlib
import fcntl
import json
import random
import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from qa.work import QaError

PORTS = 12
MAGIC = b"\xffQA:"
HEARD_SECONDS = 15.0
"""A port that nobody answers at for so long is passed over."""
Listener = Callable[[bytes, bytes], None]
"""Gets the kind (b"o", b"e" or b"x") and data of each piece of output."""
_HEAD = struct.Struct(">cI")


class NoAnswer(QaError):
    """The machine did not answer in time, or ended."""


@dataclass(frozen=True)
class Outcome:
    status: int
    stdout: str
    stderr: str


def port_socket(folder: Path, name: str, index: int) -> Path:
    return folder / f"{name}.port{index}"


class Call:
    """A program running on a machine.  Closing it ends the program."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._connect()

    def _connect(self) -> None:
        self._lock, self._buffer = _free_port(self._folder, self._name), b""
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(self._lock.name.removesuffix(".lock"))
        except OSError as err:
            self.close()
            raise NoAnswer(f"{self._name} is not running: {err}") from err

    def start(self, argv: Sequence[str], *, stdin: bytes = b"", seconds: float) -> None:
        """Ask for the program and wait until it was started."""
        end = time.monotonic() + seconds
        self._find_heard_port(end)
        self._ask(argv, stdin, end)

    def _find_heard_port(self, end: float) -> None:
        """Another port where nobody listens: a machine may not be told that one was opened again (QEMU drops the news
        when the machine has not taken earlier ones yet).
        """
        while True:
            try:
                self._ask([], b"", min(end, time.monotonic() + HEARD_SECONDS))
            except NoAnswer:
                if time.monotonic() > end:
                    raise
                self._change_port()
            else:
                return

    def _change_port(self) -> None:
        """The present one is held meanwhile, so it is another."""
        with contextlib.closing(self._lock), contextlib.closing(self._socket):
            self._connect()

    def _ask(self, argv: Sequence[str], stdin: bytes, end: float) -> None:
        token = secrets.token_hex(8)
        request = {"token": token, "argv": list(argv), "stdin": len(stdin)}
        sign, seconds = MAGIC + token.encode(), max(0.01, end - time.monotonic())
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(b"\n" + json.dumps(request).encode() + b"\n" + stdin)
        except OSError as err:
            raise NoAnswer(f"{self._name} does not take a command: {err}") from err
        while sign not in self._buffer:
            self._buffer = self._buffer[-(1 << 20):] + self._read(end)
        self._buffer = self._buffer.partition(sign)[2]

    def frames(self, end: float) -> Iterator[tuple[bytes, bytes]]:
        """(kind, data) until the program ends; raises NoAnswer at the monotonic time `end`."""
        kind = b""
        while kind != b"x":
            kind, length = _HEAD.unpack(self._exactly(_HEAD.size, end))
            yield kind, self._exactly(length, end)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # a thread that reads it would keep it open
        self._socket.close()
        self._lock.close()

    def _exactly(self, count: int, end: float) -> bytes:
        while len(self._buffer) < count:
            self._buffer += self._read(end)
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def _read(self, end: float) -> bytes:
        left = end - time.monotonic()
        if left <= 0:
            raise NoAnswer(f"{self._name} did not answer in time")
        try:
            self._socket.settimeout(left)
            data = self._socket.recv(1 << 18)
        except TimeoutError as err:
            raise NoAnswer(f"{self._name} did not answer in time") from err
        except OSError as err:
            raise NoAnswer(f"{self._name} ended: {err}") from err
        if not data:
            raise NoAnswer(f"{self._name} ended")
        return data


def run(folder: Path, name: str, argv: Sequence[str], *, seconds: float, stdin: bytes = b"",
        heard: Listener | None = None) -> Outcome:
    """Run a program on machine `name` to its end; `heard` gets each piece of output as it comes."""
    call = Call(folder, name)
    parts: dict[bytes, list[bytes]] = {b"o": [], b"e": [], b"x": []}
    try:
        end = time.monotonic() + seconds
        call.start(argv, stdin=stdin, seconds=seconds)
        for kind, data in call.frames(end):
            parts[kind].append(data)
            if heard is not None:
                heard(kind, data)
    except NoAnswer as err:
        raise NoAnswer(f"{err}: `{' '.join(argv)[:200]}`") from err
    finally:
        call.close()
    texts = {kind: b"".join(data).decode(errors="replace") for kind, data in parts.items()}
    return Outcome(int(texts[b"x"]), texts[b"o"], texts[b"e"])


def _free_port(folder: Path, name: str) -> IO[bytes]:
    """The lock of a port that nobody uses."""
    end = time.monotonic() + 60
    while True:
        for index in random.sample(range(PORTS), PORTS):  # the last one used may not know yet that it is free
            lock = Path(f"{port_socket(folder, name, index)}.lock").open("wb")  # noqa: SIM115 - the caller closes it
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            return lock
        if time.monotonic() > end:
            raise QaError(f"all {PORTS} ports of {name} are in use")
        time.sleep(0.05)
