# SPDX-License-Identifier: BSD-2-Clause
"""What is declared is finished: opcodes, node calls, errors, folders."""

import importlib
import pkgutil
from pathlib import Path

import pytest

import gantry.cmdlib
import gantry.opcodes
from gantry import errors
from gantry.backend import dispatch
from gantry.cmdlib.base import LogicalUnit
from gantry.opcodes.base import REGISTRY
from gantry.rpc import calls  # noqa: F401 - fills the table
from gantry.rpc.declare import CALLS

ROOT = Path(__file__).parents[2]

for package in (gantry.opcodes, gantry.cmdlib):
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")

WITHOUT_UNIT: dict[str, str] = {
    "OP_TEST_DUMMY": "unit tests of other programs only: the format has it, nobody implements it",
}
"""Opcodes of the wire format that the server refuses by name, and what they wait for.  May only lose entries."""


OPCODES = sorted(op_id for op_id, cls in REGISTRY.items() if cls.__module__.startswith("gantry."))  # tests declare some


@pytest.mark.parametrize("op_id", OPCODES)
def test_an_opcode_has_its_unit_and_its_help(op_id: str) -> None:
    assert REGISTRY[op_id].__doc__, "its docstring is the help text"
    if op_id in WITHOUT_UNIT:
        assert op_id not in LogicalUnit.registry, "take it out of WITHOUT_UNIT"
        return
    unit = LogicalUnit.registry[op_id]
    stem = op_id.removeprefix("OP_").lower()
    assert unit.__module__ == f"gantry.cmdlib.{stem}"
    assert unit.__doc__


def test_what_waits_is_declared() -> None:
    assert WITHOUT_UNIT.keys() <= REGISTRY.keys()


def test_each_call_has_its_function_on_the_node() -> None:
    assert list(dispatch.mismatches()) == []


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_call_says_what_it_promises(name: str) -> None:
    assert CALLS[name].doc, "its docstring is its contract"


@pytest.mark.parametrize("name", sorted(errors.BY_NAME))
def test_an_error_stands_in_the_tree(name: str) -> None:
    if errors.BY_NAME[name].__module__ == "gantry.errors":
        assert f"-- {name} " in (errors.__doc__ or ""), "draw it in the tree of lib/errors.py"


def test_each_folder_is_on_the_map() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    folders = [path for path in (ROOT / "lib").iterdir() if path.is_dir() and any(path.glob("*.py"))]
    missing = [f"lib/{path.name}" for path in folders if f"lib/{path.name}" not in text]
    assert not missing, f"ARCHITECTURE.md does not say what these hold: {missing}"
