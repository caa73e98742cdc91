# SPDX-License-Identifier: BSD-2-Clause
"""How a device is configured in the kernel, as `drbdsetup show` prints it: nested sections of words.

pyparsing is imported at the first use only: most tasks of a node never ask.
"""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from gantry.errors import StorageError

if TYPE_CHECKING:
    from pyparsing import ParserElement


_parsing = threading.Lock()
"""The node daemon answers calls in threads; a grammar changes while it is used."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """`data` and `meta` are paths, empty without a disk; `local` and `remote` endpoints as in commands, empty without
    a connection; options are those that differ from the kernel's defaults."""

    data: str = ""
    meta: str = ""
    local: str = ""
    remote: str = ""
    net: Mapping[str, str] = field(default_factory=dict)
    disk: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> Shown:
    """Raises StorageError."""
    from pyparsing import ParseBaseException
    try:
        with _parsing:
            found = _grammar().parse_string(text, parse_all=True).as_list()
    except ParseBaseException as err:
        raise StorageError(detail=f"what drbdsetup shows cannot be understood: {err}") from err
    sections = dict(_flat(found, ()))
    here = _below(sections, "_this_host")
    volume = {path[1:]: value for path, value in here.items() if path[0].startswith("volume")}
    there = _below(sections, "_remote_host")
    return Shown(data=_one(volume, "disk"), meta=_one(volume, "meta-disk"), local=_endpoint(here),
                 remote=_endpoint(there), net=_options(_below(sections, "net")),
                 disk={path[1]: " ".join(words) for path, words in volume.items()
                       if path[0] == "disk" and len(path) > 1})


_Found = dict[tuple[str, ...], tuple[str, ...]]


@cache
def _grammar() -> "ParserElement":
    import pyparsing as pp
    word = pp.QuotedString('"') | pp.Regex(r'[^\s{};"#]+')
    item = pp.Forward()
    statement = pp.Group(word[1, ...]) + pp.Suppress(";")
    section = pp.Group(word[1, ...] + pp.Group(pp.Suppress("{") + item[...] + pp.Suppress("}")))
    item <<= section | statement
    grammar: ParserElement = item[...].ignore(pp.Regex(r"#[^\n]*"))
    return grammar


def _flat(items: list[Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """(path of sections and first word, further words) of each statement."""
    for item in items:
        if isinstance(item[-1], list):
            yield from _flat(item[-1], (*above, " ".join(item[:-1])))
        else:
            yield (*above, item[0]), tuple(item[1:])


def _below(sections: _Found, name: str) -> _Found:
    """What stands in the section `name` of the resource, without the way to it.  Version 9 has its peers in sections of
    their own."""
    return {path[path.index(name) + 1:]: words for path, words in sections.items() if name in path[1:-1]}


def _one(found: _Found, name: str) -> str:
    return " ".join(found.get((name,), ()))


def _options(found: _Found) -> dict[str, str]:
    return {path[0]: " ".join(words) for path, words in found.items() if len(path) == 1}


def _endpoint(found: _Found) -> str:
    """`ipv4 A:P` as commands take it."""
    return ":".join(found.get(("address",), ()))
