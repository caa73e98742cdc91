# SPDX-License-Identifier: BSD-2-Clause
"""All that commands print: lines, tables, info trees, errors; and the questions they ask."""

import json
import os
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from gantry.utils.units import format_size

NORMAL, UNKNOWN, NODATA, UNAVAIL, OFFLINE = range(5)
_PLACEHOLDERS = {UNKNOWN: ("??", "(unknown)"), NODATA: ("?", "(nodata)"), UNAVAIL: ("-", "(unavail)"),
                 OFFLINE: ("*", "(offline)")}
_RIGHT = ("number", "unit", "float")
_LONG_LIST = 20


class Lost(Exception):
    """What was printed cannot be written where the output goes; it is thrown away from now on."""


def begin() -> None:
    """Streams that the caller closed go nowhere; to be called before anything is printed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - open until the program ends


def line(text: str = "", *, now: bool = False) -> None:
    """Raises Lost, as everything here that prints; `now`: a reader at the other end of a pipe is to see it."""
    try:
        print(text, flush=now)
    except OSError as err:
        raise _lost(err) from err


def error(text: str) -> None:
    """A line on stderr, after everything that was printed before it; it is there also when Lost is raised."""
    try:
        flush()
    finally:
        print(text, file=sys.stderr, flush=True)


def flush() -> None:
    """Let a reader at the other end of a pipe see what was printed so far."""
    try:
        sys.stdout.flush()
    except OSError as err:
        raise _lost(err) from err


def _lost(err: OSError) -> Lost:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Lost("" if isinstance(err, BrokenPipeError) else f"The output cannot be written: {err.strerror}")


def job_log(stamp: Sequence[int], text: str) -> None:
    """A line of a job's log: `Sat Nov 21 10:00:00 2026 text`."""
    line(f"{ctime(stamp[0])} {text}", now=True)


def ctime(seconds: float) -> str:
    return time.ctime(seconds)


def date(seconds: float | None) -> str:
    """`YYYY-MM-DD HH:MM:SS`, local time."""
    return "N/A" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def exact_date(stamp: Sequence[int] | None) -> str:
    """The same of (seconds, microseconds), with the latter."""
    return "N/A" if not stamp else f"{date(stamp[0])}.{stamp[1]:06d}"


# --- tables ---

class Style:
    """How a table is to look: what --no-headers, --separator, --units and -v say."""

    def __init__(self, *, headers: bool = True, separator: str | None = None, units: str | None = None,
                 verbose: bool = False) -> None:
        self.headers, self.separator, self.verbose = headers, separator, verbose
        self.units = units or ("h" if separator is None else "m")


def table(titles: Sequence[str], kinds: Sequence[str], rows: Sequence[Sequence[Any]], style: Style) -> list[str]:
    """Lines of a table; cells are [status, value] pairs as queries answer them."""
    texts = [[cell_text(cell, kind, style) for cell, kind in zip(row, kinds, strict=True)] for row in rows]
    if style.headers:
        texts.insert(0, list(titles))
    if style.separator is not None:
        return [style.separator.join(row) for row in texts]
    right = [kind in _RIGHT for kind in kinds]
    widths = [max((len(row[column]) for row in texts), default=0) for column in range(len(titles))]
    if widths and not right[-1]:
        widths[-1] = 0
    return [" ".join(text.rjust(width) if flush_right else text.ljust(width)
                     for text, width, flush_right in zip(row, widths, right, strict=True)) for row in texts]


def cell_text(cell: Sequence[Any], kind: str, style: Style) -> str:
    status, value = cell[0], cell[1]
    if status in _PLACEHOLDERS:
        return _PLACEHOLDERS[status][style.verbose]
    if kind == "bool":
        return "Y" if value else "N"
    if kind == "unit" and isinstance(value, (int, float)):
        return format_size(value, style.units)
    if kind == "timestamp":
        return exact_date(value) if isinstance(value, list) else date(value)
    return _other_text(value)


def _other_text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ",".join(_other_text(item) for item in value)
    return str(value)


# --- info trees ---

def info(value: Any) -> None:
    """A tree: dictionaries (sorted), lists of (key, value) pairs (in their order), lists, tuples (inline)."""
    for text in info_lines(value):
        line(text)


def info_lines(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return _mapping_lines(sorted(value.items()))
    if isinstance(value, list):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
            return _mapping_lines(value)
        return [("- " if number == 0 else "  ") + text
                for item in value for number, text in enumerate(info_lines(item))]
    if isinstance(value, tuple):
        return [f"[{', '.join(map(str, value))}]"]
    return [_scalar(value)]


def _scalar(value: Any) -> str:
    """As it is; quoted where a program that reads the tree as YAML would take a part for a key or a comment."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if ": " in text or " #" in text or text.endswith(":") else text


def _mapping_lines(items: Sequence[tuple[str, Any]]) -> list[str]:
    lines = []
    for key, value in items:
        below = info_lines(value)
        if isinstance(value, (Mapping, list)):
            lines += [f"{key}:", *(f"  {text}" for text in below)]
        else:
            lines.append(f"{key}: {below[0]}".rstrip() if below else f"{key}:")
    return lines


# --- questions ---

def ask(question: str) -> bool:
    """The operator's answer at the terminal; no terminal, an empty line and anything else mean no."""
    return _choose(question, {"y": "yes, do it", "n": "no, leave everything as it is (the default)"}) == "y"


def ask_about(names: Sequence[str], what: str, operation: str) -> bool:
    """`ask` for an operation on several objects, whose names are shown."""
    head = f"The {operation} will operate on {len(names)} {what}.\nDo you want to continue?"
    listed = "\n".join([f"Affected {what}:", *(f"  {name}" for name in names)])
    choices = {"y": "yes, do it", "n": "no, leave everything as it is (the default)"}
    if len(names) <= _LONG_LIST:
        return _choose(f"{head}\n{listed}", choices) == "y"
    while (answer := _choose(head, choices | {"v": f"view the list of {what}"})) == "v":
        error(listed)
    return answer == "y"


def _choose(question: str, choices: dict[str, str]) -> str:
    flush()
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        error("There is no terminal to ask at, so the answer is no; --help tells which option skips the question.")
        return "n"
    with os.fdopen(os.dup(terminal), "r", encoding="utf-8", errors="replace") as answers, \
            os.fdopen(terminal, "w", encoding="utf-8") as screen:
        return _dialogue(question, choices, answers, screen)


def _dialogue(question: str, choices: dict[str, str], answers: TextIO, screen: TextIO) -> str:
    shown = "\n".join(text if text.startswith("  ") else textwrap.fill(text, 70) for text in question.splitlines())
    prompt = "/".join("[n]" if key == "n" else key for key in [*choices, "?"]) + ": "
    while True:
        screen.write(f"{shown}\n{prompt}")
        screen.flush()
        typed = answers.readline()
        answer = typed.strip().lower() or "n"
        if answer in choices:
            return answer
        if not typed:
            return "n"
        screen.write("".join(f" {key} - {text}\n" for key, text in choices.items()))


def choose(title: str, items: Sequence[str]) -> str | None:
    """One of `items`, by its number in a menu; None when the operator leaves with `x`, or there is no terminal."""
    choices = {str(number): item for number, item in enumerate(items)}
    menu = "\n".join([title, *(f"  {number:>3}: {item}" for number, item in choices.items()),
                      "  Enter the number (x to abort)"])
    answer = _choose(menu, choices | {"x": "leave", "n": "leave"})
    return choices.get(answer)
