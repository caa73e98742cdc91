# SPDX-License-Identifier: BSD-2-Clause
"""What a guest says, heard on all nodes at once and stamped with this host's clock.

So what a guest acknowledged before its node died is known outside, and the pause of a migration is the time
between the last line from the old node and the first from the new one.
"""

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from qa.cluster import records
from qa.machines import shell
from qa.machines.machine import Machine

_DAY = 86400.0


@dataclass(frozen=True)
class Line:
    """`when` is this host's monotonic clock."""

    when: float
    node: str
    text: str


class Console:
    """Follows the serial log of the guest `uuid`; a context manager."""

    def __init__(self, machines: Sequence[Machine], uuid: str) -> None:
        self._lines: list[Line] = []
        self._uuid = uuid
        self._calls: dict[str, shell.Call] = {}
        self._threads: list[threading.Thread] = []
        for machine in machines:
            self.follow(machine)

    def follow(self, machine: Machine) -> None:
        """Hear this machine (again, after it was booted): what it says from now on."""
        if machine.name in self._calls:
            self._calls[machine.name].close()
        log = f"/var/log/gantry/kvm/{self._uuid}-serial.log"
        call = shell.Call(machine.folder, machine.name)
        script = f"mkdir -p {log.rpartition('/')[0]}; exec tail -n +1 --follow=name --retry {log} 2>/dev/null"
        call.start(["sh", "-c", script], seconds=30)
        self._calls[machine.name] = call
        thread = threading.Thread(target=self._listen, args=(machine.name, call), daemon=True)
        thread.start()
        self._threads.append(thread)

    def lines(self) -> list[Line]:
        return list(self._lines)

    def acknowledged(self, node: str | None = None) -> list[int]:
        """Numbers of the records that were acknowledged (on `node`), in the order heard."""
        return records.numbers(line.text for line in self.lines() if node in (None, line.node))

    def last(self) -> int:
        """The highest record that was acknowledged anywhere; -1 when none was."""
        return max(self.acknowledged(), default=-1)

    def pause(self, old: str, new: str) -> float:
        """Seconds between the last record acknowledged on `old` and the next one on `new`."""
        left = [line for line in self.lines() if line.node == old and line.text.startswith("ACK ")]
        number = records.numbers([left[-1].text])[0]
        came = [line for line in self.lines() if line.node == new and line.when > left[-1].when
                and records.numbers([line.text]) and records.numbers([line.text])[0] > number]
        return came[0].when - left[-1].when

    def errors(self) -> list[str]:
        """Writes that failed."""
        return [line.text for line in self.lines() if line.text.startswith("ERR ")]

    def close(self) -> None:
        for call in self._calls.values():
            call.close()

    def _listen(self, node: str, call: shell.Call) -> None:
        rest = b""
        with contextlib.suppress(shell.NoAnswer, OSError, ValueError):
            for kind, data in call.frames(time.monotonic() + _DAY):
                if kind == b"o":
                    *whole, rest = (rest + data).split(b"\n")
                    now = time.monotonic()
                    self._lines += [Line(now, node, text.decode(errors="replace").strip("\r")) for text in whole]

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
