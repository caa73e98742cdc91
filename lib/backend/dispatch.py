# SPDX-License-Identifier: BSD-2-Clause
"""Where each call's function is.

Modules are imported when the first of their calls comes in: a module that cannot be imported takes down its
own calls only, and the runner of a task loads nothing it does not need.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from gantry.errors import ExecError
from gantry.rpc import calls
from gantry.rpc.declare import CALLS

_FUNCTIONS = {
    "node": ("version", "node_info", "node_verify", "ssconf_write", "node_leave", "certificate_issue", "test_delay"),
    "hooks": ("hooks_run",),
    "store": ("store_status", "store_append", "store_snapshot", "store_forget"),
    "leader": ("leader_accept", "master_stop"),
    "tasks": ("task_start", "task_status", "task_cancel", "task_forget"),
    "disk": ("disk_create", "disk_remove", "disks_open", "disks_close", "disks_status", "disks_rename"),
    "os": ("os_list", "os_verify", "os_create", "os_rename"),
    "instance": ("instances_info", "instance_start", "instance_stop", "instance_reset", "instance_pause",
                 "instance_balloon", "instance_console", "hypervisor_validate"),
    "migration": ("migration_accept", "migration_send", "migration_finish_target", "migration_finish_source"),
}
_MODULE_OF = {name: module for module, names in _FUNCTIONS.items() for name in names}


@cache
def find(name: str) -> Callable[..., Any]:
    """The function of this call; raises ExecError when this node has none that works."""
    where = _MODULE_OF.get(name)
    if where is None:
        raise ExecError(detail=f"{name} cannot be done: no module of the node's backend has it")
    try:
        module = importlib.import_module(f"gantry.backend.{where}")
        function: Callable[..., Any] = getattr(module, name)
    except (ImportError, SyntaxError, AttributeError) as err:
        raise ExecError(detail=f"{name} cannot be done: the backend module {where} does not work here: {err}") from err
    return function


def mismatches() -> Iterator[str]:
    """Sentences on calls whose function is missing or takes other parameters than declared; for tests."""
    for name in sorted(_MODULE_OF.keys() - vars(calls).keys()):
        yield f"{name} has a function but no declaration"
    for name, call in sorted(CALLS.items()):
        try:
            function = find(name)
        except ExecError as err:
            yield str(err)
            continue
        wanted = set(call.params) | ({"progress"} if call.task else set())
        found = set(inspect.signature(function).parameters)
        if wanted != found:
            yield f"{name} takes {', '.join(sorted(found)) or 'nothing'}, not {', '.join(sorted(wanted)) or 'nothing'}"
