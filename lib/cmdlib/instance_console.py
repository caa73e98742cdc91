# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_CONSOLE: how to reach the console of a running guest."""

from typing import Any

from gantry.cmdlib import checks, steps
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.errors import WrongState
from gantry.objects.plan import Plan
from gantry.objects.vm import Console
from gantry.opcodes.instance import InstanceConsole
from gantry.rpc import calls

KEYS = {"ssh": ("host", "port", "user", "command"), "vnc": ("host", "port", "display"), "spice": ("host", "port"),
        "msg": ("message",)}


def wire(console: Console, ssh_port: int) -> dict[str, Any]:
    """A console as clients know it: only the keys of its kind."""
    values = {"host": console.host, "user": console.user, "command": list(console.command), "message": console.message,
              "port": console.port or (ssh_port if console.kind == "ssh" else None), "display": console.display}
    found = {key: values[key] for key in KEYS[console.kind] if values[key] is not None}
    return {"instance": console.instance, "kind": console.kind} | found


class InstanceConsoleUnit(LogicalUnit[InstanceConsole, dict[str, Any]], op=InstanceConsole):
    """Nothing is changed."""

    def locks(self, view: View) -> Locks:
        return Locks(shared={"instance": frozenset({view.config.instance(self.op.instance_name).name})})

    async def check(self, view: View) -> dict[str, Any]:
        config = view.config
        guest = steps.guest_of(config, config.instance(self.op.instance_name))
        checks.online(config, guest.node.uuid)
        if await checks.status(view, guest.instance) is None:
            raise WrongState(detail=f"Instance {guest.name} is not running, can't get console")
        console = await view.nodes.call(guest.node.uuid, calls.instance_console, instance=guest.instance.uuid,
                                        hypervisor=str(guest.instance.hypervisor), name=guest.name, host=guest.place)
        return wire(console, effective.ndparams(config, guest.node)["ssh_port"])

    def plan(self, seen: dict[str, Any]) -> Plan:
        return Plan(result=seen)
