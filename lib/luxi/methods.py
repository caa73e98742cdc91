# SPDX-License-Identifier: BSD-2-Clause
"""Every method of the master daemon's socket."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

from gantry.constants import WAIT_FOR_CHANGE_SECONDS
from gantry.errors import Error, JobLost, NotFound, ParameterError, WrongInput
from gantry.luxi import arguments as arg
from gantry.luxi import filter_rules
from gantry.luxi.arguments import Arg
from gantry.luxi.protocol import BadRequest, Ready
from gantry.luxi.server import Method
from gantry.objects.plan import Delete, Put, Update
from gantry.opcodes.base import decode
from gantry.query import operating_systems, query, resource_cluster
from gantry.query.fields import Missing
from gantry.query.objects import InstanceObjects
from gantry.query.resource_job import JobRow
from gantry.query.world import Job, Jobs, LockTable, World
from gantry.utils import counting


class Queue(Jobs, Protocol):
    """What is asked of the job queue (`lib/jqueue/queue.py`)."""

    @property
    def last_id(self) -> int: ...

    def kick(self) -> None: ...

    async def submit(self, jobs: list[list[dict[str, Any]]], *,
                     drained_ok: bool = False) -> Sequence[tuple[bool, int | str]]: ...

    async def cancel(self, id: int, kill: bool = False) -> tuple[bool, str]: ...  # noqa: FBT001, FBT002 (as there)

    async def change_priority(self, id: int, priority: int) -> tuple[bool, str]: ...

    async def archive(self, id: int) -> bool: ...

    async def autoarchive(self, age: float, timeout: float) -> tuple[int, int]: ...

    async def wait_for_change(self, id: int, snapshot: Callable[[Any], list[Any]], previous: list[Any] | None,
                              log_serial: int | None, timeout: float) -> Any: ...

    async def set_drained(self, flag: bool) -> None: ...  # noqa: FBT001  (as there)


class Writer(Protocol):
    """The part of ConfigWriter that is used here."""

    def change(self, changes: Sequence[Put | Update | Delete], *, who: str, why: str) -> Awaitable[Any]: ...


@dataclass(frozen=True, kw_only=True)
class Services(World):
    """Everything that the methods work on."""

    writer: Writer
    queue: Queue
    locks: LockTable
    objects: InstanceObjects = field(default_factory=InstanceObjects)


RECORD_SECONDS = 0.05
"""Between two looks for a new record, which is cheaper than being told of hundreds a second."""
WHO = "operator"
"""In the configuration's history: changes that no job made."""

Run = Callable[..., Awaitable[Any]]


def methods(services: Services) -> Mapping[str, Method]:
    """All methods by name, for `LuxiServer`."""
    return {name: Method(_bound(services, name, run, wanted), waits=name in WAITING)
            for name, (run, wanted) in METHODS.items()}


def _bound(services: Services, name: str, run: Run, wanted: Sequence[Arg]) -> Callable[[list[Any]], Awaitable[Any]]:
    async def call(given: list[Any]) -> Any:
        return await run(services, *arg.read(name, wanted, given))
    return call


# --- jobs -------------------------------------------------------------------------------------------


async def submit_job(services: Services, ops: list[dict[str, Any]]) -> int:
    return await _submit_one(services, ops, drained_ok=False)


async def submit_job_to_drained_queue(services: Services, ops: list[dict[str, Any]]) -> int:
    return await _submit_one(services, ops, drained_ok=True)


async def _submit_one(services: Services, ops: list[dict[str, Any]], *, drained_ok: bool) -> int:
    (accepted, result), = await services.queue.submit([ops], drained_ok=drained_ok)
    if not accepted:
        raise BadRequest(detail=result)
    return int(result)


async def submit_many_jobs(services: Services, jobs: list[list[dict[str, Any]]]) -> list[list[Any]]:
    """[true, id] or [false, why not] for each job.  Nothing is submitted when there is an opcode that is none."""
    for op in chain.from_iterable(jobs):
        try:
            decode(op)
        except ParameterError as err:
            raise BadRequest(detail=str(err)) from err
    return [[accepted, result] for accepted, result in await services.queue.submit(jobs)]


async def pickup_job(services: Services, job: int) -> None:
    raise WrongInput(detail=f"Job {job} cannot be picked up: this method is for internal use only")


async def wait_for_job_change(services: Services, job: int, fields: list[str], previous: list[Any] | None,
                              serial: int | None, timeout: float) -> list[Any]:
    """[values, log entries]: at once for a finished job, else when they differ from what the caller has, or
    at the timeout with the values as they are.
    """
    if services.queue.job(job) is None:
        raise JobLost(job=job)
    known = query.RESOURCES["job"].fields
    unknown = [name for name in fields if name not in known]
    if unknown:
        raise WrongInput(detail=f"Unknown output fields selected: {', '.join(unknown)}")
    gets = [known[name].get for name in fields]

    def snapshot(found: Job) -> list[Any]:
        row = JobRow(found.id, found)
        return [None if (value := get(row)).__class__ is Missing else value for get in gets]

    seconds = min(max(timeout, 0), WAIT_FOR_CHANGE_SECONDS)
    values, entries = await services.queue.wait_for_change(job, snapshot, previous, serial, seconds)
    return [values, entries]


