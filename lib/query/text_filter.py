# SPDX-License-Identifier: BSD-2-Clause
"""The filter language of the command line, compiled on the client to the operators of `filter.py`.

    pnode.group == 'B' and not admin_up
    status =~ m/^ERROR/ or "web" in tags
    name =* "web?.*"                       * is anything without a dot, ? one such character

pyparsing is imported at the first filter only: most commands have none.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from gantry.errors import Error, WrongInput

if TYPE_CHECKING:
    from pyparsing import ParserElement, ParseResults

FILTER_CHARACTERS = frozenset(" \t\n\r\f\v()!~\"'<>=/\\")
"""An argument with one of these is a filter, not a name."""
GLOB_CHARACTERS = frozenset("*?")

COMPARISONS = ("==", "!=", "<=", ">=", "=", "<", ">")
DELIMITERS = "/#^|"
FLAGS = "is"


class FilterParseError(Error):
    """Facts: `detail`, the `filter` as typed, `column` from 1 of the place."""

    text = "Error while parsing query filter: {detail}\n{filter}\n{marker}"
    http_status = 400
    wire_name = "QueryFilterParseError"

    def __init__(self, *, detail: str, filter: str, column: int) -> None:
        super().__init__(detail=detail, filter=filter, column=column, marker=" " * (column - 1) + "^")


def parse(text: str) -> list[Any]:
    """The operators of a filter as typed; raises FilterParseError with the position."""
    from pyparsing import ParseBaseException

    try:
        return list(_grammar().parse_string(text, parse_all=True)[0])
    except ParseBaseException as err:
        detail = "Expected a condition" if "{" in err.msg else str(err.msg)
        raise FilterParseError(detail=detail, filter=text, column=_column(text, err.loc)) from err
    except RecursionError as err:
        raise FilterParseError(detail="too many parentheses", filter=text, column=1) from err


def from_arguments(args: Sequence[str], *, force: bool = False, key: str = "name") -> list[Any] | None:
    """The filter that the arguments of a list command mean: names, patterns, or one filter; None: everything.

    `force` is the option -F.  `key` is the resource's name field; where it is `id` names are numbers.
    """
    if force:
        if len(args) != 1:
            raise WrongInput(detail="Exactly one argument must be given as a filter")
        return parse(args[0])
    if len(args) == 1 and FILTER_CHARACTERS & set(args[0]):
        return parse(args[0])
    if not args:
        return None
    tests = [_name_test(name, key) for name in args]
    return tests[0] if len(tests) == 1 else ["|", *tests]


def glob_regex(pattern: str) -> str:
    """The regular expression of a pattern for host names; further name components may follow."""
    parts = {"*": "[^.]*", "?": "[^.]"}
    return "^" + "".join(parts.get(char, re.escape(char)) for char in pattern) + r"(\..*)?$"


def _name_test(name: str, key: str) -> list[Any]:
    if GLOB_CHARACTERS & set(name):
        return ["=~", key, glob_regex(name)]
    if key == "id":
        try:
            return ["==", key, int(name)]
        except ValueError as err:
            raise WrongInput(detail=f"Invalid job ID '{name}'") from err
    return ["==", key, name]


def _column(text: str, position: int) -> int:
    """From 1, within the text as shown."""
    return min(position, len(text)) + 1


# --- the grammar ------------------------------------------------------------------------------------


@cache
def _grammar() -> "ParserElement":
    import pyparsing as pp

    word = pp.Keyword
    reserved = word("and") | word("or") | word("not") | word("in")
    field = ~reserved + pp.Regex(r"[A-Za-z][A-Za-z0-9_/.]*").set_name("field name")
    string = pp.Regex(r"'[^']*'|\"[^\"]*\"").set_name("quoted string").set_parse_action(_unquote)
    integer = pp.Regex(r"[+-]?\d+").set_name("integer").set_parse_action(lambda toks: int(toks[0]))
    value = (string | integer).set_name("quoted string or integer")

    # Once the operator is read, nothing but its argument can follow: errors point there.
    contains = value + pp.Optional(word("not")) + word("in") - field
    regex = field + pp.one_of("=~ !~") - _regex()
    glob = field + pp.one_of("=* !*") - string
    compare = field + pp.one_of(" ".join(COMPARISONS)) - value
    condition = (contains.set_parse_action(_contains) | regex.set_parse_action(_matches)
                 | glob.set_parse_action(_globs) | compare.set_parse_action(_compares)
                 | field.copy().add_parse_action(lambda toks: [["?", toks[0]]]))

    whole = pp.Forward()
    unary = pp.Forward()
    group = pp.Suppress("(") - whole - pp.Suppress(")")
    unary <<= (word("not") - unary).set_parse_action(lambda toks: [["!", toks[1]]]) | group | condition
    both = (unary + pp.ZeroOrMore(pp.Suppress(word("and")) - unary)).set_parse_action(_joined("&"))
    whole <<= (both + pp.ZeroOrMore(pp.Suppress(word("or")) - both)).set_parse_action(_joined("|"))
    return whole


def _regex() -> "ParserElement":
    """`m/.../flags`, with one of the delimiters."""
    import pyparsing as pp

    forms = [rf"m?{re.escape(mark)}(?:\\.|[^\\{re.escape(mark)}])*{re.escape(mark)}[A-Za-z]*" for mark in DELIMITERS]
    element = pp.Regex("|".join(forms)).set_name("regular expression such as m/.../")
    element.add_parse_action(_regex_value)
    return element


def _unquote(toks: "ParseResults") -> str:
    return str(toks[0][1:-1])


def _regex_value(text: str, position: int, toks: "ParseResults") -> str:
    from pyparsing import ParseFatalException

    body = str(toks[0]).removeprefix("m")
    mark = body[0]
    pattern, flags = body[1:].rsplit(mark, 1)
    pattern = pattern.replace(f"\\{mark}", mark)
    unknown = set(flags) - set(FLAGS)
    if unknown:
        raise ParseFatalException(text, position, f"Unknown regular expression flags {', '.join(sorted(unknown))}")
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as err:
        raise ParseFatalException(text, position, f"Invalid regular expression: {err}") from err
    return (f"(?{''.join(sorted(set(flags)))})" if flags else "") + pattern


def _contains(toks: "ParseResults") -> list[Any]:
    test = ["=[]", toks[-1], toks[0]]
    return [["!", test] if toks[1] == "not" else test]


def _matches(toks: "ParseResults") -> list[Any]:
    test = ["=~", toks[0], toks[2]]
    return [["!", test] if toks[1] == "!~" else test]


def _globs(toks: "ParseResults") -> list[Any]:
    test = ["=~", toks[0], glob_regex(toks[2])]
    return [["!", test] if toks[1] == "!*" else test]


def _compares(toks: "ParseResults") -> list[Any]:
    return [["==" if toks[1] == "=" else toks[1], toks[0], toks[2]]]


def _joined(operator: str) -> Any:
    def join(toks: "ParseResults") -> list[Any]:
        return [toks[0] if len(toks) == 1 else [operator, *toks]]
    return join
