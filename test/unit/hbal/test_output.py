# SPDX-License-Identifier: BSD-2-Clause
"""How numbers and tables look."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hbal.output import assignment, counted, fixed, general, table


@pytest.mark.parametrize(("value", "digits", "text"), [
    (0.001953125, 8, "0.00195312"), (0.0, 8, "0.00000000"), (2.5, 0, "2"), (3.5, 0, "4"), (1e-12, 8, "0.00000000"),
    (math.nan, 8, "NaN"), (math.inf, 2, "Infinity"), (-math.inf, 2, "-Infinity"),
    (1e22, 1, "10000000000000000000000.0"),
    (0.125, 2, "0.12"), (1.005, 2, "1.00"), (5, 3, "5.000"),
])
def test_fixed_point(value: float, digits: int, text: str) -> None:
    assert fixed(value, digits) == text


@given(st.floats(allow_nan=False, allow_infinity=False) | st.decimals(-10**9, 10**9, places=5).map(float),
       st.integers(0, 8))
def test_fixed_point_is_that_of_the_shortest_form(value: float, digits: int) -> None:
    assert fixed(value, digits) == f"{Decimal(repr(value)):.{digits}f}"


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0.000000"), (26.231053, "26.231053"), (0.1, "0.100000"), (0.004275174, "4.275174e-3"), (1e-9, "1.000000e-9"),
    (9999999.5, "9999999.500000"), (1e7, "1.000000e7"), (12345678.0, "1.234568e7"), (math.nan, "NaN"),
])
def test_general(value: float, text: str) -> None:
    assert general(value) == text


def test_tables() -> None:
    assert table("  ", [("a", "b"), ("long", "1"), ("x", "22")], (False, True)) == (
        "   a     b\n   long  1\n   x    22\n")


@pytest.mark.parametrize(("value", "text"), [
    ("1.5", "P_K=1.5"), ("", "P_K="), ("a b", "P_K='a b'"), ("FailMem", "P_K=FailMem"), ("a-b", "P_K='a-b'"),
    ("it's", "P_K='it'\\''s'"), ("...", "P_K=..."), ("é", "P_K='é'"),
])
def test_assignments_for_a_shell(value: str, text: str) -> None:
    assert assignment("P", "k", value) == text


def test_counts() -> None:
    assert [counted(number, "node") for number in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]
