# SPDX-License-Identifier: BSD-2-Clause
"""The filter language of the command line."""

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.errors import WrongInput
from gantry.query.text_filter import FilterParseError, from_arguments, glob_regex, parse

EXAMPLES = [
    ("pnode.group == 'B'", ["==", "pnode.group", "B"]),
    ("status =~ m/ERROR/", ["=~", "status", "ERROR"]),
    ('"web" in tags', ["=[]", "tags", "web"]),
    ('"t" not in tags', ["!", ["=[]", "tags", "t"]]),
    ("be/vcpus >= 4 and not admin_up", ["&", [">=", "be/vcpus", 4], ["!", ["?", "admin_up"]]]),
    ('status == "running"', ["==", "status", "running"]),
    ('"INSTANCE_MIGRATE(x)" in summary', ["=[]", "summary", "INSTANCE_MIGRATE(x)"]),
    ('name = "x"', ["==", "name", "x"]),
    ('status != "running"', ["!=", "status", "running"]),
    ("field =~ m/re/i", ["=~", "field", "(?i)re"]),
    (r"field =~ m#a\#b\d#si", ["=~", "field", r"(?is)a#b\d"]),
    (r"field !~ /a\/b/", ["!", ["=~", "field", "a/b"]]),
    ("field =~ ^x^", ["=~", "field", "x"]),
    ("a =* 'web?.*'", ["=~", "a", r"^web[^.]\.[^.]*(\..*)?$"]),
    ("a !* 'x'", ["!", ["=~", "a", r"^x(\..*)?$"]]),
    ("a or b and c", ["|", ["?", "a"], ["&", ["?", "b"], ["?", "c"]]]),
    ("(a or b) and c", ["&", ["|", ["?", "a"], ["?", "b"]], ["?", "c"]]),
    ("not a and b", ["&", ["!", ["?", "a"]], ["?", "b"]]),
    ("a and b and c", ["&", ["?", "a"], ["?", "b"], ["?", "c"]]),
    ("((a))", ["?", "a"]),
    ("notable or android", ["|", ["?", "notable"], ["?", "android"]]),
    ("x<-5", ["<", "x", -5]),
    ("x == +5", ["==", "x", 5]),
    ("x == ''", ["==", "x", ""]),
    (r"x == 'a\b'", ["==", "x", r"a\b"]),
    ("5 in list", ["=[]", "list", 5]),
]


@pytest.mark.parametrize(("text", "wanted"), EXAMPLES)
def test_examples(text, wanted):
    assert parse(text) == wanted


@pytest.mark.parametrize(("text", "column"), [
    ('status =~ "ERROR"', 11), ("", 1), ("a ==", 5), ("(a", 3), ("a and", 6), ("a == b", 6), ("a b", 3),
    ("x =~ m/(/", 6), ("x =~ m/a/g", 6), ('"a" in', 7), ("a == 1.5", 7), ("not", 4),
])
def test_errors_say_where(text, column):
    with pytest.raises(FilterParseError) as caught:
        parse(text)
    assert caught.value.facts["column"] == column
    sentence, shown, marker = str(caught.value).split("\n")
    assert sentence.startswith("Error while parsing query filter: ")
    assert shown == text
    assert marker == " " * (column - 1) + "^"
    assert "{" not in sentence


def test_parentheses_without_end_are_an_error_not_a_crash():
    with pytest.raises(FilterParseError):
        parse("(" * 5000 + "a" + ")" * 5000)


def _compiles(text):
    try:
        re.compile(text)
    except re.error:
        return False
    return True


NAMES = st.from_regex(r"\A[a-z][a-z0-9_/.]{0,8}\Z").filter(lambda name: name not in ("and", "or", "not", "in"))
TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="'"), max_size=8)
VALUES = st.one_of(TEXTS, st.integers(-10**6, 10**6))
LEAVES = st.one_of(
    st.tuples(st.just("?"), NAMES), st.tuples(st.just("=[]"), NAMES, VALUES),
    st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), NAMES, VALUES),
    st.tuples(st.just("=~"), NAMES, st.text("abc.*|#^", max_size=6).filter(_compiles)))


def _combined(inner):
    joined = st.sampled_from("&|")
    return st.one_of(st.tuples(st.just("!"), inner), st.tuples(joined, inner, inner),
                     st.tuples(joined, inner, inner, inner))


TREES = st.recursive(LEAVES, _combined, max_leaves=6)


def as_text(tree):
    """The filter as one would type it, with every parenthesis."""
    operator, *args = tree
    if operator in "&|":
        return f" {'and' if operator == '&' else 'or'} ".join(f"({as_text(item)})" for item in args)
    if operator == "!":
        return f"not ({as_text(args[0])})"
    if operator == "?":
        return args[0]
    if operator == "=~":
        return f"{args[0]} =~ m/{args[1]}/"
    value = f"'{args[1]}'" if isinstance(args[1], str) else str(args[1])
    return f"{value} in {args[0]}" if operator == "=[]" else f"{args[0]} {operator} {value}"


def as_lists(tree):
    return [as_lists(item) if isinstance(item, tuple) else item for item in tree]


@settings(deadline=None, max_examples=60)
@given(TREES)
def test_what_is_typed_is_what_is_sent(tree):
    assert parse(as_text(tree)) == as_lists(tree)


@settings(deadline=None, max_examples=60)
@given(st.text("ab ()'\"=~!</#in1m", max_size=20))
def test_any_text_is_a_filter_or_an_error(text):
    try:
        found = parse(text)
    except FilterParseError as err:
        found = err.facts["column"]
    assert isinstance(found, list) or 1 <= found <= len(text) + 1


# --- arguments of list commands -----------------------------------------------------------------------


@pytest.mark.parametrize(("args", "wanted"), [
    ([], None), (["web1"], ["==", "name", "web1"]),
    (["web1", "web2"], ["|", ["==", "name", "web1"], ["==", "name", "web2"]]),
    (["web*"], ["=~", "name", glob_regex("web*")]), (["name == 'x'"], ["==", "name", "x"]),
    (["a b", "c"], ["|", ["==", "name", "a b"], ["==", "name", "c"]]),
])
def test_names_patterns_and_filters(args, wanted):
    assert from_arguments(args) == wanted


def test_job_ids_are_numbers():
    assert from_arguments(["12"], key="id") == ["==", "id", 12]
    with pytest.raises(WrongInput, match="Invalid job ID 'x'"):
        from_arguments(["x"], key="id")


def test_the_option_takes_exactly_one():
    assert from_arguments(["admin_up"], force=True) == ["?", "admin_up"]
    for args in ([], ["a", "b"]):
        with pytest.raises(WrongInput, match="Exactly one argument must be given as a filter"):
            from_arguments(args, force=True)


@pytest.mark.parametrize(("pattern", "name", "fits"), [
    ("web*", "web1.example.org", True), ("web?", "web12", False), ("web?", "web1.example.org", True),
    ("*", "a.b.c", True), ("web*.org", "web1.example.org", False), ("*.example.org", "web1.example.org", True),
    ("w.b*", "web1", False),
])
def test_patterns(pattern, name, fits):
    assert bool(re.search(glob_regex(pattern), name)) is fits


def test_names_alone_do_not_load_the_parser():
    script = ("import sys; from gantry.query.text_filter import from_arguments as f; f(['web1', 'x*']);"
              "assert 'pyparsing' not in sys.modules")
    subprocess.run([sys.executable, "-c", script], check=True)
