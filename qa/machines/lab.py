# SPDX-License-Identifier: BSD-2-Clause
"""All machines together: up, down, save, load.  There is one lab on a host."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gantry.hypervisor.hv_kvm import probe
from qa import work
from qa.image import build
from qa.machines import clockrate, network
from qa.machines.machine import Machine
from qa.work import QaError

T = TypeVar("T")
_RESUME_SECONDS = 120.0


@dataclass(frozen=True)
class Lab:
    """The machines of this host."""

    machines: tuple[Machine, ...]

    def __getitem__(self, name: str) -> Machine:
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise QaError(f"there is no machine {name}; there are {', '.join(each.name for each in self.machines)}")

    def __iter__(self) -> Iterator[Machine]:
        return iter(self.machines)

    def each(self, action: Callable[[Machine], T]) -> list[T]:
        """The same with all machines at once, results in their order."""
        with ThreadPoolExecutor(len(self.machines)) as pool:
            return list(pool.map(action, self.machines))


def folder() -> Path:
    """Files of the running machines."""
    return work.cache() / "run"


def create(count: int) -> Lab:
    """New machines with empty disks, booted."""
    build.prepared()
    down()
    shutil.rmtree(folder(), ignore_errors=True)
    folder().mkdir()
    accelerator = "kvm" if probe.works("qemu-system-x86_64") else "tcg"
    _remember(count, accelerator, clockrate.kilohertz())
    lab = present()
    network.create(count)
    lab.each(Machine.make_disks)
    lab.each(Machine.start)
    lab.each(Machine.wait_until_up)
    return lab


def present() -> Lab:
    """The machines that `create` or `load` made last; raises QaError when there are none."""
    try:
        facts = json.loads((folder() / "lab.json").read_text())
    except FileNotFoundError as err:
        raise QaError("no machines are up; see `qa up`") from err
    image = build.Image(Path(facts["image"]))
    return Lab(tuple(Machine(number, folder(), image, facts["accelerator"], facts["kilohertz"])
                     for number in range(1, facts["count"] + 1)))


def down() -> None:
    """End all machines and remove their network; their disks stay until the next `create` or `load`."""
    if (folder() / "lab.json").exists():
        for machine in present():
            machine.kill()
    network.remove()


def snapshot(name: str) -> Path:
    return work.cache() / "snapshots" / name


def save(lab: Lab, name: str, facts: dict[str, str]) -> None:
    """Keep memory and disks of all machines under `name`; they go on afterwards.  `facts` come back from `facts_of`."""
    target = snapshot(name)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)

    def stop(machine: Machine) -> None:
        with machine.monitor() as monitor:
            monitor.ask("stop")

    def keep(machine: Machine) -> None:
        with machine.monitor() as monitor:
            monitor.migrate_to(target / f"{machine.name}.state")
        for disk in machine.disks:
            work.run(["cp", "--sparse=always", str(disk), str(target)], seconds=300)

    def go_on(machine: Machine) -> None:
        with machine.monitor() as monitor:
            monitor.ask("cont")

    lab.each(stop)
    try:
        lab.each(keep)
    finally:
        lab.each(go_on)
    shutil.copy(folder() / "lab.json", target)
    (target / "facts.json").write_text(json.dumps(facts))


def facts_of(name: str) -> dict[str, str] | None:
    """What was said at `save`; None when there is no such snapshot of the present image and clock."""
    try:
        facts = json.loads((snapshot(name) / "facts.json").read_text())
        lab = json.loads((snapshot(name) / "lab.json").read_text())
    except (OSError, ValueError):
        return None
    same_clock = abs(lab["kilohertz"] / clockrate.kilohertz() - 1) < 0.01
    return dict(facts) if same_clock and lab["image"] == str(build.prepared().folder) else None


def load(name: str) -> Lab:
    """Throw the present machines away and go on from a snapshot."""
    source = snapshot(name)
    down()
    shutil.rmtree(folder(), ignore_errors=True)
    folder().mkdir()
    shutil.copy(source / "lab.json", folder())
    lab = present()
    network.create(len(lab.machines))

    def resume(machine: Machine) -> None:
        for disk in machine.disks:
            work.run(["cp", "--sparse=always", str(source / disk.name), str(disk)], seconds=300)
        machine.start(state=source / f"{machine.name}.state")
        end = time.monotonic() + _RESUME_SECONDS
        with machine.monitor() as monitor:
            while monitor.ask("query-status")["status"] == "inmigrate":
                if time.monotonic() > end:
                    raise QaError(f"{machine.name} did not take its saved state")
                time.sleep(0.05)

    def go_on(machine: Machine) -> None:
        with machine.monitor() as monitor:
            monitor.ask("cont")

    lab.each(resume)
    lab.each(go_on)
    lab.each(set_clock)
    return lab


def set_clock(machine: Machine) -> None:
    """A machine that was saved believes in the time of then."""
    machine.run("date", "-u", "-s", f"@{time.time():.3f}")


def _remember(count: int, accelerator: str, kilohertz: int) -> None:
    facts = {"count": count, "image": str(build.prepared().folder), "accelerator": accelerator, "kilohertz": kilohertz}
    (folder() / "lab.json").write_text(json.dumps(facts))
