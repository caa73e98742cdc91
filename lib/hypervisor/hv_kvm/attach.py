# SPDX-License-Identifier: BSD-2-Clause
"""Program: connect this terminal to a guest's serial port, until Ctrl-].

`python -m gantry.hypervisor.hv_kvm.attach SOCKET [LOG]`; the end of the log comes first, so that one sees what
the guest said before.  Status 1 when nobody listens at the socket.
"""

import contextlib
import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

from gantry.hypervisor.hv_kvm.files import connected

ESCAPE = b"\x1d"
SHOWN = 2048
"""Bytes of the log that are shown."""


def main() -> int:
    if not 2 <= len(sys.argv) <= 3:
        os.write(2, b"usage: attach SOCKET [LOG]\n")
        return 2
    try:
        with connected(Path(sys.argv[1]), 10.0) as link, raw_terminal():
            link.settimeout(None)
            for log in sys.argv[2:]:
                os.write(1, tail(Path(log)))
            relay(link)
    except OSError as err:
        os.write(2, f"the console cannot be reached: {err.strerror or err}\n".encode())
        return 1
    return 0


def relay(link: socket.socket) -> None:
    """Bytes both ways until the escape character or the guest's end.  The end of our input ends nothing."""
    sources: list[int] = [0, link.fileno()]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if link.fileno() in ready:
            data = link.recv(4096)
            if not data:
                return
            os.write(1, data)
        if 0 in ready:
            typed = os.read(0, 1024)
            if not typed:
                sources.remove(0)
            before, escape, _ = typed.partition(ESCAPE)
            link.sendall(before)
            if escape:
                return


def tail(log: Path) -> bytes:
    """The last whole lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - SHOWN))
            data = file.read()
    except OSError:
        return b""
    return data if len(data) < SHOWN else data.partition(b"\n")[2]


@contextlib.contextmanager
def raw_terminal() -> Iterator[None]:
    """No echo, no line editing, every key goes to the guest."""
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    os.write(1, b"Connected; leave with Ctrl-]\r\n")
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        os.write(1, b"\r\n")


if __name__ == "__main__":
    sys.exit(main())
