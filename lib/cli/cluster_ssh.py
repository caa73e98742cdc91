# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster copyfile and command: what is done on nodes over SSH, beside all jobs."""

from pathlib import Path
from typing import TYPE_CHECKING

from gantry.cli import node_restricted, output
from gantry.cli.context import Context, by_names
from gantry.errors import Error, WrongInput

if TYPE_CHECKING:
    from gantry.bootstrap.transport import Transport

COMMAND_SECONDS = 24 * 3600.0


def copyfile(ctx: Context) -> int:
    """Copy a file; a node to which it could not be copied is named, and the rest goes on."""
    path = Path(ctx.args[0]).absolute()
    try:
        data, mode = path.read_bytes(), path.stat().st_mode & 0o7777
    except OSError as err:
        raise WrongInput(detail=f"File '{ctx.args[0]}' cannot be read: {err.strerror}") from err
    for name, primary, secondary, port, master in _nodes(ctx):
        if master:
            continue
        try:
            with _connect(name, secondary if ctx.option("use_replication_network") else primary, port) as way:
                way.write(path, data, mode=mode)
        except Error as err:
            output.error(f"Copy of file {path} to node {name}:{port} failed: {err}")
    return 0


def run_command(ctx: Context) -> int:
    """Run a command line on nodes and show what it printed there."""
    text = " ".join(ctx.args)
    for name, address, _, port, _ in sorted(_nodes(ctx), key=lambda node: bool(node[4])):
        try:
            with _connect(name, address, port) as way:
                done = way.shell(text, seconds=COMMAND_SECONDS)
        except Error as err:
            output.error(f"Node {name}: {err}")
            continue
        if ctx.option("failure_only") and done.status == 0:
            continue
        node_restricted.show(ctx, f"node: {name}", name, (done.stdout + done.stderr).rstrip("\n"))
        output.line(f"return code = {done.status}")
        output.flush()
    return 0


def _connect(name: str, address: str, port: int) -> "Transport":
    from gantry.bootstrap import transport

    return transport.connect(name, address, ssh_port=port)


def _nodes(ctx: Context) -> list[tuple[str, str, str, int, bool]]:
    """(name, primary and secondary address, SSH port, whether it is the master) of the nodes meant."""
    names = node_restricted.nodes_of(ctx, ctx.option("node") or [])
    if not names:
        raise WrongInput(detail="The selection matches no nodes")
    fields = ["name", "pip", "sip", "ndp/ssh_port", "master", "offline"]
    rows = ctx.query("node", fields, by_names("node", names))
    for row in rows:
        if row[5]:
            output.error(f"Node {row[0]} is marked offline, it is left out")
    return [(row[0], row[1], row[2], int(row[3] or 22), bool(row[4])) for row in rows if not row[5]]
