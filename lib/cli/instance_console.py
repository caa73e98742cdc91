# SPDX-License-Identifier: BSD-2-Clause
"""gnt-instance console: becomes the program that attaches this terminal to the guest."""

import json
import os
import shlex
from typing import Any

from gantry import paths
from gantry.cli import output
from gantry.cli.context import Context
from gantry.errors import ExecError, WrongState
from gantry.utils import resolver


def run(ctx: Context) -> int:
    """Attach, or say how to."""
    name, running, node, console = ctx.one("instance", ["name", "oper_state", "pnode", "console"], ctx.args[0])
    if not running:
        raise WrongState(detail=f"Instance {name} is not running, can't get console")
    if not console:
        raise ExecError(detail=f"Node {node} did not say how to reach the console of instance {name}")
    if console["kind"] == "ssh":
        return _serial(ctx, console)
    output.line(_hint(console))
    return 0


def _hint(console: dict[str, Any]) -> str:
    name, host, port = console["instance"], console.get("host"), console.get("port")
    if console["kind"] == "vnc":
        display = console.get("display")
        return f"Instance {name} has VNC listening on {host}:{port} (display {display})"
    if console["kind"] == "spice":
        return (f"Instance {name} has SPICE listening on {host}:{port}; connect with: remote-viewer "
                f"spice://{host}:{port}")
    return str(console.get("message", ""))


def _serial(ctx: Context, console: dict[str, Any]) -> int:
    command, environment = way(console["host"], console.get("user") or "root", console["command"])
    if ctx.option("show_cmd"):
        output.line(shlex.join([*(f"{key}={value}" for key, value in environment.items()), *command]))
        return 0
    output.flush()
    try:
        os.execvpe(command[0], command, os.environ | environment)  # noqa: S606  # no shell is meant
    except OSError as err:
        raise ExecError(detail=f"Cannot run {command[0]} to reach the console: {err.strerror}") from err


def way(host: str, user: str, command: list[str]) -> tuple[list[str], dict[str, str]]:
    """The command to run here, and what to add to its environment: the node may share this machine."""
    nodes = _virtual_nodes()
    if host in nodes:
        return list(command), {"GANTRY_ROOT": str(nodes[host]["root"])}
    if host == resolver.own_name():
        return list(command), {}
    return ["ssh", "-t", f"{user}@{host}", shlex.join(command)], {}


def _virtual_nodes() -> dict[str, Any]:
    """Nodes of a virtual cluster by name; none in production."""
    try:
        found: dict[str, Any] = json.loads(paths.here().virtual.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
