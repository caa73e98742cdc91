# SPDX-License-Identifier: BSD-2-Clause
"""Resources of jobs, of queries, and of job filters."""

from typing import Any

from gantry.rapi.access import Need
from gantry.rapi.endpoint import BULK, Argument, Endpoint, look
from gantry.rapi.failures import HttpError, bad_request
from gantry.rapi.objects import FILTERS, JOB, JOB_BULK, Kind, reference, short_list
from gantry.rapi.request import Later, Request, only_keys
from gantry.rapi.waits import METHOD

WAIT_SECONDS = 10
RESOURCES = ("node", "instance", "group", "network", "job", "lock", "filter", "export")
FIELDS = Argument(name="fields", doc="names of fields, separated by commas")
WANTED = Argument(name="fields", needed=True, doc=FIELDS.doc)
ACTIONS = ("ACCEPT", "PAUSE", "REJECT", "CONTINUE")
JOBS = Kind("job", "jobs", "QueryJobs", JOB, key="id", listed="id")


def _jobs(request: Request) -> Any:
    if not request.flag("bulk"):
        return JOBS.short(request)
    return [dict(zip(JOB_BULK, row, strict=True)) for row in JOBS.rows(request, [], JOB_BULK)]


def _id(request: Request) -> int:
    try:
        return int(request.names["id"])
    except ValueError as err:  # more digits than a number may have
        raise HttpError(404) from err


def _job(request: Request) -> Any:
    found = JOBS.one(request, _id(request))
    if found["status"] is None:
        raise HttpError(404, f"Job {found['id']} not found")
    return found


def _cancel(request: Request) -> Any:
    return request.door.call("CancelJob", [_id(request)])


def _wait(request: Request) -> Any:
    body = request.object()
    fields, previous, serial = body.get("fields"), body.get("previous_job_info"), body.get("previous_log_serial")
    if not _strings(fields):
        raise bad_request("The 'fields' parameter should be a list of strings")
    if not (previous is None or isinstance(previous, list)):
        raise bad_request("The 'previous_job_info' parameter should be a list")
    if not (serial is None or type(serial) is int):
        raise bad_request("The 'previous_log_serial' parameter should be a number")
    args = [_id(request), fields, previous, serial, WAIT_SECONDS]
    if request.waits is None:
        return _change(request.door.call(METHOD, args))
    request.waits.check_room()
    waits = request.waits
    return Later(lambda waiter: waits.add(args, waiter), _change)


def _change(answer: Any) -> Any:
    return None if answer == "nochange" else {"job_info": answer[0], "log_entries": answer[1]}


def _strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _query(request: Request) -> Any:
    return request.door.call("Query", [request.names["what"], _fields(request), None])


def _query_filtered(request: Request) -> Any:
    body = request.object()
    fields = body["fields"] if "fields" in body else _fields(request)
    if not _strings(fields):
        raise bad_request("The 'fields' parameter should be a list of strings")
    qfilter = body.get("qfilter") if body.get("qfilter") is not None else body.get("filter")
    if not (qfilter is None or isinstance(qfilter, list)):
        raise bad_request("The 'qfilter' parameter should be a list")
    return request.door.call("Query", [request.names["what"], fields, qfilter])


def _fields(request: Request) -> list[str]:
    return [name.strip() for name in request.needed("fields").split(",")]


def _query_fields(request: Request) -> Any:
    wanted = _fields(request) if request.text("fields") is not None else None
    return request.door.call("QueryFields", [request.names["what"], wanted])


def _filters(request: Request) -> Any:
    return FILTERS.all(request) if request.flag("bulk") else FILTERS.short(request)


def _filter(request: Request) -> Any:
    return FILTERS.one(request, request.names["uuid"])