async def cancel_job(services: Services, job: int, kill: bool | None) -> list[Any]:  # noqa: FBT001  (as on the wire)
    return list(await services.queue.cancel(job, bool(kill)))


async def change_job_priority(services: Services, job: int, priority: int) -> list[Any]:
    if not -20 <= priority <= 19:
        raise BadRequest(detail=f"ChangeJobPriority: priority must be between -20 and 19, not {priority}")
    return list(await services.queue.change_priority(job, priority))


async def archive_job(services: Services, job: int) -> bool:
    return await services.queue.archive(job)


async def auto_archive_jobs(services: Services, age: float, timeout: float) -> list[int]:
    return list(await services.queue.autoarchive(age, timeout))


async def set_drain_flag(services: Services, flag: bool) -> bool:  # noqa: FBT001  (as on the wire)
    await services.queue.set_drained(flag)
    return True


# --- queries ----------------------------------------------------------------------------------------


async def run_query(services: Services, what: str, fields: list[str], qfilter: Any) -> dict[str, Any]:
    _over_luxi(what)
    return await query.query(services, what, fields, qfilter)


async def query_fields(services: Services, what: str, fields: list[str]) -> dict[str, Any]:
    _over_luxi(what)
    return query.query_fields(what, fields)


def _over_luxi(what: str) -> None:
    """Raise for what only jobs may query."""
    known = query.RESOURCES.get(what)
    if known is None or what == "extstorage":
        raise BadRequest(detail=f"unknown resource {what!r}")
    if not known.over_luxi:
        raise Error(detail=f"Query for '{what}' is not supported here, submit OP_QUERY")


async def query_jobs(services: Services, ids: list[int], fields: list[str]) -> list[list[Any]]:
    return await query.classic(services, "job", ids, fields)


def _classic(what: str) -> Run:
    async def run(services: Services, names: list[str], fields: list[str], locking: None) -> list[list[Any]]:
        return await query.classic(services, what, names, fields)
    return run


async def query_exports(services: Services, nodes: list[str], locking: None) -> list[list[Any]]:
    return await query.classic(services, "export", nodes, ["node", "export"])


async def query_filters(services: Services, uuids: list[str], fields: list[str]) -> list[list[Any]]:
    return await query.classic(services, "filter", uuids, fields)


async def query_instance_objects(services: Services, names: list[str] | None, fields: list[str],
                                 version: str | None) -> Ready:
    """Whole objects for the remote API: {"version": text, "objects": [{field: value}, ...]}; null in the place of all
    objects when `version` is that of now.
    """
    if names is not None:
        return _objects("", await services.objects.some(services, fields, list(map(str, names))))
    return _objects(*await services.objects.all(services, fields, version))


def _objects(version: str, text: bytes | None) -> Ready:
    return Ready((f'{{"version": "{version}", "objects": '.encode(), b"null" if text is None else text, b"}"))


async def query_cluster_info(services: Services) -> dict[str, Any]:
    return resource_cluster.info(services.config)


async def query_metrics(services: Services) -> dict[str, Any]:
    """What the master daemon counts of its own work, as `lib/utils/counting.py` gives it."""
    return counting.snapshot()


async def query_operating_systems(services: Services, fields: list[str]) -> list[list[Any]]:
    """For the remote API, which must not wait for a job behind others to tell what can be installed."""
    return await operating_systems.listed(services, fields)


async def wait_for_record(services: Services, known: int, timeout: float) -> int:
    """The number of the newest record, as soon as it is not `known`, or at the timeout.  For the event stream."""
    newest = services.recorded or (lambda: services.config.serial)
    loop = asyncio.get_running_loop()
    end = loop.time() + min(max(timeout, 0), WAIT_FOR_CHANGE_SECONDS)
    while newest() == known and loop.time() < end:
        await asyncio.sleep(RECORD_SECONDS)
    return newest()


async def query_config_values(services: Services, fields: list[str]) -> list[Any]:
    cluster = services.config.cluster
    values = {
        "cluster_name": cluster.name, "master_node": resource_cluster.master_name(services.config),
        "drain_flag": cluster.queue_drained, "watcher_pause": cluster.watcher_pause,
        "modify_ssh_setup": cluster.modify_ssh_setup, "ssh_key_type": cluster.ssh_key_type,
        "ssh_key_bits": cluster.ssh_key_bits,
    }
    return [values.get(name) for name in fields]


