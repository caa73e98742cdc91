# SPDX-License-Identifier: BSD-2-Clause
"""Runs scenarios: each on the ready cluster from its snapshot, and afterwards nothing may be wrong or left behind.

A scenario is a module of this folder with `run(cluster)`; the first line of its docstring says what it shows.  It
raises QaError when it does not.
"""

import importlib
import pkgutil
import time
import traceback
from pathlib import Path
from types import ModuleType

from qa import scenarios, work
from qa.cluster import remains, setup
from qa.cluster.cluster import Cluster
from qa.machines import lab
from qa.machines.lab import Lab
from qa.work import QaError

_NO_SCENARIO = {"runner"}


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(scenarios.__path__) if module.name not in _NO_SCENARIO)


def load(name: str) -> ModuleType:
    if name not in names():
        raise QaError(f"there is no scenario {name}; there are {', '.join(names())}")
    return importlib.import_module(f"{scenarios.__name__}.{name}")


def summary(name: str) -> str:
    return (load(name).__doc__ or "").strip().splitlines()[0]


def run(wanted: list[str], *, count: int, keep: bool, attempts: int = 1) -> int:
    """Run them one after the other, `attempts` times at most; 0 when all passed, each on its own or a later attempt.

    `keep`: leave the machines up as they are after the last.
    """
    modules = {name: load(name) for name in wanted or names()}
    ended: list[tuple[str, bool, float]] = []

    def passes(name: str) -> bool:
        begin = time.monotonic()
        passed = _passes(name, modules[name], setup.up(count))
        ended.append((name, passed, time.monotonic() - begin))
        return passed

    try:
        for name in modules:
            if not any(passes(name) for _ in range(1 if keep else attempts)) and keep:
                break
    finally:
        if not keep:
            lab.down()
    for name, passed, seconds in ended:
        print(f"{'passed' if passed else 'FAILED'}  {seconds:6.1f} s  {name}: {summary(name)}")
    return 0 if {name for name, passed, _ in ended if passed} == modules.keys() else 1


def _passes(name: str, module: ModuleType, machines: Lab) -> bool:
    work.say(f"=== {name}: {summary(name)}")
    cluster = Cluster(machines)
    try:
        before = machines.each(remains.of)
        module.run(cluster)
        cluster.verify()
        for machine, then, now in zip(machines, before, machines.each(remains.of), strict=True):
            if now != then:
                raise QaError(f"{machine.name} has what it should not have, or lost something: "
                              + ", ".join([f"+{each}" for each in sorted(now - then)]
                                          + [f"-{each}" for each in sorted(then - now)]))
    except QaError as err:
        where = [f"{frame.name}, line {frame.lineno}" for frame in traceback.extract_tb(err.__traceback__)
                 if Path(frame.filename).parent.name == "scenarios"]
        work.say(f"=== {name} FAILED in {'; '.join(where)}: {err}")
        _collect(name, machines)
        return False
    work.say(f"=== {name} passed")
    return True


def _collect(name: str, machines: Lab) -> None:
    """Keep what explains a failure."""
    target = work.cache() / "failures" / name
    target.mkdir(parents=True, exist_ok=True)

    def logs_of(number: int) -> None:
        machine = machines.machines[number]
        try:
            text = machine.sh("dmesg | tail -n 300; cat /proc/drbd; lvs; ps ax; for f in /var/log/gantry/*.log; do "
                              "echo; echo $f; tail -n 400 $f; done", may_fail=True)
        except QaError as err:
            text = str(err)
        Path(target / f"{machine.name}.log").write_text(text)

    for number in range(len(machines.machines)):
        logs_of(number)
    work.say(f"logs of the nodes are in {target}")
