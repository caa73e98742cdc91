# SPDX-License-Identifier: BSD-2-Clause
"""Resources of instances."""

from typing import Any

from gantry.opcodes import backup, instance
from gantry.rapi.access import Need
from gantry.rapi.endpoint import (
    DRY_RUN,
    FORCE,
    JOB_ID,
    REASON,
    Argument,
    Endpoint,
    Source,
    always,
    checked,
    flag,
    job,
    look,
    number,
    path,
    renamed,
    submit,
    tags,
    text,
)
from gantry.rapi.failures import HttpError, bad_request
from gantry.rapi.objects import INSTANCES, lists, single
from gantry.rapi.request import Request, only_keys

VERSION = "__version__"
CREATE = {"os": "os_type", "name": "instance_name"}
CUSTOM = {"custom_beparams": "beparams", "custom_hvparams": "hvparams"}
STATIC = Argument(name="static", flag=True, doc="1: ask no node, leave live parts null")
REBOOT = Argument(name="type", doc="how", values=("soft", "hard", "full"))
SECONDARIES = Argument(name="ignore_secondaries", flag=True, doc="1: go on although secondary disks fail")
FORGET = Argument(name="no_remember", flag=True, doc="1: do not record the new state")
IGNORE_SIZE = Argument(name="ignore_size", flag=True, doc="1: take disks with the size they are found with")
OLD_OS = Argument(name="os", doc="instead of a body: the operating system")
OLD_NOSTARTUP = Argument(name="nostartup", flag=True, doc="instead of a body: 1 leaves it down")
OLD_REPLACE = tuple(Argument(name=name, doc="instead of a body: as there")
                    for name in ("mode", "disks", "remote_node", "iallocator"))
_NAME = {"instance_name": path()}
_DRY = {"dry_run": flag(DRY_RUN)}


def _usb(values: dict[str, Any]) -> dict[str, Any]:
    """The list of USB devices may be written with spaces."""
    for name in ("hvparams", "custom_hvparams"):
        params = values.get(name)
        if isinstance(params, dict) and isinstance(params.get("usb_devices"), str):
            values[name] = params | {"usb_devices": params["usb_devices"].replace(" ", ",")}
    return values


