# SPDX-License-Identifier: BSD-2-Clause
"""What a node reports about itself."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class StorageUnit:
    """Space of one storage unit (folder or volume group), in MiB."""

    kind: str
    name: str
    total: int
    free: int


@dataclass(frozen=True, kw_only=True)
class NodeInfo:
    """Live facts; memory in MiB."""

    boot_id: str
    memory_total: int
    memory_free: int
    memory_node: int
    cpu_total: int
    cpu_sockets: int
    cpu_nodes: int
    storage: tuple[StorageUnit, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Version:
    """Protocol and release of the node daemon, and the highest term the node has seen."""

    protocol: int
    release: str
    node: str
    term: int
    master: str


@dataclass(frozen=True, kw_only=True)
class OsDefinition:
    """An OS definition as found on one node.  `problem` is empty when it is valid."""

    name: str
    path: str
    problem: str = ""
    api_versions: tuple[int, ...] = ()
    variants: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    trusted: bool = True


@dataclass(frozen=True, kw_only=True)
class ExtProvider:
    """A provider of external storage as found on one node.  `problem` is empty when it is valid."""

    name: str
    path: str
    problem: str = ""
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class HookResult:
    """`script` is SUBDIR/NAME; `code`: 0 skipped, 1 failed, 2 success (Ganeti's numbers)."""

    script: str
    code: int
    output: str


@dataclass(frozen=True, kw_only=True)
class NodeProblem:
    """Something `gnt-cluster verify` should report: an E-code and a sentence."""

    code: str
    message: str
    warning: bool = False


@dataclass(frozen=True, kw_only=True)
class DrbdFacts:
    """The kernel's DRBD: its version, the program it calls, and the minors in use."""

    version: str
    helper: str
    minors: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """Answer to `node_verify`: own problems, the running guests, disks found, and the node's clock; `drbd` when it was
    asked for and answers."""

    time: float
    problems: tuple[NodeProblem, ...] = ()
    disk_files: tuple[str, ...] = ()
    task_ids: tuple[str, ...] = ()
    digests: dict[str, str] = field(default_factory=dict)
    drbd: DrbdFacts | None = None


@dataclass(frozen=True, kw_only=True)
class TaskStatus:
    """A node task.  `state`: running, done, failed, canceled or unknown; `fraction` 0..1; `result` is JSON;
    `error` an encoded error when it failed.
    """

    state: str
    fraction: float = 0.0
    message: str = ""
    result: object = None
    error: dict[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class StoreStatus:
    """Where a copy of the store stands.  `serial` -1: no copy.  Copies with the same digest are the same.

    `cluster` is the cluster's UUID.
    """

    term: int
    serial: int
    cluster: str = ""
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class InSync:
    """Which master candidates (UUIDs) hold every acknowledged change, the master among them, as the master of
    `term` said the `number`th time."""

    term: int = 0
    number: int = 0
    nodes: tuple[str, ...] = ()
