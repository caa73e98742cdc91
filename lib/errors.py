# SPDX-License-Identifier: BSD-2-Clause
"""Every error that may leave a module of ours.

    Error                         exit 1  http 500  a bug of ours, unless a leaf says otherwise
     +-- ConfigurationError            2        500  the stored state is damaged or of another version
     |    +-- StoreFailed              2        503  a change could not be made durable, the daemon must be restarted
     +-- ParameterError                1        400  a parameter's name or type is wrong
     +-- PrereqError                   1        409  the cluster refuses; `code` says why
     |    +-- WrongInput               1        400  wrong_input
     |    +-- WrongState               1        409  wrong_state
     |    +-- NotFound                 1        404  unknown_entity
     |    +-- AlreadyExists            1        409  already_exists
     |    +-- NotUnique                1        409  resource_not_unique
     |    +-- NoResources              1        409  insufficient_resources
     |    +-- NoResourcesNow           1        409  temp_insufficient_resources, may pass by itself
     |    +-- BadEnvironment           1        409  environment_error
     |    +-- CannotResolve            1        409  resolver_error
     +-- ExecError                     1        500  an operation failed while it ran
     |    +-- CommandFailed            1        500  an outside program said no
     |    +-- NodeError                1        502  a node said no, with its reason
     |    |    +-- NodeUnreachable     1        504  a node did not answer, may pass by itself
     |    |    +-- NodeRefused         1        502  a node does not accept us (certificate, term)
     |    |    +-- StaleTerm           1        502  we are no longer master
     |    +-- HypervisorError          1        500
     |    +-- StorageError             1        500
     |         +-- StaleOwner          1        500  a newer owner has opened the disks
     +-- JobQueueError                 1        409
     |    +-- JobStateError            1        409
     |    +-- JobLost                  1        404
     |    +-- QueueDrained             1        503
     +-- HooksAbort                    1        409  a pre hook said no
     +-- LuxiError                     1        502  the master daemon cannot be reached or understood
     +-- RemoteError                   1        500  what the other end reported, by its own class name

An error takes keyword facts and makes its own sentence.  On the LUXI wire and in job results it is
`[class name, [arguments]]` in Ganeti's names (`wire`); between our daemons it is `Encoded`.
"""

from typing import Any, ClassVar, TypedDict

BY_NAME: dict[str, type["Error"]] = {}


class Encoded(TypedDict):
    """An error in an RPC reply."""

    error: str
    facts: dict[str, Any]
    message: str


class Error(Exception):
    """Root of the tree; `facts` fill `text`.  The fact `on_node`, a node's name, is put before the sentence."""

    text: ClassVar[str] = "{detail}"
    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    may_pass: ClassVar[bool] = False
    wire_name: ClassVar[str] = "GenericError"

    def __init_subclass__(cls) -> None:
        BY_NAME[cls.__name__] = cls

    def __init__(self, **facts: Any) -> None:
        sentence, node = self.text.format(**facts), facts.get("on_node")
        super().__init__(f"node {node}: {sentence}" if node else sentence)
        self.facts = facts

    def encode(self) -> Encoded:
        return {"error": type(self).__name__, "facts": self.facts, "message": str(self)}

    def wire(self) -> list[Any]:
        """`[class name, [arguments]]` as Ganeti's clients decode it."""
        return [self.wire_name, [str(self)]]


def decode(data: Encoded) -> Error:
    """The error that `encode` made; one of an unknown class keeps its words."""
    try:
        return BY_NAME[data["error"]](**data["facts"])
    except (KeyError, TypeError):
        return Error(detail=data.get("message", "unknown error"))


class ConfigurationError(Error):
    exit_status, wire_name = 2, "ConfigurationError"


class StoreFailed(ConfigurationError):
    http_status = 503


class ParameterError(Error):
    http_status, wire_name = 400, "ParameterError"


class PrereqError(Error):
    http_status, wire_name = 409, "OpPrereqError"
    code: ClassVar[str] = "wrong_state"

    def wire(self) -> list[Any]:
        return [self.wire_name, [str(self), self.code]]


class WrongInput(PrereqError):
    http_status, code = 400, "wrong_input"


class WrongState(PrereqError):
    code = "wrong_state"


class NotFound(PrereqError):
    text, http_status, code = "{kind} '{name}' not known", 404, "unknown_entity"


class AlreadyExists(PrereqError):
    text, code = "{kind} '{name}' already exists", "already_exists"


class NotUnique(PrereqError):
    code = "resource_not_unique"


class NoResources(PrereqError):
    code = "insufficient_resources"


class NoResourcesNow(PrereqError):
    code, may_pass = "temp_insufficient_resources", True


class BadEnvironment(PrereqError):
    code = "environment_error"


class CannotResolve(PrereqError):
    text, code = "can't resolve hostname '{name}'", "resolver_error"


class ExecError(Error):
    wire_name = "OpExecError"


class CommandFailed(ExecError):
    text = "{command} ended with status {status}: {output}"


class NodeError(ExecError):
    text, http_status = "node {node}: {detail}", 502


class NodeUnreachable(NodeError):
    text, http_status, may_pass = "node {node} did not answer {call}: {detail}", 504, True


class NodeRefused(NodeError):
    text = "node {node} refused {call}: {detail}"


class StaleTerm(NodeRefused):
    text = "term {ours} is older than {theirs}: this node is no longer master"


class HypervisorError(ExecError):
    """A hypervisor, or a guest, did not do what it was asked for."""


class StorageError(ExecError):
    """A disk could not be made, opened or removed."""


class StaleOwner(StorageError):
    text = ("{disk} was opened by a newer owner (epoch {theirs}, ours is {ours}); "
            "the instance runs or ran elsewhere, see gnt-instance info")


class JobQueueError(Error):
    http_status, wire_name = 409, "JobQueueError"


class JobStateError(JobQueueError):
    text = "a {state} job cannot take the event {event}"


class JobLost(JobQueueError):
    text, http_status, wire_name = "Job {job} not found", 404, "JobLost"


class QueueDrained(JobQueueError):
    text, http_status = "the job queue is drained, it does not accept new jobs", 503
    wire_name = "JobQueueDrainError"


class HooksAbort(Error):
    """`results`: list of [node, script, output]."""

    text, http_status, wire_name = "hooks execution failed: {results}", 409, "HooksAbort"

    def wire(self) -> list[Any]:
        return [self.wire_name, [self.facts["results"]]]


class LuxiError(Error):
    http_status, wire_name = 502, "LuxiError"


class RemoteError(Error):
    """An error that came over the LUXI wire: facts `name` (class) and `args` (its arguments)."""

    text = "{message}"

    def __init__(self, *, name: str, args: list[Any]) -> None:
        super().__init__(name=name, args=args, message=str(args[0]) if args else name)

    def wire(self) -> list[Any]:
        return [self.facts["name"], self.facts["args"]]
