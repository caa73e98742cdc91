# SPDX-License-Identifier: BSD-2-Clause
"""Every declared call has its place; a module that does not work takes down its own calls only."""

import sys
import types

import pytest

from gantry.backend import dispatch, tasks
from gantry.errors import ExecError
from gantry.rpc.registry import CALLS


@pytest.fixture(autouse=True)
def fresh():
    dispatch.find.cache_clear()
    yield
    dispatch.find.cache_clear()


@pytest.mark.parametrize(("call", "module"), [("version", "node"), ("disks_open", "disk"), ("disk_create", "disk"),
                                              ("hypervisor_validate", "instance"), ("master_stop", "leader")])
def test_a_calls_name_tells_its_module(call, module):
    assert call in CALLS
    assert dispatch.module_of(call) == module


def test_a_function_is_found_by_its_calls_name():
    assert dispatch.find("task_start") is tasks.task_start


def test_an_unknown_call_is_refused():
    with pytest.raises(ExecError, match="no such call"):
        dispatch.find("make_coffee")


def test_a_module_that_cannot_be_imported_breaks_its_own_calls(monkeypatch):
    monkeypatch.setitem(sys.modules, "gantry.backend.migration", None)
    with pytest.raises(ExecError, match="migration_send cannot be done"):
        dispatch.find("migration_send")
    dispatch.find("task_status")


def test_wrong_parameters_are_told(monkeypatch):
    module = types.ModuleType("gantry.backend.hooks")
    module.hooks_run = lambda phase, path: None
    monkeypatch.setitem(sys.modules, "gantry.backend.hooks", module)
    assert "hooks_run takes path, phase, not env, path, phase" in list(dispatch.mismatches())


def test_the_functions_of_tasks_take_what_was_declared():
    assert not [line for line in dispatch.mismatches() if line.startswith("task_")]
