# SPDX-License-Identifier: BSD-2-Clause
"""Joins a terminal to a guest's serial socket: `python -m gantry.cli.serial SOCKET`.

Everything typed goes to the guest as it is; Ctrl-] leaves.  Without a terminal, standard input and output are
copied until the guest closes its side (or, once standard input has ended, until the guest says nothing more).
Runs on the guest's node, so it needs nothing but the standard library.
"""

import contextlib
import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator

LEAVE = b"\x1d"
_CHUNK = 65536
_LAST_WORDS = 2.0
"""Seconds of silence after which a session whose input has ended is over."""
_PATH_LIMIT = 107


def main(argv: list[str]) -> int:
    """Attach to the socket named; exit status 1 when that is not possible."""
    if len(argv) != 2:
        sys.stderr.write("usage: python -m gantry.cli.serial SOCKET\n")
        return 2
    try:
        guest = attach(argv[1])
    except OSError as err:
        sys.stderr.write(f"Cannot reach the serial console at {argv[1]}: {err.strerror}; is the instance running?\n")
        return 1
    with guest, raw_terminal(sys.stdin.fileno()):
        bridge(guest, sys.stdin.fileno(), sys.stdout.fileno(), terminal=os.isatty(sys.stdin.fileno()))
    return 0


def attach(path: str) -> socket.socket:
    """A connection to the socket, whose path may be longer than an address can be."""
    guest = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if len(os.fsencode(path)) <= _PATH_LIMIT:
            guest.connect(path)
            return guest
        folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            guest.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
        finally:
            os.close(folder)
    except OSError:
        guest.close()
        raise
    return guest


@contextlib.contextmanager
def raw_terminal(file: int) -> Iterator[None]:
    """The terminal passes every key on at once and echoes none; restored at the end."""
    if not os.isatty(file):
        yield
        return
    before = termios.tcgetattr(file)
    try:
        tty.setraw(file)
        yield
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)


def bridge(guest: socket.socket, source: int, sink: int, *, terminal: bool) -> None:
    """Copy both ways until one side is done."""
    reading = [guest.fileno(), source]
    while True:
        ready, _, _ = select.select(reading, [], [], None if source in reading else _LAST_WORDS)
        if not ready:
            return
        if guest.fileno() in ready:
            data = _received(guest)
            if not data:
                return
            _write(sink, data)
        if source in ready:
            typed = os.read(source, _CHUNK)
            kept, leave, _ = typed.partition(LEAVE) if terminal else (typed, b"", b"")
            if kept:
                guest.sendall(kept)
            if leave:
                return
            if not typed:
                reading.remove(source)


def _received(guest: socket.socket) -> bytes:
    try:
        return guest.recv(_CHUNK)
    except ConnectionError:
        return b""


def _write(sink: int, data: bytes) -> None:
    while data:
        data = data[os.write(sink, data):]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv))
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(1)
