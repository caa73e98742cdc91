# SPDX-License-Identifier: BSD-2-Clause
"""Providers of external storage: one folder each, with a program for each thing that is done to a volume."""

import os
from pathlib import Path

from gantry import paths
from gantry.errors import BadEnvironment, NotFound
from gantry.objects.node import ExtProvider

REQUIRED = ("create", "remove", "grow", "attach", "detach", "setinfo", "verify")
OPTIONAL = ("snapshot", "open", "close")
_PARAMETERS = "parameters.list"


def find_all() -> list[ExtProvider]:
    """Every provider on the search path, in its order; the first of a name is the one that counts."""
    found = []
    for folder in paths.here().ext_search:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        found += [read(folder / name) for name in names if not name.startswith(".") and (folder / name).is_dir()]
    return found


def usable(name: str) -> ExtProvider:
    """Raises NotFound when this node does not have it, BadEnvironment when it is not valid."""
    for folder in paths.here().ext_search:
        if name and "/" not in name and not name.startswith(".") and (folder / name).is_dir():
            found = read(folder / name)
            if found.problem:
                raise BadEnvironment(detail=f"storage provider '{name}' is not valid on this node: {found.problem}")
            return found
    raise NotFound(kind="storage provider", name=name)


def read(folder: Path) -> ExtProvider:
    """The provider in `folder`, with its problem if it has one."""
    for name in REQUIRED:
        if not (folder / name).is_file():
            return ExtProvider(name=folder.name, path=str(folder), problem=f"the file {folder / name} is missing")
        if not os.access(folder / name, os.X_OK):
            return ExtProvider(name=folder.name, path=str(folder), problem=f"{folder / name} is not executable")
    try:
        lines = (folder / _PARAMETERS).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as err:
        return ExtProvider(name=folder.name, path=str(folder),
                           problem=f"the file {folder / _PARAMETERS} cannot be read: {err}")
    words = [line.split(None, 1) for line in lines if line.strip()]
    return ExtProvider(name=folder.name, path=str(folder), parameters=tuple(
        (line[0], line[1].strip() if len(line) > 1 else "") for line in words))
