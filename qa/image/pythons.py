# SPDX-License-Identifier: BSD-2-Clause
"""The Python packages Gantry needs, copied from this environment: the nodes run the same Debian and Python."""

import re
import shutil
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import Marker

from qa import declared
from qa.work import QaError


def needed() -> list[Distribution]:
    """What Gantry requires, and what that requires; sorted by name."""
    found: dict[str, Distribution] = {}
    waiting = _names(declared.requirements())
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError as err:
            raise QaError(f"the Python package {name} is not installed here; run `make setup`") from err
        waiting += _names(found[name].requires or ())
    return [found[name] for name in sorted(found)]


def versions() -> str:
    """One text for the cache's key."""
    return " ".join(f"{package.metadata['Name']}={package.version}" for package in needed())


def copy(target: Path) -> None:
    """Put the files of all needed packages below `target`, without their tests."""
    for package in needed():
        for file in package.files or ():
            inside = not file.is_absolute() and ".." not in file.parts
            if inside and "tests" not in file.parts and file.suffix != ".pyc":
                source, place = Path(str(package.locate_file(file))), target / file
                if source.is_file():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, place)


def _names(requirements: Iterable[str]) -> list[str]:
    """Names of the packages that are always needed; extras and other systems' packages are left out."""
    names = []
    for text in requirements:
        requirement, _, marker = text.partition(";")
        match = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
        if match and (not marker.strip() or Marker(marker.strip()).evaluate({"extra": ""})):
            names.append(match[0].lower().replace("_", "-"))
    return names
