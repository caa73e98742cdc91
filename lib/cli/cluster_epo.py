# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster epo: emergency power off, and on again, of nodes and what runs on them."""

from typing import Any, NamedTuple

from gantry.cli import jobs, output
from gantry.cli.context import Context, by_names
from gantry.errors import ExecError, RemoteError, WrongInput
from gantry.utils.clock import SYSTEM

PING_SECONDS, PING_LIMIT = 30.0, 900.0


class Node(NamedTuple):
    name: str
    master: bool
    offline: bool
    powered: bool | None
    """None where the node has no out-of-band program."""
    instances: list[str]


def run(ctx: Context) -> int:
    """Power nodes off with the guests on them stopped before, or on with their guests started after."""
    on = bool(ctx.option("on"))
    nodes = _nodes(ctx)
    masters = [node.name for node in nodes if node.master]
    if masters and not on and not ctx.option("all"):
        raise WrongInput(detail=f"The master node {masters[0]} is among the nodes to be powered off; make another node "
                                "master first (gnt-cluster master-failover there), or use --all")
    if not ctx.option("force") and not output.ask_about([node.name for node in nodes], "nodes",
                                                        "power on" if on else "power off"):
        return 1
    return _on(ctx, nodes) if on else _off(ctx, nodes)


def _nodes(ctx: Context) -> list[Node]:
    names, groups = list(ctx.args), bool(ctx.option("groups"))
    if names and ctx.option("all"):
        raise WrongInput(detail="--all means every node and takes no names")
    fields = ["name", "master", "offline", "powered", "pinst_list"]
    if names and groups:
        members = [name for row in ctx.named("group", ["node_list"], names) for name in row[0] or ()]
        if not members:
            raise WrongInput(detail="These node groups have no nodes")
        names = members
    rows = ctx.query("node", fields, by_names("node", names))
    return [Node(name, bool(master), bool(offline), powered, list(instances or ()))
            for name, master, offline, powered, instances in rows]


def _off(ctx: Context, nodes: list[Node]) -> int:
    wanted = [node for node in nodes if not node.master and _has_program(node, on=False)]
    if not _guests(ctx, "OP_INSTANCE_SHUTDOWN", [node for node in nodes if not node.offline],
                   no_remember=True, timeout=_number(ctx, "shutdown_timeout", 120)):
        output.error("Some instances could not be stopped; nothing is powered off")
        return 1
    good = True
    for node in wanted:
        if not node.offline:
            good &= _do(ctx, "OP_NODE_SET_PARAMS", node_name=node.name, offline=True, auto_promote=True)
    if wanted and good:
        good &= _power(ctx, "power-off", wanted)
    if any(node.master for node in nodes):
        output.line("All other nodes are dealt with; power the master off by hand.")
    return 0 if good else 1


def _on(ctx: Context, nodes: list[Node]) -> int:
    """The master, where this runs, is on; its guests are started as well."""
    wanted = [node for node in nodes if not node.master and _has_program(node, on=True)]
    if wanted and not _power(ctx, "power-on", wanted):
        return 1
    good = True
    for node in [node for node in nodes if node.offline]:
        good &= _back_online(ctx, node)
    return 0 if good and _guests(ctx, "OP_INSTANCE_STARTUP", nodes) else 1


def _has_program(node: Node, *, on: bool) -> bool:
    """Whether its power can and need be changed; says why not."""
    if node.powered is None:
        output.line(f"Node {node.name} does not support out-of-band handling, it can not be handled in a fully "
                    "automated manner")
        return False
    if node.powered == on:
        output.line(f"Node {node.name} is already in desired power state, skipping")
        return False
    return True


def _back_online(ctx: Context, node: Node) -> bool:
    """Mark the node online as soon as it answers; give up after a quarter of an hour."""
    end = SYSTEM.now() + PING_LIMIT
    while True:
        try:
            jobs.run(ctx, ctx.opcode("OP_NODE_SET_PARAMS", node_name=node.name, offline=False))
        except (RemoteError, ExecError) as err:
            if SYSTEM.now() + PING_SECONDS > end:
                output.error(f"Node {node.name} did not come back: {err}")
                return False
            SYSTEM.sleep(PING_SECONDS)
        else:
            return True


def _guests(ctx: Context, op_id: str, nodes: list[Node], **params: Any) -> bool:
    """One job for each instance that is to run on these nodes; whether all went well."""
    names = [name for node in nodes for name in node.instances]
    if not names:
        return True
    up = [row[0] for row in ctx.named("instance", ["name", "admin_up"], names) if row[1]]
    ops = [(name, ctx.opcode(op_id, instance_name=name, **params)) for name in up]
    return all(good for good, _ in jobs.run_many(ctx, ops, verbose=True)) if ops else True


def _power(ctx: Context, command: str, nodes: list[Node]) -> bool:
    rows = jobs.run(ctx, ctx.opcode(
        "OP_OOB_COMMAND", command=command, node_names=[node.name for node in nodes],
        timeout=_number(ctx, "oob_timeout", 60), power_delay=float(_number(ctx, "power_delay", 2.0))))
    failed = [name for (_, name), (status, _) in rows if status != output.NORMAL]
    for name in failed:
        output.error(f"Node {name}: {command} failed")
    return not failed


def _do(ctx: Context, op_id: str, **params: Any) -> bool:
    try:
        jobs.run(ctx, ctx.opcode(op_id, **params))
    except (RemoteError, ExecError) as err:
        output.error(str(err))
        return False
    return True


def _number(ctx: Context, option: str, default: float) -> Any:
    given = ctx.option(option)
    return default if given is None else given
