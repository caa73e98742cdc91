# SPDX-License-Identifier: BSD-2-Clause
"""Ending scripts that do not want to end."""

from pathlib import Path

import psutil
import pytest

from gantry.backend import scripts
from gantry.utils import retry


class Canceled(Exception):
    pass


def start(tmp_path: Path, text: str, watch) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n" + text)
    (tmp_path / "script").chmod(0o755)
    scripts.run([str(tmp_path / "script")], log=tmp_path / "log", env={"PATH": "/bin:/usr/bin"}, cwd=tmp_path,
                seconds=60, watch=watch)


def test_a_second_request_to_end_does_not_save_the_script(tmp_path, monkeypatch):
    def told_again(*_args, **_kwargs):
        monkeypatch.undo()
        raise Canceled
    pid = tmp_path / "pid"

    def watch() -> None:
        if pid.exists() and pid.read_text():
            monkeypatch.setattr(retry, "wait_for", told_again)
            raise Canceled
    with pytest.raises(Canceled):
        start(tmp_path, f"trap '' TERM\necho $$ >{pid}\nwhile :; do sleep 1; done\n", watch)
    assert not psutil.pid_exists(int(pid.read_text()))


def test_a_child_in_a_session_of_its_own_is_ended_too(tmp_path, monkeypatch):
    monkeypatch.setattr(scripts, "GRACE", 0.5)
    pid = tmp_path / "pid"

    def watch() -> None:
        if pid.exists() and pid.read_text():
            raise Canceled
    with pytest.raises(Canceled):
        start(tmp_path, f"setsid sh -c 'echo $$ >{pid}; exec sleep 300' &\nwait\n", watch)
    child = int(pid.read_text())
    assert retry.wait_for(lambda: not psutil.pid_exists(child) or
                          psutil.Process(child).status() == psutil.STATUS_ZOMBIE, seconds=10, waits=iter([0.05] * 200))


def test_the_last_lines_of_a_log(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(5000)))
    assert scripts.last_lines(log, 2) == "line 4998\nline 4999"
    assert "cannot be read" in scripts.last_lines(tmp_path / "none")
