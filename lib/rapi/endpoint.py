# SPDX-License-Identifier: BSD-2-Clause
"""What a resource is: a path, its methods, and for each what it needs, takes and answers.

Most of those that write submit one opcode: its parameters come from the path and the query (`Source`) and, for the
rest, from the body, whose keys are the opcode's parameters.  Checking and the description follow from that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gantry.errors import ParameterError
from gantry.opcodes.base import OpCode, decode
from gantry.rapi.access import Need
from gantry.rapi.failures import bad_request, invalid_body
from gantry.rapi.request import Request
from gantry.utils import clock

Schema = dict[str, Any]
STREAM = "text/event-stream"
"""What an endpoint answers that goes on without an end."""


@dataclass(frozen=True, kw_only=True)
class Argument:
    """A query argument: `flag` ones are 0 or 1."""

    name: str
    doc: str
    flag: bool = False
    needed: bool = False
    many: bool = False
    values: tuple[str, ...] = ()


BULK = Argument(name="bulk", flag=True, doc="1: whole objects, 0: names and addresses")
DRY_RUN = Argument(name="dry-run", flag=True, doc="1: run the checks only, change nothing")
FORCE = Argument(name="force", flag=True, doc="1: skip safety refusals")
REASON = Argument(name="reason", doc="why, for the job's reason trail")
TAG = Argument(name="tag", doc="a tag; may be given several times", needed=True, many=True)


@dataclass(frozen=True)
class Source:
    """Where a parameter comes from that the body does not give; `argument` where that is the query."""

    get: Callable[[Request], Any]
    argument: Argument | None = None


def path(name: str = "name") -> Source:
    return Source(lambda request: request.names[name])


def number(name: str) -> Source:
    return Source(lambda request: int(request.names[name]))


def always(value: Any) -> Source:
    return Source(lambda request: value)


def flag(argument: Argument) -> Source:
    return Source(lambda request: request.flag(argument.name), argument)


def text(argument: Argument, default: str | None = None) -> Source:
    get: Callable[[Request], Any] = lambda request: (  # noqa: E731 - as short as its neighbours
        request.needed(argument.name) if argument.needed else request.text(argument.name, default))
    return Source(get, argument)


def listed(argument: Argument) -> Source:
    """A list, its items separated by commas."""
    return Source(lambda request: request.needed(argument.name).split(","), argument)


Prepare = Callable[[Request, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One opcode made of a request.  `rename`: keys of the body that the opcode calls otherwise.  `takes_body`: else
    the body is ignored.  `prepare` may change the body's parameters first.
    """

    opcode: type[OpCode]
    fixed: Mapping[str, Source] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    takes_body: bool = True
    prepare: Prepare | None = None

    def build(self, request: Request) -> dict[str, Any]:
        """The opcode in wire form; raises HttpError 400."""
        fixed = {name: source.get(request) for name, source in self.fixed.items()}
        body = request.object() if self.takes_body else {}
        if self.prepare is not None:
            body = self.prepare(request, body)
        given = renamed(body, self.rename)
        overridden = sorted(given.keys() & self.closed)
        if overridden:
            raise bad_request(f"Invalid body parameters: {', '.join(overridden)} cannot be overridden")
        return checked(self.opcode, given | {name: value for name, value in fixed.items() if value is not None})

    @property
    def closed(self) -> set[str]:
        """Parameters that a body may not give: those that the path or the query gives, by name or UUID."""
        return {"OP_ID", *self.fixed, *(name.removesuffix("_name") + "_uuid" for name in self.fixed)}


