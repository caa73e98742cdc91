# SPDX-License-Identifier: BSD-2-Clause
"""Doing one action of a plan.

Every action may be done twice: calls and tasks carry a request id made of job, opcode and step; changes of the
configuration and submitted jobs go into one store record with what says that they were done.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from gantry.errors import Error, ExecError, NodeError, NodeUnreachable, StoreFailed, decode
from gantry.jqueue.run import Halt, JobCanceled, JobRun
from gantry.jqueue.services import Change, Row, Services
from gantry.objects import codec
from gantry.objects import plan as plans
from gantry.objects.node import TaskStatus
from gantry.objects.plan import Action, Call, Delete, Master, Put, Say, Several, Sleep, Submit, Task, Update
from gantry.rpc import calls
from gantry.rpc.declare import CALLS

T = TypeVar("T")
TASK_WAIT = 10.0
"""Seconds that one question for a task's state may take."""
TASK_STARTS = 3
"""How often a task is started whose record, or whose process, the node has lost."""

Watch = Callable[[float, str], None]
Submitter = Callable[[list[list[dict[str, Any]]], Callable[[Any], Sequence[Row]]], Awaitable[Any]]


class Recorder(Protocol):
    """Makes the rows that say that the step is done, and with what result."""

    def __call__(self, result: Any, inverse: Sequence[Change], *, begun: bool = False) -> Sequence[Row]: ...


@dataclass(kw_only=True)
class Doing:
    """One run of one action.  `key`: its request id.  `breakable`: a cancel may stop it half-way.

    `begun`: the configuration part of a mixed Several was done before a restart.  `record` is called by
    actions that store their own record; `recorded` says that one did.
    """

    key: str
    results: Mapping[str, Any]
    why: str
    breakable: bool = True
    begun: bool = False
    record: Recorder | None = None
    watch: Watch | None = None
    recorded: bool = False


