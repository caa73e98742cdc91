# SPDX-License-Identifier: BSD-2-Clause
"""Moving many instances as an allocator proposes: it answers with jobs, which are submitted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gantry.cmdlib import placement
from gantry.cmdlib.base import Hooks
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import BadEnvironment, NoResources, WrongInput
from gantry.iallocator.request import Json
from gantry.objects.cluster import NodeGroup
from gantry.objects.plan import Plan, Step, Submit, ref
from gantry.opcodes.instance import InstanceFailover, InstanceMigrate, InstanceReplaceDisks

Jobs = list[list[dict[str, Any]]]
ALLOWED = frozenset({InstanceFailover.OP_ID, InstanceMigrate.OP_ID, InstanceReplaceDisks.OP_ID})


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """`jobs`: lists of opcodes in wire form."""

    what: str
    jobs: Jobs
    hooks: Hooks | None = None


def plan(seen: Proposal) -> Plan:
    """Result: {"jobs": [[true, id], ...]}."""
    if not seen.jobs:
        return Plan(result={"jobs": []})
    step = Step(title=f"submitting {len(seen.jobs)} jobs that {seen.what}", key="jobs", action=Submit(jobs=seen.jobs))
    return Plan(steps=(step,), result={"jobs": ref("jobs")})


async def propose(view: View, iallocator: str | None, wanted: Json, *, early_release: bool,
                  options: Mapping[str, Any] | None = None) -> Jobs:
    """Ask; raises NoResources when one of the instances cannot be moved."""
    answer = await placement.proposal(view, iallocator, wanted, options=options)
    try:
        moved, failed, jobs = answer
        found = [[dict(op) for op in job] for job in jobs]
        for name, _, nodes in moved:
            view.say(f" - INFO: Instance {name} is to be on {', '.join(nodes)}")
        if failed:
            reasons = ", ".join(f"{name} ({why})" for name, why in failed)
            raise NoResources(detail=f"Unable to move instances: {reasons}")
    except (TypeError, ValueError) as err:
        raise BadEnvironment(detail=f"the allocator answered {answer!r:.200}, where [moved, failed, jobs] was asked "
                                    "for; use another one") from err
    return [[_checked(op, early_release=early_release) for op in job] for job in found]


def _checked(op: dict[str, Any], *, early_release: bool) -> dict[str, Any]:
    if op.get("OP_ID") not in ALLOWED:
        raise BadEnvironment(detail=f"the allocator wants to submit {op.get('OP_ID')}, which moves no instance")
    return {**op, "early_release": True} if early_release and op["OP_ID"] == InstanceReplaceDisks.OP_ID else op


def target_groups(config: Config, names: Sequence[str] | None, present: Iterable[str]) -> list[NodeGroup]:
    """The groups named, or all but the present ones (UUIDs)."""
    here = set(present)
    if names:
        found = [config.group(name) for name in dict.fromkeys(names)]
        bad = next((group.name for group in found if group.uuid in here), None)
        if bad is not None:
            raise WrongInput(detail=f"Can't use group {bad} as a target, it is in use by what is to be moved already")
        return found
    found = [group for group in config.groups.values() if group.uuid not in here]
    if not found:
        raise WrongInput(detail="There are no possible target groups")
    return found
