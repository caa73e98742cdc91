# SPDX-License-Identifier: BSD-2-Clause
"""The watcher's files: its lock, its notes, and the states of instances for those who monitor them."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gantry import paths
from gantry.errors import ConfigurationError
from gantry.objects import codec
from gantry.utils.files import write_atomic
from gantry.utils.names import nice_key
from gantry.watcher.decide import Notes


class Busy(Exception):
    """Somebody else holds the lock."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Raises Busy at once when it is locked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise Busy(f"{path} is locked by another process") from err
        yield
    finally:
        os.close(handle)


def read_notes(group: str) -> Notes:
    """Of a group by UUID; notes that are missing or damaged are empty."""
    try:
        return codec.decode(Notes, json.loads(_notes(group).read_text()), "notes")
    except (OSError, ValueError, ConfigurationError):
        return Notes()


def write_notes(group: str, notes: Notes) -> None:
    write_atomic(_notes(group), json.dumps(codec.encode(notes)) + "\n", mode=0o600)


def write_states(group: str, states: Mapping[str, str]) -> None:
    """`NAME STATUS` lines of the group; and those of all groups together, for who reads one file."""
    here = paths.here()
    write_atomic(here.state / f"watcher.{group}.instance-status", _lines(states), mode=0o644)
    merged: dict[str, str] = {}
    for file in here.state.glob("watcher.*.instance-status"):
        for line in file.read_text().splitlines():
            name, _, status = line.partition(" ")
            merged[name] = status
    write_atomic(here.run / "instance-status", _lines(merged), mode=0o644)


def forget_groups(present: set[str]) -> None:
    """Remove the files of groups that are no more."""
    for file in paths.here().state.glob("watcher.*.*"):
        if file.name.split(".")[1] not in present:
            file.unlink(missing_ok=True)


def _notes(group: str) -> Path:
    return paths.here().state / f"watcher.{group}.data"


def _lines(states: Mapping[str, str]) -> str:
    return "".join(f"{name} {states[name]}\n" for name in sorted(states, key=nice_key))
