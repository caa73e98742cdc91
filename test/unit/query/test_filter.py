# SPDX-License-Identifier: BSD-2-Clause
"""What filters keep."""

import pytest

from gantry.errors import ParameterError
from gantry.query.fields import UNAVAIL, Field, Kind
from gantry.query.filter import compile_filter, names_only

KINDS = {"name": Kind.TEXT, "host": Kind.TEXT, "vcpus": Kind.NUMBER, "memory": Kind.UNIT, "ctime": Kind.TIMESTAMP,
         "up": Kind.BOOL, "tags": Kind.OTHER, "port": Kind.OTHER, "end_ts": Kind.OTHER, "gone": Kind.NUMBER,
         "missing_up": Kind.BOOL}
FIELDS = {name: Field(name, name, kind, "", lambda row, name=name: row[name], host=name == "host")
          for name, kind in KINDS.items()}
ROW = {"name": "web1.example.org", "host": "web1.example.org", "vcpus": 4, "memory": 1024, "ctime": 17.5, "up": True,
       "tags": ["a", "b", 3], "port": None, "end_ts": [100, 5], "gone": UNAVAIL, "missing_up": UNAVAIL}


def keeps(data):
    return compile_filter(data, FIELDS).keeps(ROW)


@pytest.mark.parametrize(("data", "wanted"), [
    (["==", "vcpus", 4], True), (["=", "vcpus", 4], True), (["!=", "vcpus", 4], False), (["<", "vcpus", 4], False),
    (["<=", "vcpus", 4], True), ([">", "memory", 1023], True), ([">=", "ctime", 18], False),
    (["<", "name", "x"], True), (["==", "name", "web1"], False), (["==", "host", "web1"], True),
    (["==", "host", "WEB1.example"], True), (["==", "host", "web"], False), (["!=", "host", "web1"], False),
    (["=~", "name", "^web[0-9]"], True), (["=~", "name", "example"], True), (["=~", "name", "^example"], False),
    (["=~", "name", "(?i)WEB"], True), (["=[]", "tags", "a"], True), (["=[]", "tags", 3], True),
    (["=[]", "tags", "c"], False), (["?", "up"], True), (["!", ["?", "up"]], False),
    (["&", ["?", "up"], ["==", "vcpus", 1]], False), (["|", ["?", "up"], ["==", "vcpus", 1]], True),
    (["&"], True), (["|"], False), (["==", "end_ts", 100], True), ([">", "end_ts", 99], True),
    (["==", "port", 5], False), (["<", "port", 5], False), (["=~", "port", "5"], False),
])
def test_operators(data, wanted):
    assert keeps(data) is wanted


@pytest.mark.parametrize("data", [
    ["==", "gone", 1], ["!=", "gone", 1], ["<", "gone", 1], ["!", ["==", "gone", 1]], ["?", "missing_up"],
    ["&", ["?", "up"], ["==", "gone", 1]], ["|", ["==", "vcpus", 1], ["==", "gone", 1]],
])
def test_what_cannot_be_said_is_kept(data):
    assert keeps(data)


def test_what_is_surely_wrong_is_dropped_even_so():
    assert not keeps(["&", ["==", "vcpus", 1], ["==", "gone", 1]])


@pytest.mark.parametrize("data", [
    "name", [], [5], ["~", "name", "x"], ["==", "name"], ["==", "nope", "x"], ["==", ["name"], "x"], ["?", "vcpus"],
    ["==", "vcpus", 1.5], ["==", "vcpus", "4"], ["==", "name", 4], ["==", "up", True], ["==", "name", None],
    ["=[]", "name", "x"], ["=~", "name", "("], ["=~", "vcpus", "4"], ["!", ["?", "up"], ["?", "up"]], ["&", "x"],
])
def test_filters_that_cannot_be(data):
    with pytest.raises(ParameterError, match="Invalid filter"):
        compile_filter(data, FIELDS)


@pytest.mark.parametrize("data", [["==", "tags", "x"], ["?", "tags"], ["<", "tags", 5]])
def test_types_that_only_the_row_knows(data):
    with pytest.raises(ParameterError, match="tags"):
        keeps(data)


def test_a_filter_without_a_bottom_is_refused():
    data = ["?", "up"]
    for _ in range(5000):
        data = ["!", data]
    with pytest.raises(ParameterError, match="levels"):
        compile_filter(data, FIELDS)


@pytest.mark.parametrize(("data", "wanted"), [
    (["==", "name", "a"], ["a"]), (["=", "name", "a"], ["a"]),
    (["|", ["==", "name", "a"], ["|", ["==", "name", "b"], ["==", "name", "a"]]], ["a", "b"]),
    (["|"], None), (None, None), (["==", "uuid", "a"], None), (["|", ["==", "name", "a"], ["?", "up"]], None),
    (["&", ["==", "name", "a"]], None), (["!=", "name", "a"], None), (["==", "name", ["a"]], None),
])
def test_filters_that_are_but_names(data, wanted):
    assert names_only(data, "name") == wanted