def renamed(body: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    given = dict(body)
    for old, new in names.items():
        if old in given:
            if new in given:
                raise bad_request(f"Invalid body parameters: {old} and {new} are the same, only one may be given")
            given[new] = given.pop(old)
    return given


def checked(opcode: type[OpCode], values: Mapping[str, Any]) -> dict[str, Any]:
    """The wire form of an opcode that can be; raises HttpError 400."""
    wire = {**values, "OP_ID": opcode.OP_ID}
    try:
        decode(wire)
    except ParameterError as err:
        raise invalid_body(err) from err
    return wire


def submit(request: Request, ops: Sequence[dict[str, Any]]) -> int:
    """The id of a new job, its opcodes marked with who asked for them and why."""
    trail: list[list[Any]] = []
    reason = request.text("reason")
    if reason:
        trail.append(["gnt:user", reason, clock.nanoseconds()])
    trail.append([f"gnt:library:rlib2:{request.resource}", "", clock.nanoseconds()])
    trail += [list(entry) for entry in request.extra_reason]
    wire = [{**op, "reason": [*op.get("reason", ()), *trail]} for op in ops]
    return int(request.door.call("SubmitJob", [wire]))


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One method of one path.  `job` describes what `run` submits, where it submits one opcode; `body` and `answer` are
    JSON schemas of what is read and written, `body` None where nothing is read.
    """

    method: str
    path: str
    need: Need
    doc: str
    run: Callable[[Request], Any]
    job: Job | None = None
    query: tuple[Argument, ...] = ()
    body: Schema | None = None
    answer: Schema = field(default_factory=dict)
    ops: tuple[type[OpCode], ...] = ()
    content: str = "application/json"
    name: str = ""

    @property
    def submits(self) -> bool:
        return bool(self.job or self.ops)

    @property
    def resource(self) -> str:
        """Its name in reason trails."""
        parts = [part for part in self.path.strip("/").split("/")[1:] if not part.startswith("{disk")]
        return self.name or "_".join(part.split(":")[0].strip("{}") for part in parts).replace("-", "_")


JOB_ID: Schema = {"type": "integer", "minimum": 1, "description": "id of the job that was submitted"}


def job(method: str, where: str, opcode: type[OpCode], fixed: Mapping[str, Source], **more: Any) -> Endpoint:
    """An endpoint that submits one opcode; `more`: rename, takes_body, prepare, need, name, query."""
    what = Job(opcode=opcode, fixed=fixed, rename=more.pop("rename", {}), takes_body=more.pop("takes_body", True),
               prepare=more.pop("prepare", None))
    arguments = {source.argument.name: source.argument for source in fixed.values() if source.argument}
    extra: tuple[Argument, ...] = more.pop("query", ())
    return Endpoint(method=method, path=where, need=more.pop("need", Need.WRITE),
                    doc=" ".join((opcode.__doc__ or "").split()), job=what, ops=(opcode,), answer=JOB_ID,
                    run=lambda request: submit(request, [what.build(request)]),
                    query=(*arguments.values(), *extra, REASON), **more)


def look(where: str, doc: str, run: Callable[[Request], Any], **more: Any) -> Endpoint:
    """An endpoint that reads, open unless `need` says otherwise."""
    return Endpoint(method="GET", path=where, need=more.pop("need", Need.NOTHING), doc=doc, run=run, **more)


def tags(where: str, kind: str, known_as: Callable[[Request], str]) -> list[Endpoint]:
    """Looking at the tags of something, adding and removing some."""
    from gantry.opcodes.tags import TagsDel, TagsSet

    def all_of(request: Request) -> Any:
        if not request.query.get("tag"):
            raise bad_request("Please specify tag(s) with the 'tag' parameter")
        return request.query["tag"]

    fixed = {"kind": always(kind), "name": Source(known_as), "tags": Source(all_of, TAG), "dry_run": flag(DRY_RUN)}
    return [
        look(where, "Tags.", lambda request: request.door.call("QueryTags", [kind, known_as(request)]),
             answer={"type": "array", "items": {"type": "string"}}),
        job("PUT", where, TagsSet, fixed, takes_body=False), job("DELETE", where, TagsDel, fixed, takes_body=False),
    ]
