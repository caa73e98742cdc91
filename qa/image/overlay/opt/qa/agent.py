# SPDX-License-Identifier: BSD-2-Clause
"""Runs programs on a node for whoever holds the other end of one of its virtio-serial ports.

A port serves one request at a time: a line of JSON {token, argv, stdin: length}, then that many bytes.  The answer
starts with MAGIC and the token (what comes before belongs to somebody who hung up), then frames of kind, length
and data: b"o" and b"e" for the program's output, b"x" with its exit status at the end.  Hanging up ends the program.
Without `argv` that is all of the answer: the port is heard.
"""

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import threading
import time
from pathlib import Path

MAGIC = b"\xffQA:"
LOOK_SECONDS = 0.1
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class HungUp(Exception):
    """Nobody holds the other end any more."""


class Port:
    """One port, open for as long as the machine runs."""

    def __init__(self, path: str) -> None:
        self.handle = os.open(path, os.O_RDWR)
        self._buffer = b""

    def hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self.handle, 0)
        return bool(poll.poll(0))

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.handle, view[:32768]):]

    def frame(self, kind: bytes, data: bytes) -> None:
        self.send(kind + struct.pack(">I", len(data)) + data)

    def receive(self, count: int) -> bytes:
        parts, left = [self._buffer[:count]], count - len(self._buffer)
        self._buffer = self._buffer[count:]
        while left > 0:
            parts.append(self._read(min(left, 1 << 18)))
            left -= len(parts[-1])
        return b"".join(parts)

    def receive_line(self) -> bytes:
        while b"\n" not in self._buffer:
            self._buffer += self._read(1 << 16)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _read(self, most: int) -> bytes:
        data = os.read(self.handle, most)
        if not data:
            self._buffer = b""
            raise HungUp
        return data


def ports() -> list[Port]:
    return [Port(f"/dev/{name.parent.name}") for name in sorted(Path("/sys/class/virtio-ports").glob("*/name"))
            if name.read_text().startswith("qa.")]


def login_settings() -> dict[str, str]:
    """What a login would take from /etc/environment."""
    lines = Path("/etc/environment").read_text().splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines) if value}


def serve(port: Port) -> None:
    """One request; HungUp when there is none."""
    line = port.receive_line()
    if not line.strip():
        return
    request = json.loads(line)
    stdin = port.receive(request["stdin"])
    port.send(MAGIC + request["token"].encode())
    if not request["argv"]:
        return
    env = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb", **login_settings()}
    try:
        process = subprocess.Popen(request["argv"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=env, cwd="/root", start_new_session=True)
    except OSError as err:
        port.frame(b"e", f"{request['argv'][0]}: {err}\n".encode())
        port.frame(b"x", b"127")
        return
    threading.Thread(target=feed, args=(process, stdin), daemon=True).start()
    if pump(port, process):
        port.frame(b"x", str(process.wait()).encode())
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    raise HungUp


def feed(process: "subprocess.Popen[bytes]", data: bytes) -> None:
    assert process.stdin
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(data)
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


def pump(port: Port, process: "subprocess.Popen[bytes]") -> bool:
    """Hand on what the program prints until it ends; False: the other end hung up.

    What it left running in the background may keep its output open; that is not waited for.
    """
    assert process.stdout
    assert process.stderr
    kinds = {process.stdout.fileno(): b"o", process.stderr.fileno(): b"e"}
    poll = select.poll()
    poll.register(port.handle, 0)
    for handle in kinds:
        poll.register(handle, select.POLLIN)
    while kinds:
        ended = process.poll() is not None
        ready = [handle for handle, _ in poll.poll(0 if ended else 200)]
        if port.handle in ready:
            return False
        for handle in ready:
            data = os.read(handle, 65536)
            if data:
                port.frame(kinds[handle], data)
            else:
                poll.unregister(handle)
                del kinds[handle]
        if ended and not ready:
            break
    return True


def work(port: Port, busy: set[int]) -> None:
    """Requests of one port until nobody holds it."""
    with contextlib.suppress(HungUp, OSError):
        while True:
            with contextlib.suppress(ValueError, KeyError):  # the rest of what somebody broke off
                serve(port)
    busy.discard(port.handle)


def main() -> None:
    all_ports, busy = ports(), set[int]()
    while True:
        for port in all_ports:
            if port.handle not in busy and not port.hung_up():
                busy.add(port.handle)
                threading.Thread(target=work, args=(port, busy), daemon=True).start()
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
