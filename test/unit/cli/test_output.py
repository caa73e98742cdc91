# SPDX-License-Identifier: BSD-2-Clause
"""Tables, trees and errors as scripts read them."""

import io

import pytest

from gantry.cli import failures, output
from gantry.cli.output import Style, info_lines, table
from gantry.errors import NotFound, ParameterError, RemoteError

TITLES, KINDS = ("Node", "DTotal", "Pinst", "Tags"), ("text", "unit", "number", "other")
ROWS = [[(0, "node1.example.org"), (0, 438170), (0, 0), (0, ["a", "b"])],
        [(0, "n2"), (4, None), (2, None), (3, None)]]


def test_columns_are_aligned() -> None:
    assert table(TITLES, KINDS, ROWS, Style()) == [
        "Node              DTotal Pinst Tags",
        "node1.example.org 427.9G     0 a,b",
        "n2                     *     ? -",
    ]


def test_separator_means_raw() -> None:
    assert table(TITLES, KINDS, ROWS, Style(separator=":", headers=False, verbose=True)) == [
        "node1.example.org:438170:0:a,b", "n2:(offline):(nodata):(unavail)"]
    assert table(TITLES, KINDS, ROWS, Style(separator=":", units="g"))[1] == "node1.example.org:427.9:0:a,b"


def test_an_empty_table_has_its_titles() -> None:
    assert table(("ID", "Status"), ("number", "text"), [], Style()) == ["ID Status"]
    assert table(("ID",), ("number",), [], Style(headers=False)) == []


def test_a_last_number_is_padded() -> None:
    assert table(("A", "Long"), ("text", "number"), [[(0, "x"), (0, 7)]], Style()) == ["A Long", "x    7"]


@pytest.mark.parametrize(("cell", "kind", "text"), [
    ((0, True), "bool", "Y"), ((0, False), "bool", "N"), ((1, None), "text", "??"), ((0, None), "timestamp", "N/A"),
    ((0, [None, "x"]), "other", "-,x"), ((0, 391), "unit", "391M"),
])
def test_cells(cell: tuple[int, object], kind: str, text: str) -> None:
    assert output.cell_text(cell, kind, Style()) == text


def test_info_trees() -> None:
    tree = [("Name", "x"), ("Empty", []), ("Params", {"b": 1, "a": True}), ("Pair", (1, 2)),
            ("NICs", [[("nic/0", ""), ("MAC", "aa")], [("nic/1", "")]]), ("Tags", ["t1", "t2"])]
    assert info_lines(tree) == [
        "Name: x", "Empty:", "Params:", "  a: True", "  b: 1", "Pair: [1, 2]", "NICs:", "  - nic/0:", "    MAC: aa",
        "  - nic/1:", "Tags:", "  - t1", "  - t2"]
    assert info_lines([[("A", 1), ("B", {"c": 2})], [("A", 2)]]) == ["- A: 1", "  B:", "    c: 2", "- A: 2"]


@pytest.mark.parametrize("text", ["split brain: both ends wrote", "quiet #1", "name:"])
def test_a_value_that_yaml_would_misread_is_quoted(text: str) -> None:
    assert output.info_lines([("problem", text), ("name", "web1:a")]) == [
        f'problem: "{text}"', "name: web1:a"]


def test_an_error_is_told_when_what_came_before_it_is_lost(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        output.line("a list")
        with pytest.raises(output.Lost, match="No space left"):
            output.error("Job 5 has failed")
    assert capsys.readouterr().err == "Job 5 has failed\n"


def test_no_terminal_means_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_terminal(*args: object) -> int:
        raise OSError

    monkeypatch.setattr(output.os, "open", no_terminal)
    assert not output.ask("Really?")
    assert not output.ask_about(["a"] * 30, "instances", "shutdown")


@pytest.mark.parametrize(("error", "text"), [
    (RemoteError(name="OpPrereqError", args=["no room", "insufficient_resources"]),
     "Failure: prerequisites not met for this operation:\n"
     "error type: insufficient_resources, error details:\nno room"),
    (RemoteError(name="OpExecError", args=["broke"]), "Failure: command execution error:\nbroke"),
    (RemoteError(name="HooksAbort", args=[[["n1", "10-check", "no"], ["n2", "20", ""]]]),
     "Failure: hooks execution failed:\n  node: n1, script: 10-check, output: no\n"
     "  node: n2, script: 20, (no output)"),
    (RemoteError(name="JobQueueDrainError", args=["x"]),
     "Failure: the job queue is marked for drain and doesn't accept new requests"),
    (RemoteError(name="Strange", args=["x"]), "Unhandled Ganeti error: x"),
    (RemoteError(name="OpExecError", args=[]), "Failure: command execution error:\n"),
    (ParameterError(detail="Unknown parameter 'K'"), "Parameter Error: Unknown parameter 'K'"),
    (NotFound(kind="Instance", name="x"), "Failure: prerequisites not met for this operation:\n"
                                          "error type: unknown_entity, error details:\nInstance 'x' not known"),
])
def test_error_texts(error: RemoteError, text: str) -> None:
    assert failures.describe(error) == (1, text)


def test_a_damaged_configuration_has_a_status_of_its_own() -> None:
    status, text = failures.describe(RemoteError(name="ConfigurationError", args=["no cluster"]))
    assert (status, text) == (2, "Corrupt configuration file: no cluster\nAborting.")


@pytest.mark.parametrize(("typed", "answer"), [
    ("y\n", "y"), ("Y\n", "y"), ("\n", "n"), ("", "n"), ("?\nmaybe\ny\n", "y")])
def test_the_dialogue(typed: str, answer: str) -> None:
    screen = io.StringIO()
    choices = {"y": "yes", "n": "no"}
    assert output._dialogue("Really? " * 20 + "\n  web1", choices, io.StringIO(typed), screen) == answer
    shown = screen.getvalue()
    assert shown.count("y/[n]/?: ") == typed.count("\n") + (typed == "")
    assert max(map(len, shown.splitlines())) <= 70
    assert ("y - yes" in shown) == ("?" in typed)
