# SPDX-License-Identifier: BSD-2-Clause
"""Carrying out a plan: step after step, each finished one recorded; or back, in reverse.

What must be on the disk before what: the plan before its first step with an effect; the record of a step before
the next step; the decision to undo before the first undo.  So a master that starts again knows enough to go on.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gantry.errors import Error, ExecError, NodeUnreachable, StaleTerm
from gantry.jqueue.actions import Actor, Doing, error_text, has_effect, only_changes, tasks_of
from gantry.jqueue.progress import Progress, plain_title
from gantry.jqueue.run import JobCanceled, JobRun
from gantry.jqueue.services import Change, Row, Services
from gantry.objects import plan as plans
from gantry.objects.plan import Plan, Several, Step
from gantry.utils import faults

SECRETS = "$secrets"
"""Key under which `Ref`s find the opcode's secret parameters, which no plan may hold."""


class PlanRun:
    """One plan on its way.  `done`: stored records of its steps by key (`2`, `2.undo`)."""

    def __init__(self, services: Services, run: JobRun, actor: Actor, plan: Plan,
                 done: Mapping[str, dict[str, Any]] | None = None) -> None:
        self._services, self._run, self._actor, self.plan = services, run, actor, plan
        self._op = run.job.ops[run.index]
        self._done: dict[str, dict[str, Any]] = dict(done or {})
        self._results: dict[str, Any] = {}
        if not self._op.secrets_lost:
            self._results[SECRETS] = self._op.secrets.get("osparams_secret", {})
        for index, step in enumerate(plan.steps):
            record = self._done.get(str(index))
            if record is not None and step.key and record.get("state") != "begun":
                self._results[step.key] = record.get("result")
        self.stored = any(has_effect(step.action) for step in plan.steps)
        self.prelude: Sequence[Row] = ()
        """Rows that go into the record of the first change: the plan itself, where `begins_with_change`."""
        self.reached = self._first_unfinished()
        self._progress = Progress(plan, self._say)
        self._saved = self._op.log[-1][0] if self._op.log else 0

    def _first_unfinished(self) -> int:
        """The step that may have been at work; 0 for a plan that is new."""
        left = [index for index in range(len(self.plan.steps))
                if self._done.get(str(index), {}).get("state") not in ("done", "failed")]
        return min(left, default=max(len(self.plan.steps) - 1, 0))

    @property
    def begins_with_change(self) -> bool:
        """Whether the first step only changes the configuration: then the plan need not be on the disk before
        it.  Both come in one record, and without that record nothing has happened.
        """
        return bool(self.plan.steps) and only_changes(self.plan.steps[0].action)

    # --- forward ----------------------------------------------------------------------------------------

    async def forward(self) -> Any:
        """Do what is left; the plan's result.  Raises what a step raised, or JobCanceled between two steps."""
        for index, step in enumerate(self.plan.steps):
            if self._done.get(str(index), {}).get("state") in ("done", "failed"):
                continue
            self._run.sealed = self._past_return(index)
            if not self._run.sealed:
                self._run.check()
            self.reached = index
            await self._step(index, step)
        return plans.fill(self.plan.result, self._results)

    @property
    def can_undo(self) -> bool:
        """False when the plan has come to where it may only be continued."""
        return not self._past_return(self.reached)

    def _past_return(self, index: int) -> bool:
        if index > 0 and not self.plan.undoable:
            return True
        return any(step.no_return and self._done.get(str(place), {}).get("state") == "done"
                   for place, step in enumerate(self.plan.steps[:index + 1]))

    async def _step(self, index: int, step: Step) -> None:
        point = f"step:{self._op.op_id}:{index}"
        faults.point(f"{point}:before")
        if step.title:
            self._say(step.title)
        self._progress.begin(index)
        begun = self._done.get(str(index), {})
        doing = Doing(key=self.key(index), results=self._results, why=plain_title(step.title) or self._op.op_id,
                      breakable=not self._run.sealed, begun=bool(begun), watch=self._progress.seen)
        doing.record = self._recorder(str(index), keep_inverse=step.undo is None)
        try:
            result = await self._act(step, doing)
        except StaleTerm:
            raise
        except (Error, KeyError) as err:
            if not step.may_fail:
                raise _known(err) from err
            self._say(f" - WARNING: {plain_title(step.title) or 'a step'} failed: {error_text(_known(err))}")
            if step.key:
                self._results[step.key] = None
            await self._record(index, step, {"state": "failed", "error": str(err)})
            return
        faults.point(f"{point}:after")
        if step.key:
            self._results[step.key] = result
        if not doing.recorded:
            inverse = {"inverse": begun["inverse"]} if begun.get("inverse") else {}
            await self._record(index, step, {"state": "done", "result": result} | inverse)
        faults.point(f"{point}:recorded")

    async def _act(self, step: Step, doing: Doing) -> Any:
        """The action's result; None when only its confirmation tells that it was done."""
        try:
            return await self._actor.do(step.action, doing)
        except (NodeUnreachable, JobCanceled) as err:
            if step.confirm is None or not await self._confirmed(step.confirm, doing):
                raise
            if isinstance(err, NodeUnreachable):
                self._say(f" - WARNING: {err}; '{plain_title(step.title)}' was done all the same")
            return None

    async def _confirmed(self, action: plans.Action, doing: Doing) -> bool:
        asking = Doing(key=f"{doing.key}.confirm", results=self._results, why=doing.why, breakable=False)
        try:
            return bool(await self._actor.do(action, asking))
        except StaleTerm:
            raise
        except Error:
            return False

    async def _record(self, index: int, step: Step, record: dict[str, Any]) -> None:
        """Store that a step is done.  Of a step without effect the record may be late, or missing."""
        self._done[str(index)] = record
        if not self.stored:
            return
        rows = [self._row(str(index), record)]
        if has_effect(step.action):
            await self._services.durable(rows)
        else:
            self._services.later(rows)

    def _recorder(self, key: str, *, keep_inverse: bool) -> Any:
        def rows(result: Any, inverse: Sequence[Change], *, begun: bool = False) -> Sequence[Row]:
            record: dict[str, Any] = {"state": "begun" if begun else "done", "result": result}
            if keep_inverse and inverse:
                record["inverse"] = [plans.encode_action(change) for change in inverse]
            self._done[key] = record
            prelude, self.prelude = self.prelude, ()
            return [*prelude, self._row(key, record)]
        return rows

    def _row(self, key: str, record: dict[str, Any]) -> Row:
        lines = [entry for entry in self._op.log if entry[0] > self._saved]
        if lines:
            self._saved = lines[-1][0]
            record = record | {"log": lines}
        return ("steps", f"{self._run.job.id}.{self._run.index}.{key}", record)

    # --- back -------------------------------------------------------------------------------------------

    async def undo(self) -> None:
        """Undo every step up to the one reached, last first.  What cannot be undone is a warning in the log."""
        self._run.sealed = True
        for index in range(min(self.reached, len(self.plan.steps) - 1), -1, -1):
            key = f"{index}.undo"
            action = self._undo_action(index)
            if action is None or key in self._done:
                continue
            if self._is_needed(self.plan.steps[index]):
                await self._keep(index, key)
            else:
                await self._undo_step(index, key, action)

    def _is_needed(self, step: Step) -> bool:
        """Whether what the step has made is needed by one that could not be undone."""
        return bool(step.undo_after) and any(
            other.key == step.undo_after and self._done.get(f"{place}.undo", {}).get("state") == "failed"
            for place, other in enumerate(self.plan.steps))

    async def _keep(self, index: int, key: str) -> None:
        what = plain_title(self.plan.steps[index].title)
        if what:
            self._say(f" - WARNING: not undone, what it has made is still needed: {what}")
        self._done[key] = {"state": "kept"}
        await self._services.durable([self._row(key, self._done[key])])

    def _undo_action(self, index: int) -> plans.Action | None:
        step = self.plan.steps[index]
        if step.undo is not None:
            return step.undo
        inverse = self._done.get(str(index), {}).get("inverse")
        if not inverse:
            return None
        return plans.decode_plan({"steps": [{"title": "", "action": {"kind": "several", "actions": inverse}}]}
                                 ).steps[0].action

    async def _undo_step(self, index: int, key: str, action: plans.Action) -> None:
        step = self.plan.steps[index]
        point = f"step:{self._op.op_id}:{index}:undo"
        faults.point(f"{point}:before")
        what = plain_title(step.title)
        if what and has_effect(action):
            self._say(f" - INFO: undo: {what}")
        doing = Doing(key=f"{self.key(index)}.undo", results=self._results, breakable=False,
                      why=f"undo: {what or self._op.op_id}")
        if only_changes(action):
            doing.record = self._recorder(key, keep_inverse=False)
        record: dict[str, Any] = {"state": "done"}
        try:
            await self._actor.do(action, doing)
        except StaleTerm:
            raise
        except (Error, KeyError) as err:
            if isinstance(err, KeyError) and index == self.reached:
                return  # it needs what its own step would have returned: there is nothing to undo
            left = _left_behind(action, self._services)
            self._say(f" - WARNING: could not undo '{what or f'step {index + 1}'}': {error_text(_known(err))}; {left}")
            record = {"state": "failed", "error": str(err)}
        faults.point(f"{point}:after")
        if not doing.recorded:
            self._done[key] = record
            await self._services.durable([self._row(key, record)])

    # --- small things -----------------------------------------------------------------------------------

    def key(self, index: int) -> str:
        """Request id of a step."""
        return f"{self._run.job.id}.{self._run.index}.{index}"

    def rows_to_drop(self) -> list[Row]:
        """Rows that take the records out of the store."""
        stem = f"{self._run.job.id}.{self._run.index}"
        if not self.stored:
            return []
        return [("plans", stem, None), *(("steps", f"{stem}.{key}", None) for key in self._done)]

    def tasks(self) -> dict[str, list[str]]:
        """By node, the ids of all tasks that may have been started."""
        found: dict[str, list[str]] = {}
        for index, step in enumerate(self.plan.steps[:self.reached + 1]):
            key = self.key(index)
            for node, task in (*tasks_of(step.action, key), *tasks_of(step.undo, f"{key}.undo")):
                found.setdefault(node, []).append(task)
        return found

    def _say(self, line: str) -> None:
        self._run.job.say(self._run.index, line)


def _known(err: Error | KeyError) -> Error:
    """A missing result, named by a Ref, as a sentence."""
    if isinstance(err, Error):
        return err
    if err.args and err.args[0] == SECRETS:
        return ExecError(detail="secret parameters are not stored and were lost when the master daemon restarted")
    return ExecError(detail=f"the plan needs the result {err} of a step that has not given it")


def _left_behind(action: plans.Action, services: Services) -> str:
    """Where to look for what an undo that failed has left."""
    nodes: list[str] = []
    for item in action.actions if isinstance(action, Several) else [action]:
        uuid = getattr(item, "node", None)
        if uuid is not None:
            known = services.config.nodes.get(uuid)
            nodes.append(known.name if known else uuid)
    where = f"on node {', '.join(dict.fromkeys(nodes))}" if nodes else "in the configuration"
    call = getattr(action, "call", "its undo")
    return f"something may be left {where} ({call} was not done)"


