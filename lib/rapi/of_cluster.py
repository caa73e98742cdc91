# SPDX-License-Identifier: BSD-2-Clause
"""Resources of the cluster as a whole, and of its operating systems."""

from typing import Any

from gantry.opcodes.cluster import ClusterRedistConf, ClusterSetParams, OsDiagnose
from gantry.rapi.endpoint import BULK, Endpoint, checked, job, look, submit, tags
from gantry.rapi.failures import HttpError
from gantry.rapi.request import Request
from gantry.utils.clock import SYSTEM

FEATURES = ["instance-create-reqv1", "instance-reinstall-reqv1", "node-migrate-reqv1", "node-evac-res1"]
RAPI_VERSION = 2
ALIASES = {"vg_name": "volume_group_name", "drbd_helper": "drbd_usermode_helper"}
OS_BULK = ("name", "valid", "variants", "parameters", "api_versions", "blacklisted", "hidden", "trusted")
MOST_SECONDS = 170.0
POLL_SECONDS = 1
"""How long the wait for a job goes on without a look at whether the client is still there."""
FINAL = ("success", "error", "canceled")


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
    """Runs a job, and cancels it when the client hangs up."""
    bulk = request.flag("bulk")
    fields = OS_BULK if bulk else ("name", "variants")
    id = submit(request, [checked(OsDiagnose, {
        "output_fields": list(fields), "names": [], "priority": -10})])
    rows = _result(request, id)
    if bulk:
        return [_os_object(dict(zip(fields, row, strict=True))) for row in rows]
    return [full for name, variants in rows for full in ([f"{name}+{variant}" for variant in variants] or [name])]


def _os_object(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"parameters": [{"name": name, "description": text} for name, text in row["parameters"]]}


def _result(request: Request, id: int) -> Any:
    """The result of a job of one opcode that must succeed."""
    status: list[Any] | None = None
    end = SYSTEM.now() + MOST_SECONDS
    while status is None or status[0] not in FINAL:
        answer = request.door.call("WaitForJobChange", [id, ["status"], status, None, POLL_SECONDS])
        status = answer[0] if isinstance(answer, list) else status
        if request.gone() or SYSTEM.now() > end:
            request.door.call("CancelJob", [id])
            raise HttpError(504, f"Job {id} was given up: it took too long, or the client hung up")
    (result,), = request.door.call("QueryJobs", [[id], ["opresult"]])
    if status[0] != "success":
        raise HttpError(500, f"Job {id} ended with status {status[0]}: {result[0]}")
    return result[0]


TEXT = {"type": "string"}

ENDPOINTS: list[Endpoint] = [
    look("/", "The root of all resources; nothing is there.", _nothing, answer={"type": "null"}),
    look("/2", "The root of version 2; nothing is there.", _nothing, answer={"type": "null"}),
    look("/version", "The version of this interface.", lambda request: RAPI_VERSION, name="version",
         answer={"type": "integer"}),
    look("/2/info", "The cluster: versions, defaults, policies.", _info, answer={"type": "object"}),
    look("/2/features", "What this interface can do beyond its first release.", lambda request: FEATURES,
         answer={"type": "array", "items": TEXT}),
    look("/2/os", "Operating systems that can be installed.", _os_list, query=(BULK,), ops=(OsDiagnose,),
         answer={"type": "array", "items": {"type": ["string", "object"]}}),
    job("PUT", "/2/redistribute-config", ClusterRedistConf, {}, takes_body=False, name="redist_config"),
    job("PUT", "/2/modify", ClusterSetParams, {}, prepare=_modify, name="cluster_modify"),
    *tags("/2/tags", "cluster", lambda request: ""),
]
