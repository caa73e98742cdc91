# SPDX-License-Identifier: BSD-2-Clause
"""Small commands of gnt-cluster."""

from gantry import paths
from gantry.cli import jobs, output, submit
from gantry.cli.context import Context
from gantry.errors import Error, WrongInput
from gantry.utils.clock import epoch
from gantry.utils.units import parse_span


def master_ping(ctx: Context) -> int:
    """Exit status 0 if the master daemon answers."""
    try:
        ctx.call("QueryClusterInfo")
    except Error:
        return 1
    return 0


def getmaster(ctx: Context) -> int:
    """The master node's name, on any node."""
    try:
        output.line(paths.here().ssconf("master_node").read_text(encoding="utf-8").strip())
    except OSError as err:
        raise WrongInput(detail="This host is not part of a cluster, or the cluster is not initialized yet") from err
    return 0


def version(ctx: Context) -> int:
    """Versions of the running master daemon."""
    found = ctx.call("QueryClusterInfo")
    for title, key in (("Software version", "software_version"), ("Internode protocol", "protocol_version"),
                       ("Configuration format", "config_version"), ("OS api version", "os_api_version"),
                       ("Export interface", "export_version"), ("VCS version", "vcs_version")):
        output.line(f"{title}: {found[key]}")
    return 0


def rename(ctx: Context) -> int:
    """Rename the cluster."""
    old = ctx.call("QueryConfigValues", ["cluster_name"])[0]
    question = (f"The cluster will be called '{ctx.args[0]}' and take that name's address; connections to the old "
                "address break. Continue?")
    if not submit.confirm(ctx, question):
        return 1
    new = jobs.run(ctx, submit.op(ctx))
    if new:
        output.line(f"Cluster renamed from '{old}' to '{new}'")
    return 0


def redist_conf(ctx: Context) -> int:
    """Push the configuration to all nodes, through a drained queue if need be."""
    op = submit.op(ctx)
    if not ctx.option("yes_do_it"):
        jobs.run_or_submit(ctx, op)
        return 0
    job = int(ctx.call("SubmitJobToDrainedQueue", [op]))
    if ctx.option("submit"):
        output.error(f"JobID: {job}")
    else:
        jobs.follow(ctx, job)
    return 0


def queue(ctx: Context) -> int:
    """The drain flag."""
    word = ctx.args[0]
    if word in ("drain", "undrain"):
        ctx.call("SetDrainFlag", word == "drain")
    elif word == "info":
        drained = ctx.call("QueryConfigValues", ["drain_flag"])[0]
        output.line(f"The drain flag is {'set' if drained else 'unset'}")
    else:
        raise WrongInput(detail=f"Command '{word}' is not valid: drain, undrain or info is expected")
    return 0


def watcher(ctx: Context) -> int:
    """The watcher's pause."""
    word = ctx.args[0]
    if word == "continue":
        ctx.call("SetWatcherPause", None)
        output.line("The watcher is no longer paused.")
    elif word == "pause":
        if len(ctx.args) != 2:
            raise WrongInput(detail="How long to pause is missing: watcher pause DURATION")
        _say_until(ctx.call("SetWatcherPause", epoch() + parse_span(ctx.args[1])))
    elif word == "info":
        _say_until(ctx.call("QueryConfigValues", ["watcher_pause"])[0])
    else:
        raise WrongInput(detail=f"Command '{word}' is not valid: pause, continue or info is expected")
    return 0


def _say_until(end: float | None) -> None:
    if end is None or end < epoch():
        output.line("The watcher is not paused.")
    else:
        output.line(f"The watcher is paused until {output.ctime(end)}.")
