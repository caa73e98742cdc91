# SPDX-License-Identifier: BSD-2-Clause
"""Command lines: which commands and options there are, and what is said about wrong ones."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from gantry.cli import build, main, programs

COMMANDS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data/commands.json").read_text())
ALL = [(program, name) for program, commands in COMMANDS.items() for name in commands]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node's root with a log folder; no socket."""
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    monkeypatch.setenv("FORCE_LUXI_SOCKET", str(tmp_path / "none"))
    (tmp_path / "var/log/gantry").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("program", sorted(COMMANDS))
def test_subcommands(program: str) -> None:
    assert set(programs.commands(program)) == set(COMMANDS[program])


@pytest.mark.parametrize(("program", "name"), ALL)
def test_options_are_those_operators_know(program: str, name: str) -> None:
    command, expected = programs.commands(program)[name], COMMANDS[program][name]
    assert {flag for option in command.options for flag in option.flags} == set(expected["options"])
    assert set(command.sets) == set(expected["sets"])


@pytest.mark.parametrize(("program", "name"), ALL)
def test_each_command_can_be_asked_for_help_and_run(program: str, name: str) -> None:
    command = programs.commands(program)[name]
    assert callable(programs.runner(command))
    assert build.summary(command)
    text = build.parser(program, name, command).format_help()
    assert f"Usage: {program} {name} [OPTIONS]" in text
    for option in build.all_options(command):
        completed = build.completed(option, build.opcode_fields(command))
        assert completed.kind, option
        assert completed.help, option
        assert not option.param or option.param in build.opcode_fields(command), option


@pytest.mark.parametrize(("args", "status", "out", "err"), [
    (["gnt-instance"], 1, "Commands:", ""),
    (["gnt-instance", "fly"], 1, " startup", ""),
    (["/usr/bin/gnt-instance", "--help"], 0, " startup", ""),
    (["gnt-instance", "--version"], 0, r"gnt-instance \(ganeti .*\) 3\.0\.2", ""),
    (["gnt-instance", "startup", "--help"], 0, "--no-remember", ""),
    (["gnt-instance", "startup", "--fly"], 2, "", "gnt-instance: error: no such option: --fly"),
    (["gnt-instance", "shutdown", "--timeout", "x", "a"], 2, "", "option --timeout"),
    (["gnt-instance", "add", "-s", "1x", "a"], 2, "", "option -s: Unknown unit: x"),
    (["gnt-instance", "remove", "a", "-f"], 1, "", r"Error: Command remove expects 1 argument\(s\)"),
    (["gnt-instance", "grow-disk", "a"], 1, "", r"expects 3 argument\(s\)"),
    (["gnt-job", "info"], 1, "", r"expects at least 1 argument\(s\)"),
    (["gnt-cluster", "verify", "x"], 1, "", "Error: Command verify expects no arguments"),
    (["gnt-cluster", "watcher", "pause", "1", "2"], 1, "", r"expects only 2 argument\(s\)"),
    (["gnt-node", "modify", "-O", "maybe", "n"], 1, "", "Failure: unknown/wrong parameter name 'Invalid boolean"),
    (["gnt-instance", "modify", "-B", "a=1,a=2", "n"], 1, "", "Duplicate key 'a' in option -B"),
    (["gnt-instance", "modify", "n"], 1, "", "Please give at least one of the parameters."),
    (["gnt-cluster", "destroy"], 1, "", "--yes-do-it"),
    (["gnt-job", "list"], 1, "", "Cannot communicate with socket"),
    (["gnt-cluster", "getmaster"], 1, "", "error type: wrong_input"),
])
def test_what_main_says(args: list[str], status: int, out: str, err: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(args) == status
    said = capsys.readouterr()
    assert re.search(out, said.out)
    assert re.search(err, said.err)
    assert bool(said.err) == bool(err)


def test_commands_log(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main.main(["gnt-instance", "add", "--os-parameters-secret=a=hidden", "--no-nics", "x"])
    log = (root / "var/log/gantry/commands.log").read_text()
    assert re.match(rf"\d{{4}}-\d\d-\d\d [\d:]{{8}},\d{{3}}: gnt-instance add pid={os.getpid()} INFO run with", log)
    assert "hidden" not in log
    assert log.splitlines()[-2].endswith("ERROR Error during command processing")
    assert re.match(r"gantry\.errors\.OpPrereqError: \(.*, 'wrong_input'\)$", log.splitlines()[-1])


def test_a_bug_is_one_sentence_and_a_trace_in_the_log(
        root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("what a mess")

    monkeypatch.setattr(programs, "runner", lambda command: broken)
    assert main.main(["gnt-job", "list"]) == 1
    assert capsys.readouterr().err == "Unhandled exception: what a mess\n"
    assert "Traceback" in (root / "var/log/gantry/commands.log").read_text()


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(programs, "runner", lambda command: interrupted)
    assert main.main(["gnt-job", "list"]) == 1
    assert capsys.readouterr().err.startswith("Aborted. Note that if the operation created any jobs, ")
