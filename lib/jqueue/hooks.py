# SPDX-License-Identifier: BSD-2-Clause
"""Running the hooks of an operation on the nodes that it names."""

from collections.abc import Callable, Sequence
from typing import Any

from gantry import paths
from gantry.cmdlib.base import Hooks
from gantry.cmdlib.hookenv import environment
from gantry.errors import HooksAbort, NodeError
from gantry.jqueue.services import Services
from gantry.objects.node import HookResult
from gantry.rpc import calls

FAILED = 1
"""Code of a script that failed, in HookResult."""

Warn = Callable[[str], None]


async def run_pre(services: Services, op_id: str, hooks: Hooks, warn: Warn) -> None:
    """Raises HooksAbort when a script says no; nodes that do not answer are warnings."""
    failures = await _run(services, op_id, "pre", hooks, hooks.pre_nodes, warn)
    if failures:
        raise HooksAbort(results=failures)


async def run_post(services: Services, op_id: str, hooks: Hooks, warn: Warn) -> None:
    for node, script, output in await _run(services, op_id, "post", hooks, hooks.post_nodes, warn):
        warn(f"On {node} script {script} failed, " + (f"output: {output}" if output else "(no output)"))


async def run_config_update(services: Services, op_id: str, warn: Warn) -> None:
    """After a change of the configuration, on the master only; its scripts lie here, so a look is enough."""
    if (paths.here().hooks / "config-update-post.d").is_dir():
        hooks = Hooks(path="config-update", object_type="CLUSTER", target=services.config.cluster.name,
                      post_nodes=(services.config.cluster.master_node,))
        await run_post(services, op_id, hooks, warn)


async def _run(services: Services, op_id: str, phase: str, hooks: Hooks, nodes: Sequence[str],
               warn: Warn) -> list[list[str]]:
    """[node, script, output] of every script that failed."""
    config = services.config
    wanted = [uuid for uuid in dict.fromkeys(nodes) if uuid in config.nodes and not config.nodes[uuid].offline]
    if not wanted:
        return []
    answers: dict[str, Any] = await services.nodes.call_many(
        wanted, calls.hooks_run, phase=phase, path=hooks.path, env=environment(config, op_id, phase, hooks))
    failures: list[list[str]] = []
    for uuid, answer in answers.items():
        name = config.nodes[uuid].name if uuid in config.nodes else uuid
        if isinstance(answer, NodeError):
            warn(f"Communication failure to node {name}: {answer}")
            continue
        results: list[HookResult] = answer
        failures += [[name, result.script, result.output] for result in results if result.code == FAILED]
    return failures