def _replace(request: Request) -> Any:
    """Make a rule, or put another in its place."""
    body = request.object()
    only_keys(body, ("priority", "predicates", "action", "reason"))
    priority, action = body.get("priority", 0), body.get("action", "CONTINUE")
    lists = [body.get("predicates", []), body.get("reason", [])]
    if type(priority) is not int or not all(isinstance(value, list) for value in lists):
        raise bad_request("Invalid body parameters: priority is a number, predicates and reason are lists")
    if action not in ACTIONS and not isinstance(action, list):
        raise bad_request(f"Invalid body parameters: action is one of {', '.join(ACTIONS)} or [\"RATE_LIMIT\", n]")
    return request.door.call("ReplaceFilter", [request.names.get("uuid"), priority, lists[0], action, lists[1]])


def _delete_filter(request: Request) -> Any:
    return request.door.call("DeleteFilter", [request.names["uuid"]])


_TEXT: dict[str, Any] = {"type": "string"}
_LIST: dict[str, Any] = {"type": "array", "items": {}}
_NAMES: dict[str, Any] = {"type": "array", "items": _TEXT}
_ROWS: dict[str, Any] = {"type": "object", "required": ["fields", "data"],
                         "properties": {"fields": _LIST, "data": _LIST}}
_WAIT: dict[str, Any] = {"type": "object", "required": ["fields"], "properties": {
    "fields": _NAMES, "previous_job_info": {"type": ["array", "null"]},
    "previous_log_serial": {"type": ["integer", "null"]}}}
_FILTER: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": {
    "priority": {"type": "integer", "minimum": 0}, "predicates": _LIST,
    "action": {"oneOf": [{"type": "string", "enum": list(ACTIONS)}, {
        "type": "array", "prefixItems": [{"const": "RATE_LIMIT"}, {"type": "integer", "minimum": 1}],
        "minItems": 2, "maxItems": 2}]},
    "reason": _LIST}}
_WANTED: dict[str, Any] = {"type": "object", "properties": {
    "fields": _NAMES, "qfilter": {"type": ["array", "null"]}, "filter": {"type": ["array", "null"]}}}

ENDPOINTS: list[Endpoint] = [
    look("/2/jobs", "All jobs that are not archived, by id and address, or whole with bulk=1.", _jobs, query=(BULK,),
         answer={"anyOf": [short_list(JOBS), {"type": "array", "items": {"$ref": "#/components/schemas/job_bulk"}}]}),
    look("/2/jobs/{id:int}", "One job, archived ones too.", _job, answer=reference(JOBS)),
    Endpoint(method="DELETE", path="/2/jobs/{id:int}", need=Need.WRITE, doc="Cancel a job.", run=_cancel,
             answer={"type": "array", "items": {"type": ["boolean", "string"]}}),
    look("/2/jobs/{id:int}/wait", "Wait until the job changes, ten seconds at most.", _wait, need=Need.WRITE,
         body=_WAIT, answer={"type": ["object", "null"]}),
    look("/2/query/{what}", "A table of any fields.", _query, need=Need.READ, query=(WANTED,), answer=_ROWS),
    Endpoint(method="PUT", path="/2/query/{what}", need=Need.READ, doc="A table of any fields, filtered.",
             run=_query_filtered, query=(FIELDS,), body=_WANTED, answer=_ROWS),
    look("/2/query/{what}/fields", "The fields that a query may ask for.", _query_fields, query=(FIELDS,),
         answer={"type": "object", "required": ["fields"], "properties": {"fields": _LIST}}),
    look("/2/filters", "All job filters.", _filters, query=(BULK,),
         answer={"anyOf": [short_list(FILTERS), {"type": "array", "items": reference(FILTERS)}]}),
    Endpoint(method="POST", path="/2/filters", need=Need.WRITE, doc="Make a job filter.", run=_replace, body=_FILTER,
             answer=_TEXT),
    look("/2/filters/{uuid}", "One job filter.", _filter, answer=reference(FILTERS)),
    Endpoint(method="PUT", path="/2/filters/{uuid}", need=Need.WRITE, doc="Put another job filter in its place.",
             run=_replace, body=_FILTER, answer=_TEXT),
    Endpoint(method="DELETE", path="/2/filters/{uuid}", need=Need.WRITE, doc="Remove a job filter.", run=_delete_filter,
             answer={"type": "null"}),
]
