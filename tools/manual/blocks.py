# SPDX-License-Identifier: BSD-2-Clause
"""What a page is made of, between its source and roff.

Texts carry the inline marks of reStructuredText (`**bold**`, `*italic*`, two backquotes around what is typed);
a backslash takes the meaning from the character after it.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """`level` 1 is a section of the page, 2 a part of one."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Literal:
    """Lines to be shown as they are."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Item:
    """A term and what is said about it; the term `-` makes a bullet."""

    term: str
    body: "Blocks"


@dataclass(frozen=True)
class Directive:
    """`.. name:: argument` and the indented blocks below it: what stands here is made from a declaration."""

    name: str
    argument: str
    body: "Blocks"

    def notes(self) -> dict[str, "Blocks"]:
        """The items of the body: what is said by hand about something that is listed."""
        return {item.term: item.body for item in self.body if isinstance(item, Item)}


Block = Heading | Paragraph | Literal | Item | Directive
Blocks = tuple[Block, ...]


def plain(text: str) -> str:
    """`text` so that none of its characters is a mark."""
    return re.sub(r"([\\*`])", r"\\\1", text)


def bold(text: str) -> str:
    return f"**{plain(text)}**"


def italic(text: str) -> str:
    return f"*{plain(text)}*"
