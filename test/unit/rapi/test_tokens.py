# SPDX-License-Identifier: BSD-2-Clause
import io
import json

import pytest

from gantry.errors import ConfigurationError, NotFound, WrongInput
from gantry.rapi import passwords, token_program, tokens
from gantry.rapi.tokens import TokenFile


@pytest.fixture
def file(tmp_path):
    return TokenFile(tmp_path / "rapi/tokens.json")


def test_what_is_kept_is_no_token(file, tmp_path):
    shown = file.add("ci", "read", None)
    text = (tmp_path / "rapi/tokens.json").read_text()
    assert shown not in text
    assert shown.split("_", 2)[2] not in text
    assert (tmp_path / "rapi/tokens.json").stat().st_mode & 0o777 == 0o640


def test_a_token_ends(file):
    shown = file.add("ci", "write", 2)
    token, = file.read().values()
    assert token.expires == pytest.approx(token.created + 2 * 86400)
    assert tokens.find(file.read(), shown, token.expires - 1) == token
    assert tokens.find(file.read(), shown, token.expires) is None
    assert tokens.find(file.read(), shown + "x", 0) is None


@pytest.mark.parametrize(("name", "role", "days"), [("", "read", None), ("ci", "admin", None), ("ci", "read", 0),
                                                    ("ci", "read", -1)])
def test_tokens_that_cannot_be(file, name, role, days):
    with pytest.raises(WrongInput):
        file.add(name, role, days)
    assert file.read() == {}


def test_revoking_what_is_not_there(file):
    with pytest.raises(NotFound):
        file.revoke("nosuch")


@pytest.mark.parametrize("text", ["", "{}x", '[{"id": 1}]', "[1]", json.dumps([dict(
    id="a", name="b", role="root", hash="", created=0, expires=None)])])
def test_a_damaged_file_is_an_error(text):
    with pytest.raises(ConfigurationError):
        tokens.parse(text)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))

    def run(*argv, status=0):
        assert token_program.main(argv) == status
        done = capsys.readouterr()
        return done.err if status else done.out
    return run


def test_the_program(run):
    shown = run("add", "ci", "--role", "write", "--days", "30").strip()
    run("add", "monitoring")
    lines = [line.split() for line in run("list").splitlines()]
    assert lines[0] == ["ID", "Name", "Role", "Created", "Expires"]
    assert [(line[1], line[2], line[-1]) for line in lines[1:]] == [
        ("ci", "write", lines[1][-1]), ("monitoring", "read", "never")]
    assert shown.startswith(f"gnt_{lines[1][0]}_")
    run("revoke", lines[1][0])
    assert len(run("list").splitlines()) == 2
    assert "not known" in run("revoke", "nosuch", status=1)


def test_a_password_is_hashed_from_standard_input(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("pass word\n"))
    assert passwords.Verifier().matches("joe", "pass word", run("hash").strip())
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert "empty" in run("hash", status=1)
