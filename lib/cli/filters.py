# SPDX-License-Identifier: BSD-2-Clause
"""The query filter language of list commands, compiled to the list form that the master daemon evaluates.

    pnode.group == 'B' and not ("web" in tags or name =~ m/^db/i)
"""

import re
from functools import cache
from typing import Any

from gantry.errors import Error

_MARKS = re.compile(r"""[\s()!~"'<>=/\\]""")
_INLINE_FLAGS = {"i": "(?i)", "s": "(?s)"}


class FilterError(Error):
    """A filter that cannot be read; `position` counts from 0."""

    wire_name = "QueryFilterParseError"
    text = "{detail}"

    def wire(self) -> list[Any]:
        source, position = self.facts["source"], self.facts["position"]
        return [self.wire_name, [self.facts["detail"], source, " " * position + "^"]]


def looks_like_filter(arg: str) -> bool:
    """Whether a single argument of a list command is a filter and not a name."""
    return bool(_MARKS.search(arg))


def is_pattern(arg: str) -> bool:
    return "*" in arg or "?" in arg


def glob_regex(pattern: str) -> str:
    """`*` is anything without a dot, `?` one character that is no dot; further name components may follow."""
    parts = {"*": "[^.]*", "?": "[^.]"}
    body = "".join(parts.get(char) or re.escape(char) for char in pattern)
    return rf"^{body}(\..*)?$"


def plain_glob_regex(pattern: str) -> str:
    """A shell pattern over the whole value, for `=*`."""
    parts = {"*": ".*", "?": "."}
    return f"^{''.join(parts.get(char) or re.escape(char) for char in pattern)}$"


def parse(source: str) -> list[Any]:
    """The list form of `source`; raises FilterError."""
    from pyparsing import ParseException

    try:
        found: list[Any] = _grammar().parse_string(source, parse_all=True)[0]
    except ParseException as err:
        raise FilterError(detail=err.msg, source=source, position=err.loc) from err
    except RecursionError as err:
        raise FilterError(detail="nested too deeply", source=source, position=0) from err
    return found


@cache
def _grammar() -> Any:
    import pyparsing as pp

    field = pp.Regex(r"[a-zA-Z][a-zA-Z0-9_/.]*")
    string = pp.Regex(r"'[^']*'|\"[^\"]*\"").set_parse_action(lambda found: found[0][1:-1])
    number = pp.Regex(r"[+-]?\d+").set_parse_action(lambda found: int(found[0]))
    value = (string | number).set_name("quoted string or number")
    regex = pp.Regex(r"m?([/#^|])((?:\\.|(?!\1).)*)\1([is]*)").set_name("regular expression such as m/web/i")
    regex.set_parse_action(lambda found: _regex_text(found[0]))

    has, lacks = pp.Keyword("in"), pp.Keyword("not") + pp.Keyword("in")
    contains = (value + has + field).set_parse_action(lambda found: [["=[]", found[2], found[0]]])
    contains_not = (value + lacks + field).set_parse_action(lambda found: [["!", ["=[]", found[3], found[0]]]])
    matches = (field + pp.one_of("=~ !~") + regex).set_parse_action(
        lambda found: [_negated(found[1] == "!~", ["=~", found[0], found[2]])])
    globs = (field + pp.one_of("=* !*") + string).set_parse_action(
        lambda found: [_negated(found[1] == "!*", ["=~", found[0], plain_glob_regex(found[2])])])
    compares = (field + pp.one_of("== != <= >= < > =") + value).set_parse_action(
        lambda found: [["==" if found[1] == "=" else found[1], found[0], found[2]]])
    word = ~(pp.Keyword("and") | pp.Keyword("or") | pp.Keyword("not") | pp.Keyword("in")) + field
    truth = word.copy().set_parse_action(lambda found: [["?", found[0]]])
    condition = contains_not | contains | matches | globs | compares | truth
    return pp.infix_notation(condition, [  # type: ignore[no-untyped-call]  # pyparsing declares no types for it
        (pp.Keyword("not"), 1, pp.opAssoc.RIGHT, lambda found: [["!", found[0][1]]]),
        (pp.Keyword("and"), 2, pp.opAssoc.LEFT, lambda found: [["&", *found[0][::2]]]),
        (pp.Keyword("or"), 2, pp.opAssoc.LEFT, lambda found: [["|", *found[0][::2]]]),
    ])


def _negated(negate: bool, found: list[Any]) -> list[Any]:  # noqa: FBT001  # a helper of one use
    return ["!", found] if negate else found


def _regex_text(source: str) -> str:
    body = source.removeprefix("m")
    delimiter = body[0]
    end = body.rindex(delimiter)
    flags = "".join(_INLINE_FLAGS[char] for char in sorted(set(body[end + 1:])))
    return flags + body[1:end].replace("\\" + delimiter, delimiter)
