# SPDX-License-Identifier: BSD-2-Clause
"""What is asked of a machine's QEMU itself."""

import json
import socket
import time
from pathlib import Path
from typing import Any

from qa.work import QaError

_SECONDS = 60.0


class Monitor:
    """A connection to a QMP socket; a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_SECONDS)
        try:
            self._socket.connect(str(path))
        except OSError as err:
            raise QaError(f"QEMU does not answer on {path}: {err}") from err
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """The command's result; `_` in names of arguments stands for `-`.  Raises QaError."""
        text = json.dumps({"execute": command,
                           "arguments": {name.replace("_", "-"): value for name, value in arguments.items()}})
        try:
            self._socket.sendall(text.encode() + b"\n")
            while True:
                line = self._lines.readline()
                if not line:
                    raise QaError(f"QEMU of {self._path.stem} ended during {command}")
                message = json.loads(line)
                if "error" in message:
                    raise QaError(f"QEMU refused {command}: {message['error']['desc']}")
                if "return" in message:
                    return message["return"]
        except OSError as err:
            raise QaError(f"QEMU of {self._path.stem} did not answer {command}: {err}") from err

    def migrate_to(self, file: Path) -> None:
        """Write the stopped machine's state into a file."""
        self.ask("migrate-set-parameters", max_bandwidth=1 << 34)
        self.ask("migrate", uri=f"exec:cat >'{file}'")
        while (state := self.ask("query-migrate").get("status")) in ("setup", "active", "device"):
            time.sleep(0.05)
        if state != "completed":
            raise QaError(f"saving {self._path.stem} ended as {state}")

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_error: object) -> None:
        self._lines.close()
        self._socket.close()