def _create(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    version = body.pop(VERSION, 0)
    if version == 0:
        raise bad_request("Instance creation request version 0 is no longer supported")
    if version != 1 or isinstance(version, bool):
        raise bad_request(f"Unsupported request data version {version}")
    return _usb(body)


def _several(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    items = body.get("instances", [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise bad_request("Invalid body parameters: instances must be a list of objects")
    ops = []
    for item in items:
        given = {name: value for name, value in item.items() if name != VERSION}
        ops.append(checked(instance.InstanceCreate, renamed(_usb(given), CREATE)))
    return body | {"instances": ops}


def _modify(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    return _usb(body)


def _reinstall(request: Request) -> int:
    """Stop, install again and start as one job; what to install may stand in the query, as it once did."""
    body = request.object()
    only_keys(body, ("os", "start", "osparams", "osparams_private"))
    system, start = body.get("os", request.text("os")), body.get("start", not request.flag("nostartup"))
    if not isinstance(start, bool):
        raise bad_request("Invalid body parameters: start must be true or false")
    name = {"instance_name": request.names["name"]}
    install = {key: body[key] for key in ("osparams", "osparams_private") if body.get(key) is not None}
    ops = [checked(instance.InstanceShutdown, name),
           checked(instance.InstanceReinstall, name | install | ({} if system is None else {"os_type": system}))]
    if start:
        ops.append(checked(instance.InstanceStartup, name))
    return submit(request, ops)


def _replace_disks(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    if not body:
        body = {item.name: value for item in OLD_REPLACE if (value := request.text(item.name)) is not None}
    disks = body.get("disks")
    if isinstance(disks, str):
        try:
            body["disks"] = [int(part) for part in disks.split(",")] if disks else []
        except ValueError as err:
            raise bad_request(f"Invalid disk index passed: {err}") from err
    elif disks is None:
        body.pop("disks", None)
    return body


def _console(request: Request) -> Any:
    name = request.names["name"]
    answer = request.door.call("Query", ["instance", ["console", "oper_state"], ["|", ["=", "name", name]]])
    if not answer["data"]:
        raise HttpError(404, f"Instance '{name}' not found")
    (_, console), (_, running) = answer["data"][0]
    if not running or console is None:
        raise HttpError(503, "Instance console unavailable")
    return {key: value for key, value in console.items() if value not in (None, "", [])}


_INSTALL: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": {
    "os": {"type": ["string", "null"], "minLength": 1}, "start": {"type": "boolean"},
    "osparams": {"type": ["object", "null"]},
    "osparams_private": {"type": ["object", "null"], "additionalProperties": {"type": "string"}}}}

ENDPOINTS: list[Endpoint] = [
    lists(INSTANCES),
    job("POST", "/2/instances", instance.InstanceCreate, _DRY, rename=CREATE, prepare=_create),
    job("POST", "/2/instances-multi-alloc", instance.InstanceMultiAlloc, _DRY, prepare=_several),
    single(INSTANCES, "/2/instances/{name}"),
    job("DELETE", "/2/instances/{name}", instance.InstanceRemove,
        _NAME | _DRY | {"ignore_failures": always(value=False)}),
    job("GET", "/2/instances/{name}/info", instance.InstanceQueryData, {
        "instances": Source(lambda request: [request.names["name"]]), "static": flag(STATIC)},
        takes_body=False, need=Need.NOTHING),
    job("POST", "/2/instances/{name}/reboot", instance.InstanceReboot, _NAME | _DRY | {
        "reboot_type": text(REBOOT, "hard"), "ignore_secondaries": flag(SECONDARIES)}),
    job("PUT", "/2/instances/{name}/shutdown", instance.InstanceShutdown, _NAME | _DRY | {"no_remember": flag(FORGET)}),
    job("PUT", "/2/instances/{name}/startup", instance.InstanceStartup, _NAME | _DRY | {
        "force": flag(FORCE), "no_remember": flag(FORGET)}, takes_body=False),
    Endpoint(method="POST", path="/2/instances/{name}/reinstall", need=Need.WRITE, run=_reinstall,
             doc="Stop, install the operating system again, start.",
             ops=(instance.InstanceShutdown, instance.InstanceReinstall, instance.InstanceStartup),
             query=(OLD_OS, OLD_NOSTARTUP, REASON), body=_INSTALL, answer=JOB_ID),
    job("POST", "/2/instances/{name}/replace-disks", instance.InstanceReplaceDisks, _NAME, prepare=_replace_disks,
        query=OLD_REPLACE),
    job("PUT", "/2/instances/{name}/activate-disks", instance.InstanceActivateDisks,
        _NAME | {"ignore_size": flag(IGNORE_SIZE)}),
    job("PUT", "/2/instances/{name}/deactivate-disks", instance.InstanceDeactivateDisks, _NAME),
    job("POST", "/2/instances/{name}/recreate-disks", instance.InstanceRecreateDisks, _NAME),
    job("POST", "/2/instances/{name}/disk/{disk:int}/grow", instance.InstanceGrowDisk,
        _NAME | {"disk": number("disk")}),
    job("PUT", "/2/instances/{name}/prepare-export", backup.BackupPrepare, _NAME | {
        "mode": text(Argument(name="mode", needed=True, doc="where to", values=("local", "remote")))}),
    job("PUT", "/2/instances/{name}/export", backup.BackupExport, _NAME, rename={"destination": "target_node"}),
    job("DELETE", "/2/instances/{name}/export", backup.BackupRemove, _NAME, takes_body=False),
    job("PUT", "/2/instances/{name}/migrate", instance.InstanceMigrate, _NAME),
    job("PUT", "/2/instances/{name}/failover", instance.InstanceFailover, _NAME),
    job("PUT", "/2/instances/{name}/rename", instance.InstanceRename, _NAME),
    job("PUT", "/2/instances/{name}/modify", instance.InstanceSetParams, _NAME, rename=CUSTOM, prepare=_modify),
    look("/2/instances/{name}/console", "How to reach its console.", _console, need=Need.READ,
         answer={"type": "object", "required": ["instance", "kind"], "properties": {
             "instance": {"type": "string"}, "kind": {"type": "string", "enum": ["ssh", "vnc", "spice", "msg"]}}}),
    *tags("/2/instances/{name}/tags", "instance", lambda request: request.names["name"]),
]
