# SPDX-License-Identifier: BSD-2-Clause
"""The manual says what the programs do: its pages are as new as the declarations, and leave nothing out."""

import re
from pathlib import Path

import pytest

from gantry.cli import build, programs
from gantry.server import daemon, masterd, noded, rapi
from manual import lists, pages, roff, rst
from manual.blocks import Directive, Heading, Item, Literal, Paragraph

ROOT = Path(__file__).parents[2]
MAN = ROOT / "man"


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages.made(MAN)


def shown(name: str) -> str:
    """A committed page without its fonts and escapes."""
    text = re.sub(r"\\f[BIR]", "", (MAN / name).read_text())
    return text.replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\(ti", "~").replace(r"\(rs", "\\")


def test_no_page_is_stale(made: dict[str, str]) -> None:
    stale = [name for name, text in made.items() if not (MAN / name).exists() or (MAN / name).read_text() != text]
    assert not stale, f"run `make man` and commit {', '.join(f'man/{name}' for name in stale)}"


def test_no_page_is_left_over(made: dict[str, str]) -> None:
    assert {path.name for path in MAN.glob("*.[1-8]")} == made.keys()


def test_each_program_has_a_page(made: dict[str, str]) -> None:
    installed = set(re.findall(r'"([a-z-]+)=', (ROOT / "setup.py").read_text())) | programs.PROGRAMS.keys()
    described = {name.partition(".")[0] for name in made}
    assert installed <= described, "write man/NAME.8.rst"


@pytest.mark.parametrize("program", sorted(programs.PROGRAMS))
def test_each_command_and_option_is_there(program: str) -> None:
    text = shown(f"{program}.8")
    for name, command in programs.commands(program).items():
        head, _, rest = text.partition(f".SS {name}\n")
        assert head != text, f"{program} {name}"
        part = rest.split("\n.S", 1)[0]
        for option in build.all_options(command):
            missing = [flag for flag in option.flags if not re.search(rf"(?<![\w-]){flag}(?![\w-])", text)]
            assert not missing, f"{program} {name}"
            assert option.flags[-1] in part, f"{program} {name}: {option.flags}"


@pytest.mark.parametrize("program", [masterd.PROGRAM, noded.PROGRAM, rapi.PROGRAM], ids=lambda program: program.name)
def test_each_option_of_a_daemon_is_there(program: daemon.Program) -> None:
    text = shown(f"{program.name}.8")
    flags = [flag for action in daemon.parser(program)._actions for flag in action.option_strings]
    assert [flag for flag in flags if flag not in text and flag not in ("-h", "--help")] == []


@pytest.mark.parametrize("name", ["hail", "harep", "hbal", "hcheck", "hinfo", "hroller", "hscan", "hspace", "hsqueeze"])
def test_each_option_of_the_balancer_is_there(name: str) -> None:
    program = lists.named(f"hbal.programs.{name}:PROGRAM")
    text = shown(f"{name}.1")
    assert [option for option in program.options if f"--{option}" not in text] == []


@pytest.mark.parametrize("name", [cls.__name__ for cls in lists.own_errors()])
def test_each_error_is_there(name: str) -> None:
    assert f"\n{name} (exit " in shown("gantry.7"), "say in man/gantry.7.rst what it means and what to do"


def test_each_error_says_what_to_do() -> None:
    blocks = rst.parse((MAN / "gantry.7.rst").read_text())
    notes = next(block for block in blocks if isinstance(block, Directive) and block.name == "errors").notes()
    assert [cls.__name__ for cls in lists.own_errors() if cls.__name__ not in notes] == []


def test_pages_are_plain_ascii_with_the_sections_readers_look_for(made: dict[str, str]) -> None:
    for name, text in made.items():
        assert text.isascii(), name
        assert [word for word in ("NAME", "DESCRIPTION", "SEE ALSO") if f".SH {word}\n" not in text] == [], name


# --- the generator itself ---------------------------------------------------------------------------------

SOURCE = """\
Name
====

web - a **bold** word,
over two lines

term one
    Its body.

    More::

        as it is

- first
  of two
- second

.. parameters:: a:b c

    note
        text
"""


def test_a_source_is_read() -> None:
    assert rst.parse(SOURCE) == (
        Heading(1, "Name"), Paragraph("web - a **bold** word, over two lines"),
        Item("term one", (Paragraph("Its body."), Paragraph("More:"), Literal(("as it is",)))),
        Item("-", (Paragraph("first of two"),)), Item("-", (Paragraph("second"),)),
        Directive("parameters", "a:b c", (Item("note", (Paragraph("text"),)),)))


def test_text_that_belongs_to_nothing_is_refused() -> None:
    with pytest.raises(rst.BadSource, match="indented"):
        rst.parse("\n    alone\n")


@pytest.mark.parametrize(("text", "expected"), [
    ("**-a**, *B*", r"\fB\-a\fR, \fIB\fR"), ("``a\\,b*``", r"\fBa\(rs,b*\fR"), (r"web\* \\x", r"web* \(rsx"),
    (".x", r"\&.x"), ("'x'", r"\&\(aqx\(aq"), ("2 * 3", "2 * 3"),
])
def test_marks_become_fonts_and_nothing_else_is_roff(text: str, expected: str) -> None:
    assert roff.inline(text) == expected


def test_a_note_about_something_that_is_not_there_is_refused() -> None:
    with pytest.raises(rst.BadSource, match="fly"):
        lists.DIRECTIVES["commands"](Directive("commands", "gnt-job", (Item("fly", ()),)))
