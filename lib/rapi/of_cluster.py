# SPDX-License-Identifier: BSD-2-Clause
"""Resources of the cluster as a whole, and of its operating systems."""

from typing import Any

from gantry.opcodes.cluster import ClusterRedistConf, ClusterSetParams
from gantry.rapi.endpoint import BULK, Endpoint, job, look, tags
from gantry.rapi.failures import HttpError
from gantry.rapi.request import Request

FEATURES = ["instance-create-reqv1", "instance-reinstall-reqv1", "node-migrate-reqv1", "node-evac-res1"]
RAPI_VERSION = 2
ALIASES = {"vg_name": "volume_group_name", "drbd_helper": "drbd_usermode_helper"}
OS_BULK = ("name", "valid", "variants", "parameters", "api_versions", "blacklisted", "hidden", "trusted")
OS_METHOD = "QueryOperatingSystems"


def _nothing(request: Request) -> None:
    return None


def _info(request: Request) -> dict[str, Any]:
    info: dict[str, Any] = request.door.call("QueryClusterInfo")
    return info | {alias: info[name] for alias, name in ALIASES.items() if name in info}


def _modify(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    if "compression_tools" in body:
        raise HttpError(403, "The compression tools cannot be set through the remote API")
    return body


def _os_list(request: Request) -> Any:
    if request.flag("bulk"):
        return [_os_object(dict(zip(OS_BULK, row, strict=True))) for row in request.door.call(OS_METHOD, [OS_BULK])]
    rows = request.door.call(OS_METHOD, [["name", "variants"]])
    return [full for name, variants in rows for full in ([f"{name}+{variant}" for variant in variants] or [name])]


def _os_object(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"parameters": [{"name": name, "description": text} for name, text in row["parameters"]]}


TEXT = {"type": "string"}

ENDPOINTS: list[Endpoint] = [
    look("/", "The root of all resources; nothing is there.", _nothing, answer={"type": "null"}),
    look("/2", "The root of version 2; nothing is there.", _nothing, answer={"type": "null"}),
    look("/version", "The version of this interface.", lambda request: RAPI_VERSION, name="version",
         answer={"type": "integer"}),
    look("/2/info", "The cluster: versions, defaults, policies.", _info, answer={"type": "object"}),
    look("/2/features", "What this interface can do beyond its first release.", lambda request: FEATURES,
         answer={"type": "array", "items": TEXT}),
    look("/2/os", "Operating systems that can be installed.", _os_list, query=(BULK,),
         answer={"type": "array", "items": {"type": ["string", "object"]}}),
    job("PUT", "/2/redistribute-config", ClusterRedistConf, {}, takes_body=False, name="redist_config"),
    job("PUT", "/2/modify", ClusterSetParams, {}, prepare=_modify, name="cluster_modify"),
    *tags("/2/tags", "cluster", lambda request: ""),
]
