# SPDX-License-Identifier: BSD-2-Clause
"""Reading OS definitions: one folder each, its files by the OS interface (versions 10, 15 and 20)."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gantry import paths
from gantry.errors import BadEnvironment, NotFound, WrongInput
from gantry.objects.node import OsDefinition

VERSIONS = (10, 15, 20)
_SCRIPTS = ("import", "export", "rename")


class _Invalid(Exception):
    """Why a definition cannot be used."""


def find_all() -> list[OsDefinition]:
    """Every definition on the search path, in its order; the first of a name is the one that counts."""
    found = []
    for folder in paths.here().os_search:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        found += [read(folder / name) for name in names
                  if not name.startswith(".") and "+" not in name and (folder / name).is_dir()]
    return found


def read(folder: Path) -> OsDefinition:
    """The definition in `folder`, with its problem if it has one."""
    versions: tuple[int, ...] = ()
    try:
        versions = _versions(folder)
        version = _common(folder, versions)
        trusted = not os.path.lexists(folder / "create_untrusted")
        for script in _required(version, trusted=trusted):
            _check_script(folder / script)
        return OsDefinition(name=folder.name, path=str(folder), api_versions=versions, trusted=trusted,
                            variants=_variants(folder) if version >= 15 else (),
                            parameters=_parameters(folder) if version >= 20 else ())
    except _Invalid as err:
        return OsDefinition(name=folder.name, path=str(folder), api_versions=versions, problem=str(err))


def usable(os_name: str) -> tuple[OsDefinition, str]:
    """Definition and variant of a full name (`OS[+VARIANT]`).

    Raises NotFound when this node does not have it, BadEnvironment when it is not valid.
    """
    base, _, variant = os_name.partition("+")
    for folder in paths.here().os_search:
        if base and "/" not in base and not base.startswith(".") and (folder / base).is_dir():
            found = read(folder / base)
            if found.problem:
                raise BadEnvironment(detail=f"OS definition '{base}' is not valid on this node: {found.problem}")
            return found, variant
    raise NotFound(kind="OS definition", name=base)


def api_version(definition: OsDefinition) -> int:
    """The version to speak with a valid definition."""
    return max(set(definition.api_versions) & set(VERSIONS))


def check_variant(definition: OsDefinition, variant: str, *, force: bool) -> None:
    """Raises WrongInput when the definition does not know the variant, unless forced."""
    name, known = definition.name, definition.variants
    if not known:
        if variant:
            raise WrongInput(detail=f"OS '{name}' does not support variants ('{variant}' passed)")
    elif force:
        return
    elif not variant:
        raise WrongInput(detail=f"OS name '{name}' must include a variant: {name}+{known[0]}, "
                                f"one of {', '.join(known)}")
    elif variant not in known:
        raise WrongInput(detail=f"OS '{name}' has no variant '{variant}', it has {', '.join(known)}")


def effective_variant(definition: OsDefinition, variant: str) -> str:
    """The variant for the scripts: the first of the list when none was given."""
    return variant or (definition.variants[0] if definition.variants else "")


def _required(version: int, *, trusted: bool) -> Iterator[str]:
    yield "create" if trusted else "create_untrusted"
    yield from _SCRIPTS
    if version >= 20:
        yield "verify"


def _versions(folder: Path) -> tuple[int, ...]:
    lines = _lines(folder / "ganeti_api_version", required=True)
    try:
        return tuple(int(line) for line in lines)
    except ValueError:
        raise _Invalid(f"API version file '{folder}/ganeti_api_version' has something else than numbers") from None


def _common(folder: Path, versions: tuple[int, ...]) -> int:
    common = set(versions) & set(VERSIONS)
    if not common:
        raise _Invalid(f"API version mismatch for path '{folder}': found {_list(versions)}, "
                       f"required one of {_list(VERSIONS)}")
    return max(common)


def _variants(folder: Path) -> tuple[str, ...]:
    return tuple(line for line in _lines(folder / "variants.list", required=False) if not line.startswith("#"))


def _parameters(folder: Path) -> tuple[tuple[str, str], ...]:
    words = [line.split(None, 1) for line in _lines(folder / "parameters.list", required=True)]
    return tuple((line[0], line[1] if len(line) > 1 else "") for line in words)


def _lines(path: Path, *, required: bool) -> list[str]:
    """The lines that are not blank, stripped."""
    if not required and not os.path.lexists(path):
        return []
    _check_regular(path)
    try:
        return [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as err:
        raise _Invalid(f"File '{path.name}' under path '{path.parent}' cannot be read: {err}") from err


def _check_regular(path: Path) -> os.stat_result:
    try:
        facts = path.stat()
    except OSError:
        raise _Invalid(f"File '{path.name}' under path '{path.parent}' is missing") from None
    if not stat.S_ISREG(facts.st_mode):
        raise _Invalid(f"File '{path.name}' under path '{path.parent}' is not a regular file")
    return facts


def _check_script(path: Path) -> None:
    if not _check_regular(path).st_mode & stat.S_IXUSR:
        raise _Invalid(f"File '{path.name}' under path '{path.parent}' is not executable")


def _list(versions: tuple[int, ...]) -> str:
    return "[" + ", ".join(str(version) for version in versions) + "]"
