# SPDX-License-Identifier: BSD-2-Clause
"""VLANs as operators write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.errors import WrongInput
from gantry.net.vlan import Vlan, parse


@pytest.mark.parametrize(("text", "vlan", "stored"), [
    ("", Vlan(), ""), ("5", Vlan(5), ".5"), (".5", Vlan(5), ".5"), (":5:7", Vlan(None, (5, 7)), ":5:7"),
    (".5:7:9", Vlan(5, (7, 9)), ".5:7:9"), ("5:7", Vlan(5, (7,)), ".5:7")])
def test_what_is_given_and_what_is_stored(text, vlan, stored):
    assert parse(text) == vlan
    assert str(vlan) == stored


@pytest.mark.parametrize("text", ["a", "..5", "5:", ":", "0", "4095", ":5:5", ".5:5", "5.7", " 5", "-1", "5\n"])
def test_others_are_refused(text):
    with pytest.raises(WrongInput, match="Specified VLAN parameter is invalid"):
        parse(text)


@given(st.one_of(st.none(), st.integers(1, 2000)), st.lists(st.integers(2001, 4094), unique=True, max_size=5))
def test_what_is_stored_means_the_same(native, tagged):
    vlan = Vlan(native, tuple(tagged))
    assert parse(str(vlan)) == vlan
