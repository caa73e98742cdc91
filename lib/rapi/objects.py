# SPDX-License-Identifier: BSD-2-Clause
"""The objects that resources answer with: their fields, in the words of the query layer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gantry.rapi.endpoint import BULK, Endpoint, look
from gantry.rapi.failures import HttpError
from gantry.rapi.request import Raw, Request

COMMON = ("ctime", "mtime", "uuid", "serial_no", "tags")
INSTANCE = ("name", "admin_state", "os", "pnode", "snodes", "disk_template", "nic.ips", "nic.macs", "nic.modes",
            "nic.uuids", "nic.names", "nic.links", "nic.networks", "nic.networks.names", "nic.bridges", "network_port",
            "disk.sizes", "disk.spindles", "disk_usage", "disk.uuids", "disk.names", "beparams", "hvparams",
            "oper_state", "oper_ram", "oper_vcpus", "status", "custom_hvparams", "custom_beparams", "custom_nicparams",
            "custom_osparams", *COMMON)
NODE = ("name", "offline", "master_candidate", "drained", "dtotal", "dfree", "sptotal", "spfree", "mtotal", "mnode",
        "mfree", "pinst_cnt", "sinst_cnt", "ctotal", "cnos", "cnodes", "csockets", "pip", "sip", "role", "pinst_list",
        "sinst_list", "master_capable", "vm_capable", "ndparams", "group.uuid", *COMMON)
GROUP = ("alloc_policy", "name", "node_cnt", "node_list", "ipolicy", "custom_ipolicy", "diskparams",
         "custom_diskparams", "ndparams", "custom_ndparams", *COMMON)
NETWORK = ("name", "network", "gateway", "network6", "gateway6", "mac_prefix", "free_count", "reserved_count", "map",
           "group_list", "inst_list", "external_reservations", *COMMON)
JOB_BULK = ("id", "ops", "status", "summary", "opstatus", "received_ts", "start_ts", "end_ts")
JOB = (*JOB_BULK, "oplog", "opresult")
FILTER = ("watermark", "priority", "predicates", "action", "reason_trail", "uuid")
LOCK = False


@dataclass(frozen=True)
class Kind:
    """`method`: the call that lists it; `key`: the field that its address ends with; `listed`: the name of that field
    in short lists.
    """

    name: str
    folder: str
    method: str
    fields: tuple[str, ...]
    key: str = "name"
    listed: str = "name"

    def rows(self, request: Request, names: Sequence[Any], fields: Sequence[str]) -> list[list[Any]]:
        locking = [] if self.name in ("job", "filter") else [LOCK]
        found: list[list[Any]] = request.door.call(self.method, [list(names), list(fields), *locking])
        return found

    def one(self, request: Request, name: Any) -> dict[str, Any]:
        """The object of that name; raises HttpError 404."""
        rows = self.rows(request, [name], self.fields)
        if not rows:
            raise HttpError(404, f"{self.name.capitalize()} '{name}' not found")
        return dict(zip(self.fields, rows[0], strict=True))

    def all(self, request: Request) -> "list[dict[str, Any]] | Raw":
        return [dict(zip(self.fields, row, strict=True)) for row in self.rows(request, [], self.fields)]

    def short(self, request: Request) -> list[dict[str, Any]]:
        return [{self.listed: row[0], "uri": f"/2/{self.folder}/{row[0]}"}
                for row in self.rows(request, [], [self.key])]


ANSWER = re.compile(rb'\{"version": "([^"]*)", "objects": ')


class Instances(Kind):
    """The master daemon keeps their objects as text, and says when the text that was sent last still holds."""

    _whole: tuple[str | None, bytes] = (None, b"")

    def one(self, request: Request, name: Any) -> dict[str, Any]:
        found = request.door.call(self.method, [[name], list(self.fields), None])["objects"]
        if not found:
            raise HttpError(404, f"Instance '{name}' not found")
        first: dict[str, Any] = found[0]
        return first

    def all(self, request: Request) -> Raw:
        version, body = self._whole
        text = request.door.raw(self.method, [None, list(self.fields), version])
        start = ANSWER.match(text)
        if start is None:
            raise HttpError(502, "The master daemon's answer makes no sense")
        if text[start.end():] != b"null}":
            body = text[start.end():-1] + b"\n"
            object.__setattr__(self, "_whole", (start[1].decode(), body))
        return Raw(body)

    def short(self, request: Request) -> list[dict[str, Any]]:
        rows = request.door.call("QueryInstances", [[], [self.key], LOCK])
        return [{self.listed: row[0], "uri": f"/2/{self.folder}/{row[0]}"} for row in rows]


INSTANCES = Instances("instance", "instances", "QueryInstanceObjects", INSTANCE, listed="id")
NODES = Kind("node", "nodes", "QueryNodes", NODE, listed="id")
GROUPS = Kind("group", "groups", "QueryGroups", GROUP)
NETWORKS = Kind("network", "networks", "QueryNetworks", NETWORK)
FILTERS = Kind("filter", "filters", "QueryFilters", FILTER, key="uuid", listed="uuid")


def lists(kind: Kind) -> Endpoint:
    """All objects of a kind, short or whole."""
    def run(request: Request) -> Any:
        request.no_locks()
        return kind.all(request) if request.flag("bulk") else kind.short(request)
    return look(f"/2/{kind.folder}", f"All {kind.folder}, by name and address, or whole with bulk=1.", run,
                query=(BULK,), answer={"anyOf": [short_list(kind), {"type": "array", "items": reference(kind)}]})


def single(kind: Kind, where: str) -> Endpoint:
    def run(request: Request) -> Any:
        request.no_locks()
        return kind.one(request, request.names["name"])
    return look(where, f"One of the {kind.folder}.", run, answer=reference(kind))


def reference(kind: Kind) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{kind.name}"}


def short_list(kind: Kind) -> dict[str, Any]:
    key = {"type": "integer"} if kind.name == "job" else {"type": "string"}
    properties = {kind.listed: key, "uri": {"type": "string"}}
    return {"type": "array", "items": {"type": "object", "required": [kind.listed, "uri"], "properties": properties}}