async def query_tags(services: Services, kind: str, name: str | None) -> list[str]:
    config = services.config
    find = {"instance": config.instance, "node": config.node, "nodegroup": config.group, "network": config.network}
    if kind == "cluster":
        return sorted(config.cluster.tags)
    if kind not in find:
        raise BadRequest(detail=f"QueryTags: unknown kind {kind!r}")
    return sorted(find[kind](name or "").tags)


# --- settings that need no job ----------------------------------------------------------------------


async def set_watcher_pause(services: Services, until: float | None) -> float | None:
    value = None if until is None else float(until)
    cluster = services.config.cluster
    await services.writer.change([Update(table="cluster", uuid=cluster.uuid, fields={"watcher_pause": value})],
                                 who=WHO, why="set the watcher's pause")
    return value


async def replace_filter(services: Services, uuid: str | None, priority: int, predicates: list[Any],
                         action: Any, trail: list[Any]) -> str:
    change = filter_rules.rule(uuid, priority, predicates, action, trail, watermark=services.queue.last_id)
    await services.writer.change([change], who=WHO, why="replace a job filter")
    services.queue.kick()
    return str(change.value["uuid"])


async def delete_filter(services: Services, uuid: str) -> None:
    if uuid not in services.config.filters:
        raise NotFound(kind="Filter", name=uuid)
    await services.writer.change([Delete(table="filters", uuid=uuid)], who=WHO, why="delete a job filter")
    services.queue.kick()


OBJECTS = (arg.NAMES, arg.FIELDS, arg.LOCKING)

METHODS: Mapping[str, tuple[Run, Sequence[Arg]]] = {
    "SubmitJob": (submit_job, (arg.OPCODES,)),
    "SubmitJobToDrainedQueue": (submit_job_to_drained_queue, (arg.OPCODES,)),
    "SubmitManyJobs": (submit_many_jobs, (arg.JOBS,)),
    "PickupJob": (pickup_job, (arg.JOB,)),
    "WaitForJobChange": (wait_for_job_change, (
        arg.JOB, arg.FIELDS, Arg("prev_job", arg.LIST, optional=True),
        Arg("prev_log", arg.INTEGER, optional=True), Arg("timeout", arg.NUMBER))),
    "CancelJob": (cancel_job, (arg.JOB, Arg("kill", arg.FLAG, optional=True))),
    "ChangeJobPriority": (change_job_priority, (arg.JOB, Arg("priority", arg.INTEGER))),
    "ArchiveJob": (archive_job, (arg.JOB,)),
    "AutoArchiveJobs": (auto_archive_jobs, (Arg("age", arg.NUMBER), Arg("timeout", arg.NUMBER))),
    "SetDrainFlag": (set_drain_flag, (Arg("flag", arg.FLAG),)),
    "Query": (run_query, (Arg("resource", arg.TEXT), arg.FIELDS, Arg("filter", arg.LIST, optional=True))),
    "QueryFields": (query_fields, (Arg("resource", arg.TEXT), arg.MAYBE_FIELDS)),
    "QueryJobs": (query_jobs, (arg.JOB_IDS, arg.FIELDS)),
    "QueryInstances": (_classic("instance"), OBJECTS),
    "QueryInstanceObjects": (query_instance_objects, (
        Arg("names", arg.LIST, optional=True), arg.FIELDS, Arg("version", arg.TEXT, optional=True))),
    "QueryNodes": (_classic("node"), OBJECTS),
    "QueryGroups": (_classic("group"), OBJECTS),
    "QueryNetworks": (_classic("network"), OBJECTS),
    "QueryExports": (query_exports, (arg.NAMES, arg.LOCKING)),
    "QueryFilters": (query_filters, (arg.NAMES, arg.FIELDS)),
    "QueryClusterInfo": (query_cluster_info, ()),
    "QueryMetrics": (query_metrics, ()),
    "WaitForRecord": (wait_for_record, (Arg("known", arg.INTEGER), Arg("timeout", arg.NUMBER))),
    "QueryOperatingSystems": (query_operating_systems, (arg.FIELDS,)),
    "QueryConfigValues": (query_config_values, (arg.FIELDS,)),
    "QueryTags": (query_tags, (Arg("kind", arg.TEXT), Arg("name", arg.TEXT, optional=True))),
    "SetWatcherPause": (set_watcher_pause, (Arg("until", arg.NUMBER, optional=True),)),
    "ReplaceFilter": (replace_filter, (
        Arg("uuid", arg.TEXT, optional=True), Arg("priority", arg.INTEGER), Arg("predicates", arg.LIST),
        Arg("action", arg.ANY), Arg("reason", arg.LIST))),
    "DeleteFilter": (delete_filter, (Arg("uuid", arg.TEXT),)),
}

WAITING = frozenset(name for name in METHODS if name.startswith(("Query", "Wait")))
"""Methods that change nothing: they end when their client goes away."""
