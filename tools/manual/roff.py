# SPDX-License-Identifier: BSD-2-Clause
"""Writes pages in roff with the macros of man(7)."""

import re
from collections.abc import Iterator

from manual.blocks import Blocks, Directive, Heading, Item, Literal, Paragraph

_SPECIAL = {"\\": r"\(rs", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
_INLINE = re.compile(r"\\(?P<plain>.)|\*\*(?P<bold>(?:\\.|[^*\\])+)\*\*|\*(?P<italic>(?:\\.|[^*\\])+)\*"
                     r"|``(?P<typed>.+?)``|(?P<text>[^\\*`]+|.)", re.DOTALL)
_FONTS = {"bold": "B", "italic": "I", "typed": "B"}


def page(name: str, section: str, version: str, blocks: Blocks) -> str:
    """The whole page; `blocks` holds no directives any more."""
    head = (f".\\\" Made by `make man` from man/{name}.{section}.rst and the declarations in lib/; do not edit.\n"
            f".TH {escape(name.upper())} {section} \"\" \"Gantry {version}\" \"Gantry\"\n"
            ".nh\n.ad l\n")
    return head + "".join(f"{line}\n" for line in _lines(blocks))


def escape(text: str) -> str:
    """`text` so that roff shows each of its characters."""
    return "".join(_SPECIAL.get(char, char) for char in text)


def inline(text: str) -> str:
    """A text with marks on one line of roff."""
    out = []
    for match in _INLINE.finditer(text):
        kind = match.lastgroup or "text"
        inner = match[kind] if kind == "typed" else re.sub(r"\\(.)", r"\1", match[kind])
        shown = escape(re.sub(r"\s+", " ", inner))
        out.append(f"\\f{_FONTS[kind]}{shown}\\fR" if kind in _FONTS else shown)
    return _guarded("".join(out))


def _guarded(line: str) -> str:
    """A dot or quote at the start of a line would make it a request."""
    return rf"\&{line}" if line.startswith((".", "'", r"\(aq")) else line


def _lines(blocks: Blocks) -> Iterator[str]:
    for block in blocks:
        match block:
            case Heading(1, text):
                yield f".SH {inline(text.upper())}"
            case Heading(_, text):
                yield f".SS {inline(text)}"
            case Paragraph(text):
                yield from (".PP", inline(text))
            case Literal(lines):
                yield from (".PP", ".RS 4", ".nf", *(_guarded(escape(line)) for line in lines), ".fi", ".RE")
            case Item(term, body):
                yield from _item(term, body)
            case Directive(name, _, _):
                raise ValueError(f"nothing was put in the place of the directive {name}")


def _item(term: str, body: Blocks) -> Iterator[str]:
    """The first paragraph stands beside or below the term, the rest is indented like it."""
    first, rest = body[:1], body
    yield from (".IP \\(bu 3",) if term == "-" else (".TP", inline(term))
    if first and isinstance(first[0], Paragraph):
        yield inline(first[0].text)
        rest = body[1:]
    elif term != "-" and not body:
        yield r"\&"
    if rest:
        yield from (f".RS {3 if term == '-' else 7}", *_lines(rest), ".RE")
