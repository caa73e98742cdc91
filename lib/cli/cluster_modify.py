# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster modify."""

from typing import Any

from gantry.cli import jobs, submit, values
from gantry.cli.cluster_init import shared_settings
from gantry.cli.context import Context

_MICROSECONDS = 1_000_000


def run(ctx: Context) -> int:
    """Change what the options say; follow-up jobs that the change needs are waited for."""
    if submit.nothing_given(ctx):
        return 1
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx, **shared_settings(ctx), **_collectors(ctx)))
    if not waited or not isinstance(result, dict):
        return 0
    return 0 if all(good for good, _ in jobs.follow_ups(ctx, result)) else 1


def _collectors(ctx: Context) -> dict[str, Any]:
    found: dict[str, Any] = {}
    switches = ctx.option("enabled_data_collectors")
    if switches is not None:
        found["enabled_data_collectors"] = {
            name: value if isinstance(value, bool) else values.yes_no(str(value)) for name, value in switches.items()}
    intervals = ctx.option("data_collector_interval")
    if intervals is not None:
        found["data_collector_interval"] = {
            name: values.number(value, name) * _MICROSECONDS for name, value in intervals.items()}
    return found
