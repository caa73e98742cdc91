# SPDX-License-Identifier: BSD-2-Clause
"""Every opcode has exactly the parameters, types, defaults and summary that clients know it by."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.errors import ParameterError
from gantry.opcodes import load_all
from gantry.opcodes.base import REGISTRY, decode
from gantry.opcodes.common import Command, redacted

load_all()
EXPECTED: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data/opcodes.json").read_text())
COMMON = {field.name for field in dataclasses.fields(Command)}
SAMPLES: dict[str, Any] = {
    "nestr": "x", "str": "", "bool": True, "int": -1, "int>=0": 0, "int>0": 1, "int 0..15": 15, "float": 1.5,
    "dict": {"a": 1}, "list": [{}], "[nestr]": ["x"], "[str]": ["x"], "{str:dict}": {"a": {}},
    "{template:dict}": {"plain": {}}, "[[int,int]]": [[1, 2]], "[[op,name]]": [["add", "x"]], "{str:bool}": {"a": True},
    "{str:int}": {"a": 1}, "{str: private}": {"a": "b"}, "{os:{str: private}}": {"o": {"a": "b"}}, "hypervisor": "kvm",
    "[hypervisor]": ["fake"], "disk template": "plain", "[disk template]": ["file"], "storage type": "lvm-vg",
    "[dict]": [{}], "any": 1, "IPv4 net": "10.0.0.0/24", "IPv4": "10.0.0.1", "IPv6 net": "fd00::/64", "IPv6": "fd00::1",
    "[IPv4]": ["10.0.0.1"], "[check]": ["nplusone_mem"], "[E-code]": ["ENODEHV"], "[edit]": [["remove", 1, {}]],
    "nestr or list": "x", "[int 0..15]": [0], "[int] or [[int,dict]]": [0],
}
WRONG: dict[str, Any] = {"nestr": "", "str": 1, "bool": 1, "int": "1", "int>=0": -1, "int>0": 0, "int 0..15": 16,
                         "float": "1", "dict": [], "[nestr]": "x", "hypervisor": "nothing", "disk template": "x",
                         "IPv4": "300.0.0.1", "IPv4 net": "10.0.0.0", "storage type": "x", "[edit]": [["x", 1, {}]]}


def sample(kind: str) -> Any:
    kind = kind.removesuffix("?")
    return kind.removeprefix("enum ").split("/")[0] if kind.startswith("enum ") else SAMPLES[kind]


def wire(op_id: str) -> dict[str, Any]:
    """The smallest wire form."""
    return {"OP_ID": op_id} | {name: sample(kind) for name, (kind, default) in EXPECTED[op_id]["params"].items()
                               if default == "required"}


def test_no_opcode_is_missing_or_too_much() -> None:
    ours = {op_id for op_id, cls in REGISTRY.items() if cls.__module__.startswith("gantry.")}  # tests declare some too
    assert ours == set(EXPECTED)


@pytest.mark.parametrize("op_id", sorted(EXPECTED))
def test_parameters_types_and_defaults(op_id: str) -> None:
    expected, cls = EXPECTED[op_id], REGISTRY[op_id]
    assert {field.name for field in dataclasses.fields(cls)} - COMMON == set(expected["params"])
    assert cls.summary_field == expected["summary"]
    assert cls.__doc__
    op = json.loads(json.dumps(decode(wire(op_id)).encode()))
    for name, (kind, default) in expected["params"].items():
        if default != "required":
            assert op[name] == default, name
        decode(wire(op_id) | {name: sample(kind)})
        if kind.endswith("?"):
            assert decode(wire(op_id) | {name: None}).encode()[name] is None
        elif kind != "any":
            with pytest.raises(ParameterError, match=name):
                decode(wire(op_id) | {name: None})
        wrong = WRONG.get(kind.removesuffix("?"), "no such word" if kind.startswith("enum") else None)
        if wrong is not None:
            with pytest.raises(ParameterError, match=name):
                decode(wire(op_id) | {name: wrong})


@pytest.mark.parametrize("op_id", sorted(EXPECTED))
def test_a_missing_parameter_is_named(op_id: str) -> None:
    for name in wire(op_id).keys() - {"OP_ID"}:
        with pytest.raises(ParameterError, match=f"parameter {name} is required"):
            decode({key: value for key, value in wire(op_id).items() if key != name})


@given(op_id=st.sampled_from(sorted(EXPECTED)), data=st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_encoded_decodes_to_the_same(op_id: str, data: st.DataObject) -> None:
    params = EXPECTED[op_id]["params"]
    chosen = data.draw(st.sets(st.sampled_from(sorted(params)))) if params else set()
    full = wire(op_id) | {name: sample(params[name][0]) for name in chosen} | {
        "depends": [[3, ["success"]]], "reason": [["gnt:user", "why", 1]], "priority": -10, "comment": "c"}
    op = decode(full)
    assert decode(json.loads(json.dumps(op.encode()))) == op
    assert op.encode().keys() == {"OP_ID", *params, *COMMON}


@pytest.mark.parametrize(("op", "text"), [
    ({"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web1"}, "INSTANCE_STARTUP(web1)"),
    ({"OP_ID": "OP_INSTANCE_RENAME", "instance_name": "a", "new_name": "b"}, "INSTANCE_RENAME"),
    ({"OP_ID": "OP_TAGS_SET", "kind": "cluster", "tags": ["x"]}, "TAGS_SET"),
    ({"OP_ID": "OP_TAGS_GET", "kind": "cluster"}, "TAGS_GET(None)"),
    ({"OP_ID": "OP_TEST_DELAY", "duration": 1}, "TEST_DELAY(1.0)"),
    ({"OP_ID": "OP_CLUSTER_VERIFY"}, "CLUSTER_VERIFY"),
])
def test_summary(op: dict[str, Any], text: str) -> None:
    assert decode(op).summary() == text


@pytest.mark.parametrize(("op", "message"), [
    (None, "OP_ID"), ({}, "OP_ID"), ({"OP_ID": "OP_NONE"}, "unknown opcode OP_NONE"),
    ({"OP_ID": "OP_CLUSTER_QUERY", "x": 1}, "unknown parameters x"),
    ({"OP_ID": "OP_CLUSTER_QUERY", "priority": 5}, "-10"),
    ({"OP_ID": "OP_CLUSTER_QUERY", "depends": [[0, []]]}, "job id"),
    ({"OP_ID": "OP_CLUSTER_QUERY", "reason": [["a"]]}, "source, text"),
    ({"OP_ID": "OP_TAGS_SET", "kind": "cluster", "tags": ["a b"]}, "not a tag"),
])
def test_garbage_is_refused_with_a_reason(op: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        decode(op)


def test_sizes_and_edits_have_one_normal_form() -> None:
    op: Any = decode({"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "x", "beparams": {"memory": "2g"},
                      "disks": [["add", {"size": "1g"}], [1, {"mode": "ro"}], ["remove", "2", {}]],
                      "nics": [["modify", "eth", {"vlan": 7}]]})
    assert op.beparams == {"memory": 2048}
    assert op.disks == (("add", -1, {"size": 1024}), ("modify", 1, {"mode": "ro"}), ("remove", 2, {}))
    assert op.nics == (("modify", "eth", {"vlan": "7"}),)
    for edits in ([["add", {}]], [["remove", 0, {"a": 1}]], [["add", {"size": 1}], ["remove", {}]]):
        with pytest.raises(ParameterError, match="disks"):
            decode({"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "x", "disks": edits})


def test_an_opcode_cannot_be_changed_nor_its_defaults() -> None:
    op: Any = decode({"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "x"})
    with pytest.raises(AttributeError):
        op.instance_name = "y"
    with pytest.raises(TypeError):
        op.hvparams["a"] = 1


def test_secrets_are_not_for_storing() -> None:
    full = decode({"OP_ID": "OP_INSTANCE_REINSTALL", "instance_name": "x", "osparams": {"a": "1"},
                   "osparams_private": {"b": "2"}, "osparams_secret": {"c": "3"}}).encode()
    kept = redacted(full)
    assert (kept["osparams"], kept["osparams_private"], kept["osparams_secret"]) == (
        {"a": "1"}, {}, {"c": "<redacted>"})
