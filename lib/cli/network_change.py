# SPDX-License-Identifier: BSD-2-Clause
"""gnt-network add, modify, connect, disconnect."""

from gantry.cli import jobs, output, submit, values
from gantry.cli.context import Context
from gantry.errors import WrongInput

_NIC_DEFAULTS = {"mode": "bridged", "link": "xen-br0", "vlan": ""}


def add(ctx: Context) -> int:
    """Make a network."""
    if ctx.option("network") is None:
        raise WrongInput(detail="The --network option must be given")
    unset = {key: None for key in ("gateway", "gateway6", "network6") if ctx.option(key) == "none"}
    jobs.run_or_submit(ctx, submit.op(ctx, **unset))
    return 0


def modify(ctx: Context) -> int:
    """Change a network."""
    if submit.nothing_given(ctx):
        return 1
    reserved = ctx.option("add_reserved_ips") is not None or ctx.option("remove_reserved_ips") is not None
    if reserved and ctx.option("gateway") is not None:
        raise WrongInput(detail="The gateway and reservations cannot be changed in the same call")
    jobs.run_or_submit(ctx, submit.op(ctx))
    return 0


def _groups(ctx: Context) -> list[str]:
    return ctx.args[1:] or [row[0] for row in ctx.query("group", ["name"])]


def connect(ctx: Context) -> int:
    """Connect a network to groups, all when none is named."""
    given = values.plain(ctx.option("nic_parameters") or {}, "--nic-parameters")
    for key in given:
        if key not in _NIC_DEFAULTS:
            raise values.wrong(f"Unknown parameter '{key}'")
    params = {f"network_{key}": value for key, value in (_NIC_DEFAULTS | given).items()}
    return _each(ctx, params)


def disconnect(ctx: Context) -> int:
    """Disconnect a network from groups, all when none is named."""
    return _each(ctx, {})


def _each(ctx: Context, params: dict[str, object]) -> int:
    ops = [(group, submit.op(ctx, network_name=ctx.args[0], group_name=group, **params)) for group in _groups(ctx)]
    if not ops:
        output.line("No groups.")
        return 0
    done = jobs.run_many(ctx, ops, verbose=len(ops) > 1)
    return 0 if all(good for good, _ in done) else 1
