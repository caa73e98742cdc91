# SPDX-License-Identifier: BSD-2-Clause
"""The description of the remote API (OpenAPI 3.1), made from what is declared, and a page to read it."""

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

import gantry
from gantry.rapi import schemas
from gantry.rapi.access import Need
from gantry.rapi.endpoint import STREAM, TAG, Argument, Endpoint, Schema, look
from gantry.rapi.objects import FILTERS, GROUPS, INSTANCES, JOB_BULK, NETWORKS, NODES
from gantry.rapi.of_instances import CREATE, VERSION
from gantry.rapi.of_jobs import JOBS, RESOURCES
from gantry.rapi.request import Raw

FAILURES = (400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 500, 501, 502, 503, 504)
_NAME: Schema = {"type": "string", "pattern": r"^[A-Za-z0-9_.-]+$"}
_NUMBER: Schema = {"type": "integer", "minimum": 0}
_HEADER = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "minLength": 1, "maxLength": 255,
                                                                 "pattern": "^[!-~]+$"},
           "description": "the same request sent again with the same key submits nothing more"}


def description(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Streams are not among the paths: a program that tries all of those would wait for their end for ever."""
    paths: dict[str, dict[str, Any]] = {}
    streams: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        for path, operation in _operations(endpoint):
            kind = streams if endpoint.content == STREAM else paths
            kind.setdefault(path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Gantry remote API", "version": gantry.__version__,
                 "description": "Version 2 of the remote API.  Answers are JSON; a request that changes something "
                                "answers with the id of a job, see /2/jobs.  What answers without an end, as "
                                "server-sent events, is described under x-streams."},
        "paths": dict(sorted(paths.items())), "x-streams": streams,
        "components": {
            "schemas": {kind.name: schemas.of_object(kind.name, kind.fields)
                        for kind in (INSTANCES, NODES, GROUPS, NETWORKS, FILTERS, JOBS)}
            | {"job_bulk": schemas.of_object("job", JOB_BULK), "error": _ERROR},
            "responses": {"failure": {"description": "What was wrong.", "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/error"}}}}},
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"},
                                "token": {"type": "http", "scheme": "bearer"}},
        },
    }


_ERROR: Schema = {"type": "object", "required": ["code", "message", "explain"], "properties": {
    "code": {"type": "integer"}, "message": {"type": "string"}, "explain": {"type": "string"}}}


def _operations(endpoint: Endpoint) -> list[tuple[str, dict[str, Any]]]:
    """What may stand in the place of `{what}` is a path of its own."""
    if "{what}" not in endpoint.path:
        return [(endpoint.path.replace(":int}", "}"), _operation(endpoint, ""))]
    return [(endpoint.path.replace("{what}", what), _operation(endpoint, what)) for what in RESOURCES]


def _operation(endpoint: Endpoint, what: str) -> dict[str, Any]:
    parameters = [*_path_parameters(endpoint), *map(_argument, endpoint.query)]
    if endpoint.need is Need.WRITE and endpoint.method != "GET":
        parameters.append(_HEADER)
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}_{endpoint.resource or 'root'}" + (f"_{what}" if what else ""),
        "summary": endpoint.doc, "parameters": parameters,
        "responses": {"200": {"description": "Done.", "content": {endpoint.content: {"schema": endpoint.answer}}}}
        | {str(code): {"$ref": "#/components/responses/failure"} for code in FAILURES},
        "security": [{"basic": []}, {"token": []}, *([{}] if endpoint.need is Need.NOTHING else [])],
    }
    body = _body(endpoint)
    if body is not None:
        needed = bool(body.get("required")) or body.get("type") == "string"
        operation["requestBody"] = {"required": needed, "content": {"application/json": {"schema": body}}}
    if endpoint.path == "/":
        operation["operationId"] = "get_start"
    return operation


def _body(endpoint: Endpoint) -> Schema | None:
    if endpoint.job is None:
        return endpoint.body
    schema = schemas.body_of(endpoint.job)
    if schema is None or endpoint.path not in ("/2/instances", "/2/instances-multi-alloc"):
        return schema
    if endpoint.path == "/2/instances":
        version = {VERSION: {"type": "integer", "enum": [1], "description": "version of this body"}}
        return schema | {"properties": version | schema["properties"], "required": [VERSION, *schema["required"]]}
    one = schemas.of_opcode(_create(), {"OP_ID"}, {new: old for old, new in CREATE.items()})
    instances = {"type": "array", "items": one, "description": "bodies as for /2/instances"}
    return schema | {"properties": schema["properties"] | {"instances": instances}}


def _create() -> Any:
    from gantry.opcodes.instance import InstanceCreate

    return InstanceCreate


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    names = [part.strip("{}").partition(":") for part in endpoint.path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": _NUMBER if kind else _NAME}
            for name, _, kind in names if name != "what"]


def _argument(argument: Argument) -> dict[str, Any]:
    """A blank value of one that may be left out is as if it were left out."""
    schema: Schema = {"type": "string"} | ({"minLength": 1} if argument.needed else {})
    if argument.flag:
        schema = {"type": "integer", "enum": [0, 1]}
    elif argument.values:
        schema = {"type": "string", "enum": list(argument.values)}
    elif argument.many:
        schema = {"type": "array", "minItems": 1, "items": schemas.TAG if argument is TAG else schema}
    return {"name": argument.name, "in": "query", "required": argument.needed, "description": argument.doc,
            "schema": schema}


# --- the page -----------------------------------------------------------------------------------------

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Gantry remote API</title><style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em; color: #222 }}
summary {{ cursor: pointer; padding: .3em 0 }} summary code {{ font-weight: 600 }}
details {{ border-bottom: 1px solid #ddd }} table {{ border-collapse: collapse; margin: .5em 0 1em }}
td, th {{ text-align: left; vertical-align: top; padding: .15em 1em .15em 0 }} th {{ color: #666; font-weight: 500 }}
.m {{ display: inline-block; width: 4.5em; color: #06c; font-weight: 600 }} .n {{ color: #666 }}
</style></head><body><h1>Gantry remote API</h1>
<p>Made from <a href="/2/openapi.json">/2/openapi.json</a>. Requests and answers are JSON; a request that changes
something answers with the id of a job. "write" needs a user or token with that right.</p>
{operations}
<h2>Objects</h2>
{objects}
</body></html>
"""


def page(described: dict[str, Any], endpoints: Sequence[Endpoint]) -> bytes:
    needs = {(endpoint.method.lower(), endpoint.path.replace(":int}", "}")): endpoint.need for endpoint in endpoints}
    operations = [_shown(path, method, operation, needs.get((method, path)))
                  for path, methods in (described["paths"] | described["x-streams"]).items()
                  for method, operation in methods.items()]
    objects = [f"<details><summary><code>{html.escape(name)}</code></summary>{_table(schema)}</details>"
               for name, schema in described["components"]["schemas"].items()]
    return _PAGE.format(operations="\n".join(operations), objects="\n".join(objects)).encode()


def _shown(path: str, method: str, operation: dict[str, Any], need: Need | None) -> str:
    rows = [(item["name"], item["in"], item.get("description", "")) for item in operation["parameters"]]
    parts = [f'<details><summary><span class="m">{method.upper()}</span> <code>{html.escape(path)}</code> '
             f'{html.escape(operation["summary"])} <span class="n">{need.value if need else "read"}</span></summary>']
    if rows:
        parts.append("<table><tr><th>argument</th><th>in</th><th></th></tr>" + "".join(map(_row, rows)) + "</table>")
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        parts.append("<div>Body:</div>" + _table(body))
    return "".join([*parts, "</details>"])


def _table(schema: Schema) -> str:
    needed = set(schema.get("required", ()))
    rows = [(name, "needed" if name in needed else "", item.get("description", ""))
            for name, item in schema.get("properties", {}).items()]
    if not rows:
        return f"<pre>{html.escape(json.dumps(schema))}</pre>"
    return "<table>" + "".join(map(_row, rows)) + "</table>"


def _row(cells: Iterable[str]) -> str:
    first, *others = map(html.escape, cells)
    return f"<tr><td><code>{first}</code></td>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"


class Description:
    """Made when first asked for."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = [*endpoints, *self.endpoints()]
        self._json = self._page = b""

    def endpoints(self) -> list[Endpoint]:
        return [
            look("/2/openapi.json", "This description.", lambda request: Raw(self.json()), name="openapi",
                 answer={"type": "object"}),
            look("/2/docs", "This description, to read.", lambda request: Raw(self.page(), "text/html; charset=utf-8"),
                 name="docs", answer={"type": "string"}, content="text/html"),
        ]

    def json(self) -> bytes:
        if not self._json:
            self._json = json.dumps(description(self._endpoints), default=list).encode() + b"\n"
        return self._json

    def page(self) -> bytes:
        if not self._page:
            self._page = page(json.loads(self.json()), self._endpoints)
        return self._page