class Actor:
    """Does actions for one opcode of one job."""

    def __init__(self, services: Services, run: JobRun, submit: Submitter) -> None:
        self._services = services
        self._run = run
        self._submit = submit
        self.config_changed = False

    async def do(self, action: Action, doing: Doing) -> Any:  # noqa: PLR0911 - a table: one line for each kind
        """The action's result as a JSON value; raises what the node or the configuration says."""
        match action:
            case Put() | Update() | Delete():
                return await self._change([action], doing)
            case Several():
                return await self._several(action, doing)
            case Call():
                return await self._call(action, doing)
            case Task():
                return await self._task(action, doing)
            case Sleep():
                with self._breakable(doing):
                    await self._services.sleep(action.seconds)
            case Say():
                self._say(plans.fill(action.lines, dict(doing.results)))
            case Submit():
                return await self._submit_jobs(action, doing)
            case Master():
                return await self._master(action, doing)
        return None

    def _say(self, lines: Sequence[Any]) -> None:
        for line in lines:
            text = "".join(map(str, line)) if isinstance(line, list) else line
            if text or line == "":
                self._run.job.say(self._run.index, text)

    # --- nodes ----------------------------------------------------------------------------------------

    async def _call(self, action: Call, doing: Doing) -> Any:
        kind = _call_type(action.call)
        args = kind.decode_args(plans.fill(action.args, dict(doing.results)))
        answer = await self._patient(action.node, doing, lambda: self._services.nodes.call(
            action.node, kind, request_id=doing.key, **args))
        return codec.encode(answer)

    async def _task(self, action: Task, doing: Doing) -> Any:
        args = plans.fill(action.args, dict(doing.results))
        nodes, node = self._services.nodes, action.node
        starts = 0
        status = TaskStatus(state="unknown")
        try:
            while True:
                if status.state == "unknown" or (_interrupted(status) and starts < TASK_STARTS):
                    starts += 1
                    if starts > TASK_STARTS:
                        raise NodeError(node=self._name(node), detail=f"lost the record of {action.call}")
                    status = await self._patient(node, doing, lambda: nodes.call(
                        node, calls.task_start, task=doing.key, call=action.call, args=args))
                elif status.state == "running":
                    if doing.watch is not None:
                        doing.watch(status.fraction, status.message)
                    with self._breakable(doing):
                        status = await self._patient(node, doing, partial(
                            nodes.call, node, calls.task_status, task=doing.key, wait=TASK_WAIT, seen=status.fraction))
                else:
                    return self._task_end(action, status)
        except JobCanceled:
            status = await self._stop_task(node, doing)
            if status.state != "done":  # else it was too late: what was done counts, a migrated guest above all
                raise
            return status.result

    def _task_end(self, action: Task, status: TaskStatus) -> Any:
        if status.state == "done":
            return status.result
        if status.state == "failed" and status.error is not None:
            raise self._of_node(action.node, decode(status.error))  # type: ignore[arg-type]  # it went through JSON
        raise NodeError(node=self._name(action.node), detail=f"{action.call} was ended on the node ({status.state})")

    def _of_node(self, node: str, err: Error) -> Error:
        """What a task reports, its sentence with the node's name, as that of a call."""
        return err if isinstance(err, NodeError) else type(err)(**{"on_node": self._name(node)} | err.facts)

    async def _stop_task(self, node: str, doing: Doing) -> TaskStatus:
        """End a task, and how it ended; its step's undo takes care of the rest."""
        firm = dataclasses.replace(doing, breakable=False)
        try:
            ended: TaskStatus = await self._patient(
                node, firm, lambda: self._services.nodes.call(node, calls.task_cancel, task=doing.key))
        except NodeError as err:
            self._run.job.say(self._run.index, f" - WARNING: could not end a task: {err}")
            return TaskStatus(state="unknown")
        return ended

    async def _patient(self, node: str, doing: Doing, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again while the node does not answer, for a bounded time; it may be starting."""
        known = self._services.config.nodes.get(node)
        if known is not None and not known.offline:
            for pause in self._services.pauses:
                try:
                    return await ask()
                except NodeUnreachable:
                    with self._breakable(doing):
                        await self._services.sleep(pause)
        return await ask()

    def _breakable(self, doing: Doing) -> contextlib.AbstractContextManager[None]:
        return self._run.interruptible() if doing.breakable else contextlib.nullcontext()

    def _name(self, node: str) -> str:
        known = self._services.config.nodes.get(node)
        return known.name if known else node

    # --- the configuration, and several at once -------------------------------------------------------------

    async def _change(self, actions: Sequence[Change], doing: Doing, *, begun: bool = False) -> Any:
        changes = [_filled(action, doing.results) for action in actions]
        result = None if len(changes) == 1 else [None] * len(changes)
        extra: Sequence[Row] = ()
        if doing.record is not None:
            extra = doing.record(result, self._services.writer.inverse(changes), begun=begun)
            doing.recorded = not begun
        try:
            await self._services.writer.change(changes, who=f"job {self._run.job.id}", why=doing.why, extra=extra)
        except (StoreFailed, OSError) as err:
            raise Halt(f"cannot store a change of the configuration: {err}") from err
        self.config_changed = True
        return result

    async def _several(self, action: Several, doing: Doing) -> Any:
        """All at once.  Changes of the configuration among them come first, together.  What failed first is raised:
        the others may have failed for that.
        """
        config = [item for item in action.actions if isinstance(item, (Put, Update, Delete))]
        if config and len(config) == len(action.actions):
            await self._change(config, doing)
            return [None] * len(config)
        if config and not doing.begun:
            await self._change(config, doing, begun=True)
        others = [(place, item) for place, item in enumerate(action.actions) if item not in config]
        fractions = dict.fromkeys((place for place, _ in others), 0.0)

        def watch(place: int) -> Watch:
            def seen(fraction: float, message: str) -> None:
                fractions[place] = fraction
                if doing.watch is not None:
                    doing.watch(sum(fractions.values()) / len(fractions), message)
            return seen

        results: list[Any] = [None] * len(action.actions)
        failed: list[BaseException] = []

        async def one(place: int, item: Action) -> None:
            own = dataclasses.replace(doing, key=f"{doing.key}.{place}", record=None, watch=watch(place))
            try:
                results[place] = await self.do(item, own)
            except BaseException as err:
                failed.append(err)
                raise

        await asyncio.gather(*(one(place, item) for place, item in others), return_exceptions=True)
        if failed:
            raise min(failed, key=lambda err: (not isinstance(err, Halt), isinstance(err, JobCanceled)))
        return results

    # --- the master -----------------------------------------------------------------------------------------

    async def _submit_jobs(self, action: Submit, doing: Doing) -> Any:
        def rows(result: Any) -> Sequence[Row]:
            if doing.record is None:
                return ()
            doing.recorded = True
            return doing.record(result, ())
        return await self._submit(plans.fill(action.jobs, dict(doing.results)), rows)

    async def _master(self, action: Master, doing: Doing) -> Any:
        function = self._services.master_calls.get(action.call)
        if function is None:
            raise ExecError(detail=f"the master daemon has no function {action.call}")
        return codec.encode(await function(**plans.fill(action.args, dict(doing.results))))


def _interrupted(status: TaskStatus) -> bool:
    """Whether the task's process was lost, with its node or by itself; started again it begins anew."""
    facts = (status.error or {}).get("facts")
    return status.state == "failed" and isinstance(facts, dict) and bool(facts.get("interrupted"))


def _call_type(name: str) -> Any:
    try:
        return CALLS[name]
    except KeyError:
        raise ExecError(detail=f"there is no node call {name}") from None


def _filled(action: Change, results: Mapping[str, Any]) -> Change:
    match action:
        case Put():
            return dataclasses.replace(action, value=plans.fill(action.value, dict(results)))
        case Update():
            return dataclasses.replace(action, fields=plans.fill(action.fields, dict(results)))
    return action


def has_effect(action: Action) -> bool:
    """Whether anything outside of this process, or stored, comes of it."""
    if isinstance(action, Several):
        return any(has_effect(item) for item in action.actions)
    return not isinstance(action, (Sleep, Say))


def only_changes(action: Action) -> bool:
    """Whether it stores its own record, together with its effect."""
    if isinstance(action, Several):
        return bool(action.actions) and all(isinstance(item, (Put, Update, Delete)) for item in action.actions)
    return isinstance(action, (Put, Update, Delete, Submit))


def tasks_of(action: Action | None, key: str) -> Iterable[tuple[str, str]]:
    """(node, task id) of every task that the action starts when its request id is `key`."""
    if isinstance(action, Task):
        yield action.node, key
    elif isinstance(action, Several):
        for place, item in enumerate(action.actions):
            yield from tasks_of(item, f"{key}.{place}")


def error_text(err: BaseException) -> str:
    """An error for a log line: our own sentences as they are, others with their kind."""
    return str(err) if isinstance(err, Error) else f"{type(err).__name__}: {err}"
