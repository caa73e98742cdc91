# SPDX-License-Identifier: BSD-2-Clause
"""The small guest in real QEMU, under software emulation."""

import json
import os
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from vcluster import guestkit

pytestmark = [pytest.mark.qemu,
              pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed")]
LIMIT = 90.0


class Guest:
    def __init__(self, process, qmp) -> None:
        self.process, self.qmp, self.seen = process, qmp, ""

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + LIMIT
        while text not in self.seen:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {text!r} in {self.seen!r}"
            part = os.read(self.process.stdout.fileno(), 4096)
            assert part, f"QEMU ended: {self.seen!r}"
            self.seen += part.decode(errors="replace")

    def type(self, line: str) -> None:
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def power_button(self) -> None:
        with socket.socket(socket.AF_UNIX) as monitor, monitor.makefile("rw") as lines:
            monitor.connect(str(self.qmp))
            lines.readline()
            for command in ("qmp_capabilities", "system_powerdown"):
                lines.write(json.dumps({"execute": command}) + "\n")
                lines.flush()
                lines.readline()


@pytest.fixture
def boot(tmp_path):
    guestkit.prepare(tmp_path / "guest", cache=guestkit.default_cache())
    parameters = guestkit.hv_parameters(tmp_path / "guest")
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    done = subprocess.run([guestkit.INIT.parent / "create"], cwd=guestkit.INIT.parent, check=True, env={
        "PATH": os.environ["PATH"], "INSTANCE_NAME": "web1.example.com", "DISK_COUNT": "1",
        "DISK_0_PATH": str(disk), "OSP_BANNER": "I am small"}, capture_output=True)
    assert done.returncode == 0

    @contextmanager
    def start(machine: str) -> Iterator[Guest]:
        append = f"root={parameters['root_path']} {parameters['kernel_args']} console=ttyS0,38400"
        argv = ["qemu-system-x86_64", "-M", machine, "-accel", "tcg", "-m", "128", "-nodefaults", "-display", "none",
                "-serial", "stdio", "-kernel", parameters["kernel_path"], "-initrd", parameters["initrd_path"],
                "-append", append, "-drive", f"file={disk},format=raw,if=virtio",
                "-qmp", f"unix:{tmp_path}/qmp,server=on,wait=off"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                yield Guest(process, tmp_path / "qmp")
            finally:
                process.kill()
    start.disk = disk
    return start


def test_it_ticks_answers_counts_boots_and_obeys_the_power_button(boot):
    for count, machine in ((1, "pc"), (2, "q35")):
        with boot(machine) as guest:
            guest.wait_for(f"GANTRY-GUEST web1.example.com boot {count}\r\n")
            guest.wait_for("I am small")
            guest.wait_for("TICK 2\r\n")
            guest.type("hello")
            guest.wait_for("you said: hello")
            guest.power_button()
            guest.wait_for("GANTRY-GUEST web1.example.com going down")
            assert guest.process.wait(timeout=LIMIT) == 0
        assert boot.disk.read_bytes()[512:1024].split() == [str(count).encode()]
        assert int(boot.disk.read_bytes()[1024:1536]) >= 2
