# SPDX-License-Identifier: BSD-2-Clause
"""Hooks: which scripts run, what they see, and what is said of each."""

from pathlib import Path

import pytest

from gantry.backend import hooks
from gantry.errors import WrongInput


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    folder = tmp_path / "etc/gantry/hooks/instance-add-pre.d"
    folder.mkdir(parents=True)
    return folder


def script(folder: Path, name: str, text: str, mode: int = 0o755) -> None:
    (folder / name).write_text("#!/bin/sh\n" + text)
    (folder / name).chmod(mode)


def run(env=None):
    found = hooks.hooks_run(phase="pre", path="instance-add", env=env or {})
    return [(item.script.removeprefix("instance-add-pre.d/"), item.code, item.output) for item in found]


def test_no_folder_no_hooks(folder):
    folder.rmdir()
    assert run() == []


def test_all_run_in_order_of_name_whatever_becomes_of_them(folder):
    script(folder, "20-b", "echo second; exit 1\n")
    script(folder, "10-a", "echo; echo first; echo\n")
    script(folder, "30-c", "echo out; echo err >&2\n")
    assert run() == [("10-a", 2, "first"), ("20-b", 1, "second"), ("30-c", 2, "out\nerr")]


def test_other_files_are_skipped(folder):
    script(folder, "a.bak", "echo no\n")
    script(folder, "b", "echo no\n", mode=0o644)
    (folder / "c").mkdir()
    assert run() == [("a.bak", 0, ""), ("b", 0, ""), ("c", 0, "")]


def test_the_environment_is_exact(folder, monkeypatch):
    monkeypatch.setenv("LEAKED", "yes")
    script(folder, "env", "env; pwd; cat\n")
    ((_, _, output),) = run({"GANETI_OP_CODE": "OP_X", "GANETI_EMPTY": ""})
    lines = {line for line in output.splitlines() if not line.startswith(("PWD=", "SHLVL=", "_=", "OLDPWD="))}
    assert lines == {"PATH=/sbin:/bin:/usr/sbin:/usr/bin", "GANETI_OP_CODE=OP_X", "GANETI_EMPTY=", "/"}


def test_a_script_that_cannot_be_executed_has_failed(folder):
    (folder / "x").write_text("#!/no/such/shell\n")
    (folder / "x").chmod(0o755)
    ((_, code, output),) = run()
    assert code == 1
    assert output.startswith("Error while executing")


def test_a_script_that_hangs_has_failed_and_the_next_one_runs(folder, monkeypatch):
    monkeypatch.setattr(hooks, "SECONDS", 0.1)
    script(folder, "1", "echo waiting; sleep 300\n")
    script(folder, "2", "echo next\n")
    first, second = run()
    assert first[1] == 1
    assert first[2].startswith("waiting\nno end after")
    assert second == ("2", 2, "next")


def test_a_hook_may_leave_a_process_behind(folder):
    script(folder, "1", "sleep 1 &\necho started\n")
    assert run() == [("1", 2, "started")]


@pytest.mark.parametrize(("phase", "path"), [("pre", "../x"), ("pre", ""), ("middle", "instance-add")])
def test_names_do_not_lead_out_of_the_hooks_folder(folder, phase, path):
    with pytest.raises(WrongInput):
        hooks.hooks_run(phase=phase, path=path, env={})
