# SPDX-License-Identifier: BSD-2-Clause
"""The pages: a source `man/NAME.SECTION.rst` each, and the page itself, `man/NAME.SECTION`, beside it."""

import re
from collections.abc import Iterator
from pathlib import Path

import gantry
from manual import roff
from manual.blocks import Block, Blocks, Directive
from manual.lists import DIRECTIVES
from manual.rst import BadSource, parse

_SOURCE = re.compile(r"(?P<name>[a-z-]+)\.(?P<section>[1-8])\.rst")


def made(folder: Path) -> dict[str, str]:
    """Text of each page by file name, as its source and the declarations now have it; raises BadSource."""
    found = {}
    for path in sorted(folder.glob("*.rst")):
        match = _SOURCE.fullmatch(path.name)
        if match is None:
            raise BadSource(f"{path}: a source is called NAME.SECTION.rst")
        try:
            blocks = tuple(expanded(parse(path.read_text()), folder / "parts"))
        except BadSource as err:
            raise BadSource(f"{path}: {err}") from err
        found[path.stem] = roff.page(match["name"], match["section"], gantry.__version__, blocks)
    return found


def expanded(blocks: Blocks, parts: Path) -> Iterator[Block]:
    """`blocks` with what the directives stand for; `include` takes a text of the folder `parts`."""
    for block in blocks:
        if not isinstance(block, Directive):
            yield block
        elif block.name == "include":
            yield from expanded(parse((parts / f"{block.argument}.rst").read_text()), parts)
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
