# SPDX-License-Identifier: BSD-2-Clause
"""Where disk files may lie on this node.

The allow-list names folders, one a line; a disk file lies at least two levels below one of them
(BASE/[SUBDIR/]INSTANCE/DISK).  System folders are never accepted, whatever the list says.
"""

import os
from pathlib import Path

import simplejson

from gantry import paths
from gantry.errors import StorageError

_BINARIES = ("bin", "lib", "lib32", "lib64", "sbin")
FORBIDDEN = frozenset(
    [Path("/", name) for name in ("boot", "dev", "etc", "home", "proc", "root", "sys")]
    + [Path("/", prefix, name) for prefix in ("", "usr", "usr/local") for name in _BINARIES])


def allowed_folders() -> list[Path]:
    """The folders of the allow-list; none when there is no list."""
    try:
        text = paths.here().file_storage_paths.read_text()
    except FileNotFoundError:
        return []
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [Path(line) for line in lines if line]


def forbidden(folder: Path) -> str:
    """Why `folder` may never hold disks, as a sentence; empty when it may."""
    if not folder.is_absolute() or ".." in folder.parts:
        return f"the path '{folder}' is not absolute and plain"
    seen = _as_on_a_real_machine(Path(os.path.normpath(folder)))
    for bad in FORBIDDEN:
        if seen == bad or bad in seen.parents:
            return f"the path '{folder}' lies in the system folder {bad}"
    return ""


def check(path: Path) -> Path:
    """The allowed folder that the disk file `path` lies in; raises StorageError.

    Symbolic links are followed first: the real place counts, and the file itself must not be one.
    """
    if not path.is_absolute() or ".." in path.parts:
        raise StorageError(detail=f"the disk file '{path}' has no absolute and plain path")
    if path.is_symlink():
        raise StorageError(detail=f"the disk file {path} is a symbolic link, which is refused")
    real = Path(os.path.realpath(path.parent)) / path.name
    for base in allowed_folders():
        if base not in path.parents or forbidden(base):
            continue
        below = Path(os.path.realpath(base))
        if below not in real.parents:
            raise StorageError(detail=f"the disk file {path} really lies at {real}, outside {base}: "
                                      "a symbolic link leads out of the allowed folder")
        problem = forbidden(real)
        if problem:
            raise StorageError(detail=problem)
        if len(path.relative_to(base).parts) < 2:
            raise StorageError(detail=f"the disk file {path} must lie in a folder of its own below {base}")
        return base
    raise StorageError(detail=f"the disk file {path} is not below a folder listed in "
                              f"{paths.here().file_storage_paths}; add its base folder there on every node")


def _as_on_a_real_machine(path: Path) -> Path:
    """`path` as it would be called on a machine of its own: a virtual cluster lives somewhere in a home."""
    here = paths.here()
    if here.root == Path("/"):
        return path
    if path == here.root or here.root in path.parents:
        return Path("/") / path.relative_to(here.root)
    try:
        roots = [str(node["root"]) for node in simplejson.loads(here.virtual.read_text()).values()]
        common = Path(os.path.commonpath(roots))
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return path
    if len(roots) == 1:
        common = common.parent
    return Path("/srv") / path.relative_to(common) if common in path.parents else path
