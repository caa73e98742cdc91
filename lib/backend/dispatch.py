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
from gantry.rpc.registry import CALLS

_MODULE_OF_PREFIX = {"hooks": "hooks", "store": "store", "leader": "leader", "task": "tasks", "disk": "disk",
                     "disks": "disk", "os": "os", "instance": "instance", "instances": "instance",
                     "hypervisor": "instance", "migration": "migration",
                     "drbd": "drbd", "volumes": "volumes", "storage": "volumes",
                     "extstorage": "extstorage", "export": "exports", "import": "dumps"}
"""Module of a call by the first word of its name; calls of any other word are in `node`."""
_MODULE_OF = {**dict.fromkeys(("certificate_digest", "certificate_prepare", "certificate_use", "certificate_drop"),
                              "certificates"),
              "restricted_command": "admin", "oob_run": "admin", "node_powercycle": "admin",
              "master_stop": "leader", "master_ip_start": "master_ip", "master_ip_stop": "master_ip",
              "disk_wipe": "disk_data", "disk_copy": "disk_data", "disk_send": "disk_stream",
              "disk_receive": "disk_stream", "export_send": "dumps", "export_receive": "dumps",
              **dict.fromkeys(("instance_hotplug_obstacle", "instance_disk_add", "instance_disk_remove",
                               "instance_nic_add", "instance_nic_remove", "instance_disk_resized",
                               "instance_disk_exchange"), "hotplug")}
"""Exceptions from that."""


def module_of(name: str) -> str:
    """The module of `lib/backend/` that has this call's function."""
    return _MODULE_OF.get(name) or _MODULE_OF_PREFIX.get(name.partition("_")[0], "node")


@cache
def find(name: str) -> Callable[..., Any]:
    """The function of this call; raises ExecError when this node has none that works."""
    if name not in CALLS:
        raise ExecError(detail=f"{name} cannot be done: there is no such call")
    where = module_of(name)
    try:
        module = importlib.import_module(f"gantry.backend.{where}")
        function: Callable[..., Any] = getattr(module, name)
    except (ImportError, SyntaxError, AttributeError) as err:
        raise ExecError(detail=f"{name} cannot be done: the backend module {where} does not work here: {err}") from err
    return function


def mismatches() -> Iterator[str]:
    """Sentences on calls whose function is missing or takes other parameters than declared; for tests."""
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
