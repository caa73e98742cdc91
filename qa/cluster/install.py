# SPDX-License-Identifier: BSD-2-Clause
"""Gantry as it is in this tree, put on a machine: packages, programs, units, OS definition."""

import compileall
import hashlib
import io
import os
import py_compile
import shutil
import tarfile
import tempfile
from functools import cache
from pathlib import Path

from qa import declared, work
from qa.cluster import records
from qa.image.build import SITE
from qa.machines.machine import Machine
from qa.work import TREE

FILE_STORAGE = "/srv/gantry/file-storage"
SHARED_STORAGE = "/srv/gantry/shared"
OS = "recorder"
_PROGRAM = """#!/usr/bin/python3
import sys
from {module} import {function}
sys.exit({function}())
"""


@cache
def archive() -> bytes:
    """A tar of everything, to be unpacked in a machine's root."""
    with tempfile.TemporaryDirectory(dir=work.cache()) as scratch:
        root = Path(scratch) / "root"
        tree = _tree(Path(scratch))
        _packages(tree, root / SITE)
        for name, (module, function) in declared.programs().items():
            _write(root / "usr/bin" / name, _PROGRAM.format(module=module, function=function).encode(), 0o755)
        for unit in sorted((tree / "daemons").iterdir()):
            _write(root / "etc/systemd/system" / unit.name, unit.read_bytes(), 0o644)
        definition = root / "srv/ganeti/os" / OS
        shutil.copytree(Path(__file__).parent / OS, definition)
        _write(definition / "sector", records.SECTOR, 0o644)
        _write(root / "etc/default/gantry", b"GANTRY_PATIENCE=2\n", 0o644)
        _write(root / "etc/gantry/file-storage-paths", f"{FILE_STORAGE}\n{SHARED_STORAGE}\n".encode(), 0o644)
        allocators = root / "usr/lib/ganeti/iallocators"
        allocators.mkdir(parents=True)
        (allocators / "hail").symlink_to("/usr/bin/hail")
        return _tar(root)


def key() -> str:
    """Changes when what is installed changes."""
    digest = hashlib.sha256()
    with tarfile.open(fileobj=io.BytesIO(archive())) as tar:
        for entry in tar:
            file = tar.extractfile(entry) if entry.isfile() and not entry.name.endswith(".pyc") else None
            digest.update(f"{entry.name} {entry.mode}\0".encode() + (file.read() if file else b""))
    return digest.hexdigest()[:12]


def install(machine: Machine) -> None:
    """Replace what is installed; daemons that run go on with the old code until they are restarted."""
    site, parts = f"/{SITE}", " ".join(declared.folders())
    machine.run("sh", "-ec", f"cd {site} && rm -rf {parts}; mkdir -p {FILE_STORAGE} {SHARED_STORAGE}; tar -x -C /",
                stdin=archive(), seconds=300)


def _tree(scratch: Path) -> Path:
    """This tree; with `QA_REVISION` in the environment, that commit of it."""
    revision = os.environ.get("QA_REVISION")
    if not revision:
        return TREE
    packed = work.run(["git", "-C", str(TREE), "archive", revision], seconds=60).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(scratch / "tree", filter="data")
    return scratch / "tree"


def _packages(tree: Path, site: Path) -> None:
    for package, folder in declared.folders().items():
        shutil.copytree(tree / folder, site / package, ignore=shutil.ignore_patterns("__pycache__"))
        # A machine should not compile: it is twenty times slower than this one.
        compileall.compile_dir(site / package, quiet=2, stripdir=str(site), prependdir=f"/{SITE}",
                               invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def _tar(root: Path) -> bytes:
    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = "root"
        return entry

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in sorted(root.rglob("*")):
            tar.add(path, arcname=str(path.relative_to(root)), recursive=False, filter=plain)
    return out.getvalue()
