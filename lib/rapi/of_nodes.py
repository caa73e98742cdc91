# SPDX-License-Identifier: BSD-2-Clause
"""Resources of nodes."""

from typing import Any

from gantry.opcodes import node
from gantry.rapi.access import Need
from gantry.rapi.endpoint import (
    DRY_RUN,
    FORCE,
    JOB_ID,
    REASON,
    Argument,
    Endpoint,
    Source,
    checked,
    flag,
    job,
    listed,
    look,
    path,
    submit,
    tags,
    text,
)
from gantry.rapi.failures import HttpError, bad_request
from gantry.rapi.objects import NODES, lists, reference
from gantry.rapi.request import Request

ROLES = {"M": "master", "C": "master-candidate", "R": "regular", "D": "drained", "O": "offline"}
FLAGS = {"regular": "", "master-candidate": "master_candidate", "drained": "drained", "offline": "offline"}
AUTO_PROMOTE = Argument(name="auto-promote", flag=True, doc="1: let other nodes become candidates in its place")
STORAGE = Argument(name="storage_type", needed=True, doc="type of storage",
                   values=("file", "sharedfile", "gluster", "lvm-vg", "lvm-pv", "blockdev", "diskless", "rados", "ext"))
FIELDS = Argument(name="output_fields", needed=True, doc="names of columns, separated by commas")
UNIT = Argument(name="name", needed=True, doc="name of the storage unit")
ALLOCATABLE = Argument(name="allocatable", flag=True, doc="whether new volumes may be put there")
LIVE = Argument(name="live", flag=True, doc="old form of mode, instead of a body: 1 is live, 0 is non-live")
MODE = Argument(name="mode", doc="instead of a body: live or non-live", values=("live", "non-live"))
_NODE = {"node_name": path()}
_DRY = {"dry_run": flag(DRY_RUN)}


def _single(request: Request) -> Any:
    request.no_locks()
    found = NODES.one(request, request.names["name"])
    return found | {"secondary_ip": found["sip"]}


def _role(request: Request) -> str:
    request.no_locks()
    rows = NODES.rows(request, [request.names["name"]], ["role"])
    if not rows:
        raise HttpError(404, f"Node '{request.names['name']}' not found")
    return ROLES[rows[0][0]]


def _set_role(request: Request) -> int:
    role = request.body
    if not isinstance(role, str):
        raise bad_request("Invalid body contents, not a string")
    if role not in FLAGS:
        raise bad_request(f"Invalid role '{role}', valid are: {', '.join(FLAGS)}")
    flags = {name: name == FLAGS[role] for name in FLAGS.values() if name} if role == "regular" else {FLAGS[role]: True}
    return submit(request, [checked(node.NodeSetParams, {
        "node_name": request.names["name"], "force": request.flag("force"),
        "auto_promote": request.flag("auto-promote"), **flags})])


def _migrate(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """The old form says in the query how."""
    live, mode = request.text("live"), request.text("mode")
    if live is None and mode is None:
        return body
    if live is not None and mode is not None:
        raise bad_request("Only one of 'live' and 'mode' should be passed")
    return {"mode": mode if live is None else "live" if request.flag("live") else "non-live"}


def _changes(request: Request) -> dict[str, bool]:
    return {"allocatable": request.flag("allocatable")} if request.text("allocatable") is not None else {}


ENDPOINTS: list[Endpoint] = [
    lists(NODES),
    look("/2/nodes/{name}", "One of the nodes.", _single, answer={"allOf": [
        reference(NODES), {"type": "object", "properties": {"secondary_ip": {"type": "string"}}}]}),
    job("POST", "/2/nodes/{name}/powercycle", node.NodePowercycle, _NODE | {"force": flag(FORCE)}),
    look("/2/nodes/{name}/role", "What the node is to the cluster.", _role,
         answer={"type": "string", "enum": list(ROLES.values())}),
    Endpoint(method="PUT", path="/2/nodes/{name}/role", need=Need.WRITE, doc="Change what the node is to the cluster.",
             run=_set_role, ops=(node.NodeSetParams,), query=(FORCE, AUTO_PROMOTE, REASON),
             body={"type": "string", "enum": list(FLAGS)}, answer=JOB_ID),
    job("POST", "/2/nodes/{name}/evacuate", node.NodeEvacuate, _NODE | _DRY),
    job("POST", "/2/nodes/{name}/migrate", node.NodeMigrate, _NODE, prepare=_migrate, query=(LIVE, MODE)),
    job("POST", "/2/nodes/{name}/modify", node.NodeSetParams, _NODE),
    job("GET", "/2/nodes/{name}/storage", node.NodeQueryStorage, {
        "nodes": Source(lambda request: [request.names["name"]]), "storage_type": text(STORAGE),
        "output_fields": listed(FIELDS)}, takes_body=False),
    job("PUT", "/2/nodes/{name}/storage/modify", node.NodeModifyStorage, _NODE | {
        "storage_type": text(STORAGE), "name": text(UNIT), "changes": Source(_changes, ALLOCATABLE)}, takes_body=False),
    job("PUT", "/2/nodes/{name}/storage/repair", node.RepairNodeStorage, _NODE | {
        "storage_type": text(STORAGE), "name": text(UNIT)}, takes_body=False),
    *tags("/2/nodes/{name}/tags", "node", lambda request: request.names["name"]),
]
