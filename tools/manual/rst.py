# SPDX-License-Identifier: BSD-2-Clause
"""Reads the part of reStructuredText that the sources of the manual use.

Sections underlined with `=` and `-`, paragraphs, bullets, definition lists, literal blocks after `::`,
and directives.  A line `.. text` without `::` is a comment.
"""

import re
from textwrap import dedent

from manual.blocks import Block, Blocks, Directive, Heading, Item, Literal, Paragraph

_UNDERLINES = {"=": 1, "-": 2}
_DIRECTIVE = re.compile(r"\.\. ([a-z-]+)::\s*(.*)$")
_BULLET = "- "


class BadSource(Exception):
    """A sentence for who writes the page."""


def parse(text: str) -> Blocks:
    """The blocks of a source; raises BadSource."""
    lines, place = text.rstrip().split("\n"), 0
    found: list[Block] = []
    while place < len(lines):
        if not lines[place].strip():
            place += 1
            continue
        blocks, place = _block(lines, place)
        found += blocks
    return tuple(found)


def _block(lines: list[str], place: int) -> tuple[list[Block], int]:
    """The block that starts at `place`, and the place after it."""
    line, after = lines[place], lines[place + 1] if place + 1 < len(lines) else ""
    if line.startswith(" "):
        raise BadSource(f"'{line.strip()}' is indented and belongs to nothing")
    if after and after[0] in _UNDERLINES and after == after[0] * len(line):
        return [Heading(_UNDERLINES[after[0]], line)], place + 2
    if line.startswith(".. "):
        body, end = _indented(lines, place + 1)
        match = _DIRECTIVE.match(line)
        return ([Directive(match[1], match[2].strip(), parse(body))] if match else []), end
    if line.startswith(_BULLET):
        body, end = _indented(lines, place + 1)
        return [Item("-", parse(f"{line.removeprefix(_BULLET)}\n{body}"))], end
    if after.startswith(" "):
        body, end = _indented(lines, place + 1)
        return [Item(line, parse(body))], end
    return _paragraph(lines, place)


def _paragraph(lines: list[str], place: int) -> tuple[list[Block], int]:
    end = place
    while end < len(lines) and lines[end].strip():
        end += 1
    text = " ".join(lines[place:end])
    if not text.endswith("::"):
        return [Paragraph(text)], end
    body, end = _indented(lines, end)
    text = text.removesuffix("::")
    start = [Paragraph(text.rstrip() if text.endswith(" ") else f"{text}:")] if text else []
    return [*start, Literal(tuple(body.rstrip().split("\n")))], end


def _indented(lines: list[str], place: int) -> tuple[str, int]:
    """The indented lines from `place` on without their indent, and the place after them."""
    end = place
    while end < len(lines) and (lines[end].startswith(" ") or not lines[end].strip()):
        end += 1
    return dedent("\n".join(lines[place:end])).strip("\n"), end
