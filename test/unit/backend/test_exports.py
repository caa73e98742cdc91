# SPDX-License-Identifier: BSD-2-Clause
"""The folders of exports: what is half done is never taken for one, and the old one is there until the new one is."""

import os
import shutil
import threading
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import pytest

from gantry import paths
from gantry.backend import exports, task_record
from gantry.errors import NotFound, StorageError, WrongInput
from gantry.utils import retry

NAME = "web1.example.org"


def quiet(fraction: float, message: str) -> None:
    assert message


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    return paths.here().exports


def write(text: str, *dumps: str) -> None:
    """A new export of NAME, but for its finish."""
    exports.export_begin(name=NAME)
    for dump in dumps:
        (exports.unfinished(NAME) / dump).write_text(text)


def finish(*dumps: str, config: str = "[export]\n") -> None:
    exports.export_finish(name=NAME, config=config, dumps=list(dumps))


def test_none_on_a_new_node(folder: Path) -> None:
    assert exports.export_list() == []


def test_it_is_one_when_it_is_finished(folder: Path) -> None:
    write("data", "d1")
    assert exports.export_list() == []
    finish("d1", config="[export]\nversion = 0\n")
    finish("d1", config="[export]\nversion = 0\n")  # asked again
    assert exports.export_list() == [NAME]
    assert exports.export_info(path=NAME) == exports.export_info(path=str(folder / NAME)) == "[export]\nversion = 0\n"
    assert sorted(os.listdir(folder / NAME)) == ["config.ini", "d1"]
    assert (folder / NAME).stat().st_mode & 0o007 == 0
    assert (folder / NAME / "config.ini").stat().st_mode & 0o077 == 0


def test_the_old_one_stays_until_then(folder: Path) -> None:
    write("old", "d1")
    finish("d1")
    write("new", "d1")
    assert (folder / NAME / "d1").read_text() == "old"
    exports.export_drop(name=NAME)
    exports.export_drop(name=NAME)
    assert (folder / NAME / "d1").read_text() == "old"
    write("new", "d1")
    finish("d1", config="[export]\ntimestamp = 2\n")
    assert (folder / NAME / "d1").read_text() == "new"
    assert os.listdir(folder) == [NAME]


@pytest.mark.parametrize("cut", [0, 1, 2])
@pytest.mark.parametrize("back", [False, True])
def test_a_finish_that_is_cut_off(folder: Path, monkeypatch: pytest.MonkeyPatch, cut: int, back: bool) -> None:
    """After no rename, one or two, resumed or taken back, as long as that can be."""
    write("old", "d1")
    finish("d1")
    write("new", "d1")
    rename, done = os.rename, []

    def broken(source: object, target: object, **more: object) -> None:
        if Path(str(target)).parent == folder:
            if len(done) == cut:
                raise OSError(5, "the power went")
            done.append(target)
        rename(source, target, **more)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", broken)
        with pytest.raises(StorageError, match="the power went"):
            finish("d1", config="[export]\ntimestamp = 2\n")
    if back:
        exports.export_drop(name=NAME)
    else:
        finish("d1", config="[export]\ntimestamp = 2\n")
    assert (folder / NAME / "d1").read_text() == ("old" if back and cut < 2 else "new")
    assert os.listdir(folder) == [NAME]


def test_one_that_is_not_whole_is_not_finished(folder: Path) -> None:
    write("data", "d1")
    with pytest.raises(StorageError, match="d2 is missing"):
        finish("d1", "d2")
    exports.export_drop(name=NAME)
    with pytest.raises(StorageError, match="is gone"):
        finish("d1")
    assert exports.export_list() == []


def test_it_is_removed(folder: Path) -> None:
    write("data", "d1")
    finish("d1")
    for _ in range(2):
        exports.export_remove(name=NAME, progress=quiet)
    assert os.listdir(folder) == []
    with pytest.raises(NotFound, match=NAME):
        exports.export_info(path=NAME)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "/etc"])
def test_what_is_no_name_of_an_export(folder: Path, name: str) -> None:
    for call in (exports.export_begin, exports.export_drop):
        with pytest.raises(WrongInput):
            call(name=name)


@pytest.mark.parametrize("path", ["../etc", ".web1.new", "/srv/../etc"])
def test_what_is_no_path_of_an_export(folder: Path, path: str) -> None:
    with pytest.raises(WrongInput, match="no path of an export"):
        exports.export_info(path=path)


def settled(folder: Path) -> list[str]:
    """What is there, once all that is to be removed has been."""
    assert retry.wait_for(lambda: not any(".gone." in name for name in os.listdir(folder)), seconds=10,
                          waits=repeat(0.01))
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("exchanging", [False, True])
def test_what_a_machine_was_writing_when_it_went_down_is_removed(
        folder: Path, monkeypatch: pytest.MonkeyPatch, exchanging: bool) -> None:
    write("old", "d1")
    finish("d1")
    write("new", "d1")
    if exchanging:
        os.rename(folder / NAME, folder / f".{NAME}.old")
    exports.clear_stale()
    assert f".{NAME}.new" in settled(folder), "the daemon was started again, the export goes on"
    monkeypatch.setattr(task_record, "boot_id", lambda: "the next one")
    exports.clear_stale()
    assert settled(folder) == [NAME]
    assert (folder / NAME / "d1").read_text() == "old"


def test_a_name_that_looks_like_something_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("data", "d1")
    os.rename(exports.unfinished(NAME), exports.unfinished("web.gone.example.org"))
    shutil.copytree(exports.unfinished("web.gone.example.org"), folder / "web")
    monkeypatch.setattr(threading, "Thread", At)
    exports.clear_stale()
    exports.export_remove(name="web", progress=quiet)
    assert os.listdir(folder) == [".web.gone.example.org.new"]
    assert (exports.unfinished("web.gone.example.org") / "d1").read_text() == "data"


class At:
    """A thread that does its work at once."""

    def __init__(self, *, target: Callable[..., None], args: tuple[str, ...], **_more: object) -> None:
        self._target, self._args = target, args

    def start(self) -> None:
        self._target(*self._args)


def test_what_was_half_removed_never_comes_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("data", "d1")
    finish("d1")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *args, **more: None)  # the process was killed
        exports.export_remove(name=NAME, progress=quiet)
    assert exports.export_list() == []
    exports.export_drop(name=NAME)
    assert exports.export_list() == []
    write("new", "d1")
    finish("d1")
    exports.clear_stale()
    assert settled(folder) == [NAME]
    assert sorted(os.listdir(folder / NAME)) == ["config.ini", "d1"]
