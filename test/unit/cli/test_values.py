# SPDX-License-Identifier: BSD-2-Clause
"""Values as operators type them."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.cli import values
from gantry.errors import ParameterError, WrongInput


@pytest.mark.parametrize(("text", "found"), [
    ("", {}), ("a=1,b=2", {"a": "1", "b": "2"}), ("a", {"a": True}), ("no_a", {"a": False}), ("-a", {"a": None}),
    ("kernel_path=", {"kernel_path": ""}), ("a=b=c", {"a": "b=c"}), (r"a=x\\y", {"a": r"x\y"}),
    (r"cpu_type=IvyBridge\,+pcid\,+invpcid,b=1", {"cpu_type": "IvyBridge,+pcid,+invpcid", "b": "1"}),
])
def test_key_values(text: str, found: dict[str, Any]) -> None:
    assert values.key_values(text) == found


def test_a_key_may_come_once() -> None:
    with pytest.raises(ParameterError, match=r"Duplicate key 'a' in option -B"):
        values.key_values("a=1,a=2", "-B")


@given(st.lists(st.text(min_size=1), min_size=1))
def test_lists_come_back_whatever_is_in_them(items: list[str]) -> None:
    text = ",".join(item.replace("\\", "\\\\").replace(",", r"\,") for item in items)
    assert values.comma_list(text) == items


@given(st.text())
def test_no_text_makes_a_parser_fall_over(text: str) -> None:
    for parse in (values.comma_list, values.key_values, values.ident_key_values, values.bounds, values.uid_ranges,
                  values.yes_no):
        with contextlib.suppress(ParameterError, WrongInput):
            parse(text)


@pytest.mark.parametrize(("text", "found"), [
    ("kvm:a=1", ("kvm", {"a": "1"})), ("kvm", ("kvm", {})), ("no_kvm", ("kvm", False)), ("-kvm", ("kvm", None)),
    ("-1:size=1", ("-1", {"size": "1"})), ("0:remove", ("0", {"remove": True})),
])
def test_ident_key_values(text: str, found: Any) -> None:
    assert values.ident_key_values(text) == found


def test_new_devices_count_from_zero() -> None:
    items = [values.ident_key_values(text) for text in ("1:size=2g", "0:size=20g,mode=ro")]
    assert values.new_devices(items, "disk") == [{"size": 20480, "mode": "ro"}, {"size": 2048}]
    with pytest.raises(ParameterError, match="without a gap"):
        values.new_devices(items[:1], "disk")


@pytest.mark.parametrize(("text", "edit"), [
    ("add:size=10g", ["add", -1, {"size": 10240}]), ("2:add,size=1g", ["add", 2, {"size": 1024}]),
    ("remove", ["remove", -1, {}]), ("1:remove", ["remove", 1, {}]), ("data:remove", ["remove", "data", {}]),
    ("0:mode=ro", ["modify", 0, {"mode": "ro"}]), ("0:modify,name=x", ["modify", 0, {"name": "x"}]),
    ("attach:name=x", ["attach", -1, {"name": "x"}]), ("1:detach", ["detach", 1, {}]),
    ("-1:add,size=4", ["add", -1, {"size": 4}]),
])
def test_device_edits(text: str, edit: list[Any]) -> None:
    assert values.device_edits([values.ident_key_values(text)], "disk") == [edit]


@pytest.mark.parametrize(("text", "problem"), [
    ("add", "Missing required parameter 'size'"), ("0:size=1g", "grow-disk"), ("attach:mode=rw", "exactly one"),
    ("0:add,remove", "same time"), ("no_0", "no change"),
])
def test_wrong_device_edits(text: str, problem: str) -> None:
    with pytest.raises(ParameterError, match=problem):
        values.device_edits([values.ident_key_values(text)], "disk")


def test_backend_parameters() -> None:
    assert values.beparams(values.key_values("memory=4g,vcpus=2,auto_balance=false")) == {
        "memory": 4096, "vcpus": 2, "auto_balance": False}
    assert values.beparams(values.key_values("vcpus=default,no_always_failover,-minmem")) == {
        "vcpus": "default", "always_failover": False, "minmem": "default"}
    for text, problem in (("cpus=1", "Unknown parameter 'cpus'"), ("memory=1g,minmem=1g", "together"),
                          ("vcpus=two", "not a valid integer"), ("auto_balance=yes", "not a valid boolean")):
        with pytest.raises(ParameterError, match=problem):
            values.beparams(values.key_values(text))
    with pytest.raises(WrongInput, match="Unknown unit"):
        values.beparams({"memory": "1x"})


def test_bounds() -> None:
    specs = "memory-size=1g,cpu-count=1,disk-count=1,disk-size=4,nic-count=1,spindle-use=1"
    found = values.bounds(f"min:{specs}/max:{specs}")
    assert found[0]["min"]["memory-size"] == found[0]["max"]["memory-size"] == 1024
    for text in (specs, f"min:{specs}", f"min:{specs}/min:{specs}", f"min:a=1/max:{specs}"):
        with pytest.raises(ParameterError):
            values.bounds(text)


def test_uid_ranges() -> None:
    assert values.uid_ranges("1000,2000-2010") == [[1000, 1000], [2000, 2010]]
    with pytest.raises(ParameterError, match="range"):
        values.uid_ranges("9-1")
