# SPDX-License-Identifier: BSD-2-Clause
"""Cluster data from the master daemon of this machine (`-L`): four queries on one connection."""

from typing import Any, Protocol

from hbal.errors import LoadError
from hbal.load.cluster import assemble
from hbal.load.fields import Fields
from hbal.model import ClusterData

NODE_FIELDS = ("name", "mtotal", "mnode", "mfree", "dtotal", "dfree", "ctotal", "cnos", "offline", "drained",
               "vm_capable", "ndp/spindle_count", "group.uuid", "tags", "ndp/exclusive_storage", "sptotal", "spfree",
               "ndp/cpu_speed")
INSTANCE_FIELDS = ("name", "disk_usage", "be/memory", "be/vcpus", "status", "pnode", "snodes", "tags",
                   "be/auto_balance", "disk_template", "be/spindle_use", "disk.sizes", "disk.spindles", "forthcoming")
GROUP_FIELDS = ("uuid", "name", "alloc_policy", "ipolicy", "tags")
LIVE = frozenset({"mtotal", "mnode", "mfree", "dtotal", "dfree", "ctotal", "cnos", "sptotal", "spfree"})
OPTIONAL = frozenset({"dtotal", "dfree", "spfree"})
"""May be missing on live nodes too."""
NORMAL = 0
NESTED = {"ndp": "ndparams", "be": "beparams"}


class Caller(Protocol):
    """What the loader needs of a LUXI client."""

    def call(self, method: str, args: list[Any], /) -> Any: ...


def load(socket: str = "") -> ClusterData:
    """The cluster behind a socket, by default that of the master daemon; raises LoadError."""
    from gantry.errors import Error as ClusterError
    from gantry.luxi.client import Client

    try:
        with Client(socket or None) as client:
            return read(client)
    except (ClusterError, OSError) as err:
        raise LoadError(str(err)) from err


def read(client: Caller) -> ClusterData:
    """Ask `client` and understand the answers."""
    nodes = _query(client, "node", NODE_FIELDS)
    instances = _query(client, "instance", INSTANCE_FIELDS)
    info = Fields(client.call("QueryClusterInfo", []), "invalid cluster info")
    groups = _query(client, "group", GROUP_FIELDS)
    return assemble(groups, nodes, instances, info, cpu_speeds=True)


def _query(client: Caller, resource: str, fields: tuple[str, ...]) -> list[Fields]:
    answer = Fields(client.call("Query", [resource, [*fields], None]), f"invalid answer about {resource}s")
    return [_record(row, resource, fields) for row in answer.array("data")]


def _record(row: Any, resource: str, fields: tuple[str, ...]) -> Fields:
    """A row as an object; fields that have no value are refused where one must have it."""
    try:
        cells = {name: (status, value) for name, (status, value) in zip(fields, row, strict=True)}
    except (TypeError, ValueError) as err:
        raise LoadError(f"invalid answer about {resource}s: a row does not have {len(fields)} fields") from err
    name = cells["name"][1]
    excused = OPTIONAL if resource == "node" else frozenset()
    if resource == "node" and (cells["offline"][1] or not cells["vm_capable"][1]):
        excused = LIVE
    elif resource == "node" and not cells["ndp/exclusive_storage"][1]:
        excused = OPTIONAL | {"sptotal"}
    content: dict[str, Any] = {}
    for field, (status, value) in cells.items():
        if status != NORMAL and field not in excused:
            raise LoadError(f"{resource} '{name}' has no value for {field} (status {status})")
        _put(content, field, value if status == NORMAL else None)
    return Fields(content, f"invalid data for {resource} '{name}'")


def _put(content: dict[str, Any], field: str, value: Any) -> None:
    """Set a field, `be/memory` as `memory` of `beparams`; values that are not there are left out."""
    family, slash, name = field.partition("/")
    if value is None:
        return
    if slash:
        content.setdefault(NESTED[family], {})[name] = value
    else:
        content[field] = value
