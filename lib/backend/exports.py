# SPDX-License-Identifier: BSD-2-Clause
"""Calls about the exports on this node: a folder each, with `config.ini` and a file for each disk.

    EXPORTS/INSTANCE          the export; it has a config.ini
    EXPORTS/.INSTANCE.new     one that is being written
    EXPORTS/.INSTANCE.old     the one before, while the new one takes its place
    EXPORTS/.INSTANCE.gone.*  what is being removed

No instance's name begins with a dot, so what is half done is never taken for an export.
"""

import contextlib
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from gantry import paths
from gantry.backend import task_record
from gantry.errors import NotFound, StorageError, WrongInput
from gantry.utils.files import sync_folder, write_atomic

Progress = Callable[[float, str], None]

CONFIG = "config.ini"
_LARGEST = 1 << 20
_TOKEN = 4
"""Bytes that end the name of something that is being removed; that of an unfinished export never ends so."""
_BOOT = ".boot"
"""In an unfinished export: during which boot of the machine it was begun."""

log = logging.getLogger(__name__)


def export_list() -> list[str]:
    try:
        names = sorted(os.listdir(paths.here().exports))
    except FileNotFoundError:
        return []
    return [name for name in names if not name.startswith(".") and (paths.here().exports / name / CONFIG).is_file()]


def export_info(*, path: str) -> str:
    folder = folder_of(path)
    try:
        with (folder / CONFIG).open(encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(kind="Export", name=str(folder)) from None
    except (OSError, UnicodeDecodeError) as err:
        raise StorageError(detail=f"the export {folder} cannot be read: {err}") from err
    if len(text) > _LARGEST:
        raise StorageError(detail=f"{folder / CONFIG} is no description of an export: it has more than 1 MiB")
    return text


def export_begin(*, name: str) -> None:
    export_drop(name=name)
    folder = unfinished(name)
    try:
        folder.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        folder.mkdir(mode=0o750)
        (folder / _BOOT).write_text(task_record.boot_id())
        for above in (folder.parent, folder.parent.parent):
            sync_folder(above)
    except OSError as err:
        raise StorageError(detail=f"the folder {folder} cannot be made: {err.strerror}") from err


def export_drop(*, name: str) -> None:
    """Also what `export_finish` has begun is taken back, as long as the new export has not got its name."""
    place, old = _place(name), _old(name)
    try:
        if old.is_dir() and not place.exists():
            os.rename(old, place)
            sync_folder(place.parent)
        _remove(old)
        _remove(unfinished(name))
    except OSError as err:
        raise StorageError(detail=f"what was written of the export {name} cannot be removed: {err}") from err


def export_finish(*, name: str, config: str, dumps: list[str]) -> None:
    """The old export is there until the new one is whole, and is put back if the exchange ends half-way."""
    place, new, old = _place(name), unfinished(name), _old(name)
    try:
        if not new.is_dir():
            _check_finished(place, config)
        else:
            _check_whole(new, dumps)
            write_atomic(new / CONFIG, config)
            (new / _BOOT).unlink(missing_ok=True)
            if place.exists():
                _remove(old)
                os.rename(place, old)
            os.rename(new, place)
            sync_folder(place.parent)
        _remove(old)
    except OSError as err:
        raise StorageError(detail=f"the export {place} cannot be finished: {err}") from err


def export_remove(*, name: str, progress: Progress) -> None:
    progress(0.0, f"removing the export {name}")
    place = _place(name)
    try:
        _remove(place)
    except OSError as err:
        raise StorageError(detail=f"the export {place} cannot be removed: {err}") from err


def clear_stale() -> None:
    """At the start of the daemon: remove what was being written, or removed, when the machine went down.  An export
    that was about to be replaced is in its place again; the rest is done in a thread, which may take a while.
    """
    folder = paths.here().exports
    for new in folder.glob(".*.new") if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            if (new / _BOOT).read_text() != task_record.boot_id():
                name = new.name.removeprefix(".").removesuffix(".new")
                log.warning("the export %s was not finished when the machine went down; it is removed", name)
                os.rename(new, _gone(_place(name)))
                export_drop(name=name)
    threading.Thread(target=_remove_gone, args=(".*",), name="exports", daemon=True).start()


# --- places ---

def folder_of(path: str) -> Path:
    """The folder of an export named by its path, which may be relative to the folder of exports."""
    plain = PurePosixPath(path)
    if ".." in plain.parts or any(part.startswith(".") for part in plain.parts):
        raise WrongInput(detail=f"'{path}' is no path of an export")
    return paths.here().exports / plain


def unfinished(name: str) -> Path:
    return _place(name).with_name(f".{name}.new")


def _old(name: str) -> Path:
    return _place(name).with_name(f".{name}.old")


def _place(name: str) -> Path:
    if not name or "/" in name or name.startswith("."):
        raise WrongInput(detail=f"'{name}' is no name of an export")
    return paths.here().exports / name


def _gone(place: Path) -> Path:
    return place.with_name(f".{place.name.removeprefix('.')}.gone.{secrets.token_hex(_TOKEN)}")


def _remove(folder: Path) -> None:
    """Harmless when it is gone.  Half removed it is no export."""
    if os.path.lexists(folder):
        os.rename(folder, _gone(folder))
        sync_folder(folder.parent)
    _remove_gone(f".{folder.name.removeprefix('.')}")


def _remove_gone(pattern: str) -> None:
    """`pattern`: of what was removed."""
    for gone in paths.here().exports.glob(f"{pattern}.gone.{'[0-9a-f]' * 2 * _TOKEN}"):
        shutil.rmtree(gone, ignore_errors=True)  # another one may be at it; what stays, stays for the next time


def _check_whole(folder: Path, dumps: Sequence[str]) -> None:
    missing = [name for name in dumps if not (folder / name).is_file()]
    if missing:
        raise StorageError(detail=f"the export in {folder} is not whole, {', '.join(missing)} is missing; begin again")


def _check_finished(place: Path, config: str) -> None:
    try:
        finished = (place / CONFIG).read_text(encoding="utf-8") == config
    except FileNotFoundError:
        finished = False
    if not finished:
        raise StorageError(detail=f"what was written of the export {place} is gone; begin again")
