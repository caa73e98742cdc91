# SPDX-License-Identifier: BSD-2-Clause
"""QMP, QEMU's machine protocol: blocking, every wait bounded.

QEMU serves one connection at a time, so a connection is held for a few commands only, never while waiting
for the guest.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm.files import connected
from gantry.utils.clock import PATIENCE, SYSTEM

SECONDS = 15.0 * PATIENCE
"""How long a command may take by default."""


class Qmp:
    """A negotiated connection.  `events` are those that came in between, oldest first."""

    def __init__(self, link: socket.socket, guest: str, seconds: float) -> None:
        self._link, self._guest, self._seconds = link, guest, seconds
        self._buffer = b""
        self.events: list[dict[str, Any]] = []

    def execute(self, command: str, **arguments: Any) -> Any:
        """The command's answer.  Underscores in argument names stand for dashes.

        Raises HypervisorError: with fact `refused` when QEMU said no, without when it did not answer.
        """
        return self._ask(command, arguments, ())

    def give(self, fd: int, command: str, **arguments: Any) -> Any:
        """As `execute`, of a command that takes a file descriptor; ours stays open."""
        return self._ask(command, arguments, (fd,))

    def _ask(self, command: str, arguments: dict[str, Any], fds: tuple[int, ...]) -> Any:
        message: dict[str, Any] = {"execute": command}
        if arguments:
            message["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        end = SYSTEM.now() + self._seconds
        try:
            data = json.dumps(message).encode() + b"\n"
            sent = socket.send_fds(self._link, [data], fds) if fds else 0
            self._link.sendall(data[sent:])
            while True:
                answer = self._read(end)
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    reason = answer["error"].get("desc", "unknown error")
                    raise HypervisorError(detail=f"guest {self._guest}: QEMU refused {command}: {reason}",
                                          refused=reason)
        except (OSError, ValueError) as err:
            raise HypervisorError(detail=f"guest {self._guest}: QEMU did not answer {command}: {err}") from err

    def wait_event(self, name: str, *, seconds: float, reason: str = "") -> bool:
        """Whether this event (for this reason) came, since the connection began or within `seconds`."""
        end = SYSTEM.now() + seconds
        while not any(event["event"] == name and reason in ("", event.get("data", {}).get("reason"))
                      for event in self.events):
            try:
                self._read(end)
            except TimeoutError:
                return False
            except (OSError, ValueError) as err:
                raise HypervisorError(detail=f"guest {self._guest}: QEMU hung up: {err}") from err
        return True

    def negotiate(self) -> None:
        try:
            greeting = self._read(SYSTEM.now() + self._seconds)
        except (OSError, ValueError) as err:
            raise HypervisorError(detail=f"guest {self._guest}: no greeting from QEMU: {err}") from err
        if "QMP" not in greeting:
            raise HypervisorError(detail=f"guest {self._guest}: its monitor does not speak QMP")
        self.execute("qmp_capabilities")

    def _read(self, end: float) -> dict[str, Any]:
        """One message; events are also kept."""
        while b"\n" not in self._buffer:
            left = end - SYSTEM.now()
            if left <= 0:
                raise TimeoutError("no answer in time")
            self._link.settimeout(left)
            data = self._link.recv(1 << 16)
            if not data:
                raise ConnectionResetError("connection closed")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError(f"not an object: {line[:80]!r}")  # noqa: TRY004 - bad data, as from json.loads
        if "event" in message:
            self.events.append(message)
        return message


@contextmanager
def monitor(path: Path, guest: str, *, seconds: float = SECONDS) -> Iterator[Qmp]:
    """A connection to the monitor at `path`; raises HypervisorError when nobody answers there."""
    try:
        with connected(path, seconds) as link:
            qmp = Qmp(link, guest, seconds)
            qmp.negotiate()
            yield qmp
    except OSError as err:
        raise HypervisorError(detail=f"guest {guest}: its QEMU cannot be reached: {err}") from err
