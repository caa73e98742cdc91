# SPDX-License-Identifier: BSD-2-Clause
"""Asking an allocator: hail in a process of its own that stays, any other as a program; and judging the reply.

The master's loop never computes: the worker process starts with the first request and ends with the master.
"""

import asyncio
import json
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from gantry import paths
from gantry.errors import BadEnvironment, CommandFailed, NoResources, WrongInput
from gantry.iallocator.request import Json
from gantry.utils import command

HAIL = "hail"
SECONDS = 300.0
"""How long an allocator may take."""

_pool: ProcessPoolExecutor | None = None


async def nodes(name: str, params: Mapping[str, Any], message: Json) -> tuple[list[str], str]:
    """The names of the nodes that the allocator chose for an allocate or relocate request, and its reasons.

    Raises NoResources when it found none, WrongInput or BadEnvironment when it could not be asked.
    """
    found, info = await _granted(name, params, message)
    required = message["request"]["required_nodes"]
    if not isinstance(found, list) or len(found) != required or not set(found) <= set(message["nodes"]):
        raise BadEnvironment(detail=f"iallocator '{name}' returned {json.dumps(found)}, where {required} of the "
                                    "cluster's nodes were asked for; use another one, or name the node")
    return found, info


async def result(name: str, params: Mapping[str, Any], message: Json) -> Any:
    """The result of any request; raises as `nodes` does."""
    return (await _granted(name, params, message))[0]


async def _granted(name: str, params: Mapping[str, Any], message: Json) -> tuple[Any, str]:
    reply = await ask(name, params, message)
    info = str(reply["info"])
    if not reply["success"]:
        raise NoResources(detail=f"Can't compute nodes using iallocator '{name}': {info.partition(chr(10))[0]}",
                          ) from _Table(info.partition("\n")[2])
    return reply["result"], info


class _Table(Exception):
    """The cause of a refusal: which node fails which rule."""


def reasons(refusal: NoResources) -> list[str]:
    """Lines that say which node failed which rule, where the allocator told."""
    return str(refusal.__cause__).splitlines() if isinstance(refusal.__cause__, _Table) else []


async def ask(name: str, params: Mapping[str, Any], message: Json) -> Json:
    """The reply of the allocator: success, info, result."""
    options = [f"--{key}={value}" if value not in (None, "") else f"--{key}" for key, value in params.items()]
    if name == HAIL:
        reply = await _hail(options, message)
    else:
        reply = await asyncio.to_thread(_program, name, options, message)
    if not isinstance(reply, dict) or not {"success", "info", "result"} <= reply.keys():
        raise BadEnvironment(detail=f"iallocator '{name}' gave no reply in the format success, info, result")
    return reply


async def _hail(options: list[str], message: Json) -> Any:
    global _pool  # noqa: PLW0603  # one worker a process, started at first use
    if paths.here().virtual.exists():
        options = ["--static-kvm-node-memory=0", *options]  # the nodes share one machine, which reports its own use
    if _pool is None:
        _pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)
    try:
        answer = asyncio.wrap_future(_pool.submit(_answer, options, message))
        return await asyncio.wait_for(answer, SECONDS)
    except (BrokenProcessPool, TimeoutError) as err:
        _pool.shutdown(wait=False, cancel_futures=True)
        _pool = None
        why = "took too long" if isinstance(err, TimeoutError) else "ended unexpectedly"
        raise BadEnvironment(detail=f"iallocator '{HAIL}' {why}; try again, or name the node") from err


def _begin() -> None:
    """In the worker: end with the master, however it ends, and not by the signals meant for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def _answer(options: list[str], message: Json) -> Json:
    """In the worker."""
    from hbal.alloc import answer

    return answer(message, verbose=True, options=options)


def _program(name: str, options: list[str], message: Json) -> Any:
    found = _found(name)
    with tempfile.NamedTemporaryFile("w", prefix="iallocator-", suffix=".json") as file:
        json.dump(message, file)
        file.flush()
        try:
            outcome = command.run([found, *options, file.name], seconds=SECONDS)
        except CommandFailed as err:
            raise BadEnvironment(detail=f"Can't run iallocator '{name}': {err}") from err
    try:
        return json.loads(outcome.stdout)
    except ValueError as err:
        raise BadEnvironment(detail=f"iallocator '{name}' printed no JSON: {err}") from err


def _found(name: str) -> str:
    if "/" in name or name.startswith("."):
        raise WrongInput(detail=f"'{name}' is no name of an iallocator")
    for folder in paths.here().iallocator_search:
        path = folder / name
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    folders = ", ".join(str(folder) for folder in paths.here().iallocator_search)
    raise BadEnvironment(detail=f"Can't compute nodes using iallocator '{name}': no allocator of this name is "
                                f"installed on the master (in {folders}); name the node instead")
