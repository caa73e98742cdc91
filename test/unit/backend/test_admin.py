# SPDX-License-Identifier: BSD-2-Clause
"""The administrator's programs: which may run, what comes of them, and what is said of those that may not."""

import fcntl
import os

import pytest

from gantry.backend import admin, powercycle
from gantry.errors import ExecError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    monkeypatch.setattr(admin, "PENALTY", 0.0)
    found = tmp_path / "etc/gantry/restricted-commands"
    found.mkdir(parents=True)
    found.chmod(0o755)
    return found


def script(path, text, mode=0o755):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return str(path)


def test_a_restricted_command_says_what_it_prints(folder):
    script(folder / "hello", "echo out; echo err >&2; env | grep -v -e ^PWD -e ^_ -e ^SHLVL -e ^OLDPWD; true")
    assert admin.restricted_command(command="hello") == [True, "out\nerr"]
    script(folder / "no", "echo so not; exit 3")
    assert admin.restricted_command(command="no") == [False, "Command 'no' exited with exit code 3; output: so not"]


@pytest.mark.parametrize("name", ["nosuch", "../restricted-commands/good", "good.sh", "", "loose", "plain", "link",
                                  "sub", "good\n", "\u0663"])
def test_what_may_not_run_is_refused_without_a_reason(folder, name):
    script(folder / "good", "echo")
    script(folder / "good.sh", "echo")
    script(folder / "loose", "echo", mode=0o775)
    script(folder / "plain", "echo", mode=0o644)
    (folder / "link").symlink_to(folder / "good")
    (folder / "sub").mkdir()
    with pytest.raises(ExecError) as raised:
        admin.restricted_command(command=name)
    assert str(raised.value) == admin.REFUSED


def test_nothing_of_a_folder_that_others_may_write_to_runs(folder):
    script(folder / "good", "echo")
    folder.chmod(0o777)
    with pytest.raises(ExecError):
        admin.restricted_command(command="good")


def test_one_at_a_time(folder, tmp_path):
    script(folder / "good", "echo")
    (tmp_path / "run/gantry").mkdir(parents=True)
    with open(tmp_path / "run/gantry/restricted-command.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ExecError):
            admin.restricted_command(command="good")
    assert admin.restricted_command(command="good") == [True, ""]


def oob(tmp_path, text, command, *, powered=True, timeout=20.0):
    program = script(tmp_path / "oob", text)
    return admin.oob_run(program=program, command=command, node="node1", timeout=timeout, powered=powered,
                         progress=lambda fraction, message: None)


@pytest.mark.parametrize(("command", "text", "answer"), [
    ("power-on", "exit 0", {"row": [0, None], "warning": "", "powered": True}),
    ("power-off", "test $2 = node1", {"row": [0, None], "warning": "", "powered": False}),
    ("power-cycle", "test $1 = power-cycle", {"row": [0, None], "warning": ""}),
    ("power-status", "echo '{\"powered\": true}'", {"row": [0, {"powered": True}], "warning": ""}),
    ("health", "echo '[[\"fan\", \"OK\"]]'", {"row": [0, [["fan", "OK"]]], "warning": ""})])
def test_an_out_of_band_program(tmp_path, command, text, answer):
    assert oob(tmp_path, text, command) == answer


def test_what_it_says_that_is_not_well_is_a_warning(tmp_path):
    assert oob(tmp_path, "echo '{\"powered\": false}'", "power-status")["warning"] == (
        " - WARNING: Recorded power state (True) does not match actual power state (False)")
    assert oob(tmp_path, "echo '[[\"fan\", \"OK\"], [\"psu\", \"CRITICAL\"]]'", "health")["warning"] == (
        " - WARNING: Node health: 'psu' is CRITICAL")


@pytest.mark.parametrize(("command", "text"), [
    ("power-on", "exit 1"), ("power-on", "echo done"), ("power-status", "echo on"), ("power-status", "echo '[1]'"),
    ("power-status", "echo '{\"powered\": 1}'"), ("health", "echo '{}x'"), ("health", "echo '[[\"fan\", \"fine\"]]'"),
    ("health", "echo '[[1, 2, 3]]'"), ("health", "echo 7"), ("health", "sleep 60")])
def test_what_it_should_not_do_is_a_warning_and_no_data(tmp_path, command, text):
    answer = oob(tmp_path, text, command, timeout=0.3)
    assert answer["row"] == [1, None]
    assert answer["warning"].startswith(f" - WARNING: node node1: {tmp_path}/oob: ")
    assert "powered" not in answer


def test_a_program_that_is_not_there(tmp_path):
    answer = admin.oob_run(program=str(tmp_path / "nosuch"), command="health", node="node1", timeout=1.0, powered=True,
                           progress=lambda fraction, message: None)
    assert answer["row"] == [1, None]


def test_a_folder_that_is_no_node_is_not_reset(tmp_path, monkeypatch):
    """Neither the machine nor anything else: only `/` is the machine, only what has the file is virtual."""
    touched = tmp_path / "sysrq"
    monkeypatch.setattr(powercycle, "SYSRQ", touched)
    monkeypatch.setattr("sys.argv", ["powercycle", str(tmp_path)])
    monkeypatch.setattr(os, "fork", lambda: 0)
    assert powercycle.main() == 0
    assert not touched.exists()
