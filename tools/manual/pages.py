# SPDX-License-Identifier: BSD-2-Clause
"""The pages: a source `man/NAME.SECTION.rst` each, and the page itself, `man/NAME.SECTION`, beside it.

Texts that several sources include are in `man/parts`.  A source that is put there makes a page.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import gantry
from manual import roff
from manual.blocks import Block, Blocks, Directive, Paragraph, bold
from manual.lists import DIRECTIVES
from manual.rst import BadSource, parse

_SOURCE = re.compile(r"(?P<name>[a-z-]+)\.(?P<section>[1-8])\.rst")


def made(folder: Path) -> dict[str, str]:
    """Text of each page by file name, as its source and the declarations now have it; raises BadSource."""
    found = {}
    for path, name, section in _sources(folder):
        try:
            blocks = tuple(_expanded(parse(path.read_text()), folder))
        except BadSource as err:
            raise BadSource(f"{path}: {err}") from err
        found[path.stem] = roff.page(name, section, gantry.__version__, blocks)
    return found


def _sources(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """Path, name and section of each source, in the order of the names."""
    for path in sorted(folder.glob("*.rst")):
        match = _SOURCE.fullmatch(path.name)
        if match is None:
            raise BadSource(f"{path}: a source is called NAME.SECTION.rst")
        yield path, match["name"], match["section"]


def _expanded(blocks: Blocks, folder: Path) -> Iterator[Block]:
    """`blocks` with what the directives stand for."""
    for block in blocks:
        if not isinstance(block, Directive):
            yield block
        elif block.name == "include":
            yield from _expanded(parse((folder / "parts" / f"{block.argument}.rst").read_text()), folder)
        elif block.name == "pages":
            yield Paragraph(", ".join(f"{bold(name)}({section})" for _, name, section in _sources(folder)) + ".")
        elif block.name in DIRECTIVES:
            yield from DIRECTIVES[block.name](block)
        else:
            raise BadSource(f"there is no directive {block.name}")


def write(folder: Path) -> list[str]:
    """Write the pages that changed; their names."""
    changed = [(name, text) for name, text in made(folder).items() if _present(folder / name) != text]
    for name, text in changed:
        (folder / name).write_text(text)
    return [name for name, _ in changed]


def _present(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
