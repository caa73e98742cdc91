# SPDX-License-Identifier: BSD-2-Clause
"""Stands in for `gantry.backend.disk` in the processes of tasks: the name of the disk says what happens.

A test puts a `sitecustomize.py` that calls `install` on the path of the processes it starts.
"""

import os
import sys
import types
from pathlib import Path


def disk_remove(disk, progress):
    """Writes `count`, then does what the disk's name says; `cleaned` tells of the cleaning up."""
    root = Path(os.environ["GANTRY_ROOT"])
    with (root / "count").open("a") as out:
        out.write("x")
    try:
        _act(disk.name, root, progress)
    except BaseException:
        (root / "cleaned").touch()
        raise


def _act(name, root, progress):
    from gantry.errors import StorageError
    from gantry.utils import clock, command

    if name == "fails":
        raise StorageError(detail="the disk is on fire")
    if name == "breaks":
        raise ValueError("a bug")
    if name == "works":
        progress(0.25, "a quarter")
        while not (root / "go-on").exists():
            progress(0.5, "half")
            clock.SYSTEM.sleep(0.01)
    if name == "sleeps":
        command.run(["sleep", "60"], seconds=100)
    if name == "script":
        from gantry.backend import scripts
        scripts.run(["/bin/sh", "-c", f"echo $$ > {root}/script; sleep 60"], log=root / "log", env={}, cwd=root,
                    seconds=90)
    if name == "deaf":
        while True:
            try:
                clock.SYSTEM.sleep(1)
            except BaseException:
                continue


def install():
    module = types.ModuleType("gantry.backend.disk")
    module.disk_remove = disk_remove
    sys.modules["gantry.backend.disk"] = module
