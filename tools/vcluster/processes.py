# SPDX-License-Identifier: BSD-2-Clause
"""The processes of a node: everything that runs with its root folder in the environment."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from vcluster.layout import Layout


def environment(layout: Layout, node: str) -> dict[str, str]:
    """What to set so that Gantry's programs act as on `node`."""
    own_programs = str(Path(sys.executable).parent)
    return {"GANTRY_ROOT": str(layout.root(node)), "GANTRY_NET": "user",
            "PATH": f"{own_programs}:{os.environ.get('PATH', '/usr/bin:/bin')}"}


def run(layout: Layout, node: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None,
        capture: bool = False, seconds: float | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a program as on `node`; its output goes to the terminal unless `capture`."""
    return subprocess.run(list(argv), env=os.environ | environment(layout, node) | dict(env or {}), text=True,
                          capture_output=capture, timeout=seconds, check=False, errors="replace")


def of_node(layout: Layout, node: str) -> list[psutil.Process]:
    """All living processes of the node, those of this very call and its parents left out."""
    root = str(layout.root(node))
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in own and process.environ().get("GANTRY_ROOT") == root:
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess, OSError):
            continue
    return found


def power_cut(layout: Layout, node: str) -> int:
    """SIGKILL to everything of the node, again until nothing is left; how many processes there were.

    What lies in its /run is gone then, as on a real machine.
    """
    killed: set[int] = set()
    for _ in range(5):
        processes = of_node(layout, node)
        processes += [child for process in processes for child in _children(process)]
        if not processes:
            break
        for process in processes:
            killed.add(process.pid)
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        end = time.monotonic() + 5
        while not all(ended(process.pid) for process in processes) and time.monotonic() < end:
            time.sleep(0.01)
    shutil.rmtree(layout.root(node) / "run", ignore_errors=True)
    return len(killed)


def ended(pid: int) -> bool:
    """Whether nothing of the process runs any more; nobody may have taken note of its end yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z" and len(list(Path(f"/proc/{pid}/task").iterdir())) <= 1
    except OSError:
        return True


def _children(process: psutil.Process) -> list[psutil.Process]:
    """Scripts run with an environment of their own; they are known by who started them."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(process.children(recursive=True))
    return []
