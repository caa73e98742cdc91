# SPDX-License-Identifier: BSD-2-Clause
"""One machine: a QEMU process in the background, known by its pid file."""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qa import work
from qa.image.build import Image
from qa.machines import network, shell
from qa.machines.qmp import Monitor
from qa.work import QaError

MEMORY = 1024
"""MiB."""
DATA_DISK = "24G"
"""Sparse: what the nodes' volume group lies on."""
_CPU = "qemu64,-svm,+rdrand,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq"
_BOOT_SECONDS = 180.0


@dataclass(frozen=True)
class Machine:
    """Machine `number`, its files in `folder`."""

    number: int
    folder: Path
    image: Image
    accelerator: str
    kilohertz: int

    @property
    def name(self) -> str:
        return f"node{self.number}"

    def file(self, suffix: str) -> Path:
        return self.folder / f"{self.name}.{suffix}"

    @property
    def disks(self) -> tuple[Path, Path]:
        return self.file("root.qcow2"), self.file("data.raw")

    # --- life ---

    def make_disks(self) -> None:
        """New disks; what was on older ones is gone."""
        root, data = self.disks
        for path in (root, data):
            path.unlink(missing_ok=True)
        work.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(self.image.root), "-F", "raw", str(root)],
                 seconds=30)
        work.run(["truncate", "-s", DATA_DISK, str(data)], seconds=20)

    def start(self, *, state: Path | None = None) -> None:
        """Switch it on, or let it go on from a saved state; it comes up stopped then."""
        if self.pid() is not None:
            raise QaError(f"{self.name} runs already")
        for index in range(shell.PORTS):
            shell.port_socket(self.folder, self.name, index).unlink(missing_ok=True)
        incoming = [] if state is None else ["-incoming", f"exec:cat '{state}'"]
        work.run(network.inside(*self._argv(), *incoming), seconds=60)

    def wait_until_up(self, seconds: float = _BOOT_SECONDS) -> None:
        """Until it has booted and answers."""
        end = time.monotonic() + seconds
        while True:
            try:
                if self.run("test", "-e", "/run/sshd", seconds=10, may_fail=True).status == 0:
                    return
            except shell.NoAnswer:
                pass
            if self.pid() is None or time.monotonic() > end:
                raise QaError(f"{self.name} did not come up; see {self.file('console')}")
            time.sleep(0.2)

    def kill(self) -> None:
        """Cut its power."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            end = time.monotonic() + 20
            while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
                time.sleep(0.02)
        self.file("pid").unlink(missing_ok=True)

    def freeze(self) -> None:
        """Let it stand still while the world's clock goes on."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def cut_off(self, networks: Sequence[int] = network.NETWORKS) -> None:
        for index in networks:
            network.set_cable(self.number, index, plugged=False)

    def rejoin(self, networks: Sequence[int] = network.NETWORKS) -> None:
        for index in networks:
            network.set_cable(self.number, index, plugged=True)

    def pid(self) -> int | None:
        """None when it does not run."""
        try:
            pid = int(self.file("pid").read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if f"gantry-qa-{self.name}".encode() in words else None

    def monitor(self) -> Monitor:
        return Monitor(self.file("qmp"))

    # --- programs ---

    def run(self, *argv: str, seconds: float = 120.0, may_fail: bool = False, stdin: bytes = b"",
            heard: shell.Listener | None = None) -> shell.Outcome:
        """Run a program on it; raises QaError when it fails and `may_fail` is not set."""
        done = shell.run(self.folder, self.name, argv, seconds=seconds, stdin=stdin, heard=heard)
        if done.status != 0 and not may_fail:
            raise QaError(f"`{' '.join(argv)[:300]}` on {self.name} failed with exit status {done.status}:\n"
                          f"{(done.stderr + done.stdout).strip()[-3000:]}")
        return done

    def sh(self, script: str, *, seconds: float = 120.0, may_fail: bool = False) -> str:
        """Output of some lines of shell."""
        return self.run("sh", "-ec", script, seconds=seconds, may_fail=may_fail).stdout

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self.run("sh", "-ec", f'mkdir -p "$(dirname {path})"; cat >{path}.new; chmod {mode:o} {path}.new; '
                              f"mv {path}.new {path}", stdin=data)

    # --- its QEMU ---

    def _argv(self) -> list[str]:
        root, data = self.disks
        append = (f"console=ttyS0 quiet panic=-1 mitigations=off no_timer_check random.trust_cpu=on cryptomgr.notests "
                  f"nokaslr norandmaps tsc=reliable tsc_early_khz={self.kilohertz} qa.node={self.number}")
        fast = self.accelerator == "kvm"
        argv = ["qemu-system-x86_64", "-name", f"gantry-qa-{self.name}", "-machine", "pc",
                "-accel", "kvm" if fast else "tcg,thread=multi", "-cpu", "host" if fast else _CPU, "-smp", "1",
                "-m", str(MEMORY), "-nodefaults", "-no-user-config", "-display", "none",
                "-serial", f"file:{self.file('console')}", "-qmp", f"unix:{self.file('qmp')},server=on,wait=off",
                "-pidfile", str(self.file("pid")), "-daemonize",
                "-kernel", str(self.image.kernel), "-initrd", str(self.image.early), "-append", append,
                # A killed QEMU loses what qcow2 has not written of its tables, so the root disk's flushes count.
                # The raw data disk is in the host's page cache at once.
                "-drive", f"file={root},if=virtio,cache=writeback,discard=unmap",
                "-drive", f"file={data},format=raw,if=virtio,cache=unsafe,discard=unmap",
                "-object", "rng-random,filename=/dev/urandom,id=random", "-device", "virtio-rng-pci,rng=random",
                "-device", "virtio-serial-pci,max_ports=31"]
        for index in network.NETWORKS:
            argv += ["-netdev", f"tap,id=net{index},ifname={network.tap(self.number, index)},script=no,downscript=no",
                     "-device", f"virtio-net-pci,netdev=net{index},romfile=,mac=52:54:00:77:0{index}:{self.number:02x}"]
        for index in range(shell.PORTS):
            path = shell.port_socket(self.folder, self.name, index)
            argv += ["-chardev", f"socket,id=port{index},path={path},server=on,wait=off",
                     "-device", f"virtserialport,chardev=port{index},name=qa.{index}"]
        return argv

    def _signal(self, number: int) -> None:
        pid = self.pid()
        if pid is None:
            raise QaError(f"{self.name} does not run")
        os.kill(pid, number)
