# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster init: options to values, then the bootstrap."""

from typing import Any

from gantry.cli import ipolicy, output, values
from gantry.cli.context import Context

_PARTS = ("ipolicy_", "specs_")


def run(ctx: Context) -> int:
    """Make a cluster of this node."""
    options = settings(ctx)
    from gantry.bootstrap.init import init_cluster

    init_cluster(options, output.error)
    return 0


def settings(ctx: Context) -> dict[str, Any]:
    """The options given, by long name, as values; `cluster_name`, and `ipolicy` as one dictionary."""
    found: dict[str, Any] = {"cluster_name": ctx.args[0]}
    for option in ctx.command.options:
        value = ctx.option(option.dest)
        if value is not None and not option.dest.startswith(_PARTS):
            found[option.dest] = _value(option.dest, option.flags[-1], value)
    policy = ipolicy.from_options(ctx)
    if policy:
        found["ipolicy"] = policy
    return found


def _value(name: str, flag: str, value: Any) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return values.by_ident(value, flag)
    if name == "backend_parameters":
        return values.beparams(values.plain(value, flag))
    if name == "uid_pool":
        return values.uid_ranges(value)
    if name == "primary_ip_version":
        return int(value)
    return values.plain(value, flag) if isinstance(value, dict) else value


def shared_settings(ctx: Context) -> dict[str, Any]:
    """For modify: parameters that need more than the option's own syntax."""
    found: dict[str, Any] = {}
    if ctx.option("backend_parameters") is not None:
        found["beparams"] = values.beparams(ctx.options.backend_parameters)
    for name in ("uid_pool", "add_uids", "remove_uids"):
        if ctx.option(name) is not None:
            found[name] = values.uid_ranges(ctx.option(name))
    policy = ipolicy.from_options(ctx)
    if policy:
        found["ipolicy"] = policy
    return found
