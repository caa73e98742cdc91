# SPDX-License-Identifier: BSD-2-Clause
"""Files that are cut off or spoilt: every program answers, or says in one sentence what is wrong, and nothing else."""

import json
import random
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from hbal import alloc

DATA = Path(__file__).parents[2] / "data" / "hbal"
TEXTS = [(DATA / f"{name}.data").read_text() for name in ("mixed", "external", "two-groups", "n1-failure")]
MESSAGES = [case["message"] for case in json.loads((DATA / "hail-replies.json").read_text())]
SPOILT = ("", "?", "-1", "0", "abc", "1e400", "nan", "9" * 20, "1.5", "Y", "\x00", "é", "|", "||||", ",", ";", "\n",
          "\n\n", "M", "drbd", "1_000", "0x10", "٣", "--1")
VALUES = (None, -1, 0, 1.5, 10**30, 1e308, float("inf"), "", "x", [], {}, [1], True, "drbd", ["a"])
PROGRAMS = (("hinfo",), ("hbal", "-l", "2"), ("hcheck", "--no-simulation"), ("hroller", "-f"), ("hsqueeze",),
            ("hspace", "-l", "1", "--disk-template", "drbd", "--no-capacity-checks"))


def spoilt(draw: random.Random) -> str:
    """A text file with one to five things wrong."""
    text = draw.choice(TEXTS)
    for _ in range(draw.choice((1, 1, 2, 5))):
        lines, way = text.split("\n"), draw.randrange(5)
        at = draw.randrange(len(lines))
        if way == 0:
            text = text[:draw.randrange(len(text) + 1)]
            continue
        if way == 1:
            lines.pop(at)
        elif way == 2:
            lines.insert(at, draw.choice(lines))
        else:
            columns = lines[at].split("|")
            columns[draw.randrange(len(columns))] = draw.choice(SPOILT)
            lines[at] = "|".join(columns)
        text = "\n".join(lines)
    return text


@pytest.mark.parametrize("seed", range(120))
def test_text_files(seed: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(seed)
    (tmp_path / "odd").write_text(spoilt(draw))
    program, *argv = draw.choice(PROGRAMS)
    code = import_module(f"hbal.programs.{program}").main(["-t", str(tmp_path / "odd"), *argv])
    out, err = capfd.readouterr()
    assert code in (0, 1)
    if code == 1:
        assert err.splitlines()[-1].startswith("Error: "), out + err


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something is in a message."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield (*here, key)
        yield from places(one, (*here, key))


@pytest.mark.parametrize("seed", range(120))
def test_requests(seed: int) -> None:
    draw = random.Random(seed)
    message = json.loads(json.dumps(draw.choice(MESSAGES)))
    known = [place for place in places(message) if seed % 2 or place[0] == "request"]
    *way, last = draw.choice(known)
    holder: Any = message
    for key in way:
        holder = holder[key]
    if isinstance(holder, dict) and draw.random() < 0.3:
        del holder[last]
    else:
        holder[last] = json.loads(json.dumps(draw.choice(VALUES)))
    reply = alloc.answer(message, verbose=True)
    assert [*reply] == ["success", "info", "result"]
    assert reply["info"].startswith(f"Request {'successful' if reply['success'] else 'failed'}: ")
