# SPDX-License-Identifier: BSD-2-Clause
"""JSON schemas of opcodes' parameters and of objects' fields, derived from their declarations."""

import dataclasses
import re
from typing import Any

from gantry.opcodes import types
from gantry.opcodes.base import Kind, OpCode
from gantry.query.fields import Kind as FieldKind
from gantry.query.query import RESOURCES
from gantry.rapi.endpoint import Job, Schema

_TEXT: Schema = {"type": "string"}
TAG: Schema = {**_TEXT, "pattern": "^[A-Za-z0-9_.+*/:@-]+$", "maxLength": 128}


def _rows(*columns: Schema) -> Schema:
    """A list of lists, each with these parts."""
    return {"type": "array", "items": {"type": "array", "prefixItems": list(columns), "minItems": len(columns),
                                       "maxItems": len(columns)}}


_BY_KIND: dict[int, Schema] = {
    id(kind): schema for kind, schema in (
        (types.ANY, {}), (types.BOOL, {"type": "boolean"}), (types.STR, _TEXT),
        (types.NESTR, {**_TEXT, "minLength": 1}), (types.FLOAT, {"type": "number"}),
        (types.SECONDS, {"type": "number", "minimum": 0}),
        (types.DICT, {"type": "object"}), (types.LIST, {"type": "array"}),
        (types.SIZE, {"type": ["integer", "string"]}), (types.TAG, TAG),
        (types.BEPARAMS, {"type": "object"}), (types.DISK, {"type": "object"}),
        (types.IPV4, {**_TEXT, "format": "ipv4"}), (types.IPV6, {**_TEXT, "format": "ipv6"}),
        (types.IPV4_NET, {**_TEXT, "minLength": 1}), (types.IPV6_NET, {**_TEXT, "minLength": 1}),
        (types.PRIORITY, {"type": "integer", "enum": [-10, 0, 10]}), (types.JOB_ID, {"type": ["integer", "string"]}),
        (types.REASON, _rows(_TEXT, _TEXT, {"type": "integer"})),
        (types.DEPENDS, _rows({"type": "integer", "minimum": 1}, {"type": "array", "items": {
            "enum": ["success", "error", "canceled"]}})),
        (types.EXPORT_TARGET, {"type": ["string", "array"]}),
    )}
_INTEGER = re.compile(r"int(?: (?:>= )?(-?\d+)(?:\.\.(-?\d+))?)?")
_WORDS = re.compile(r"[\w-]+(?:\|[\w-]+)*")


def of_kind(kind: Kind) -> Schema:
    """What a value of this type looks like; types of lists and objects are told by their names."""
    known = _BY_KIND.get(id(kind))
    if known is not None:
        return dict(known)
    name = kind.name
    number = _INTEGER.fullmatch(name)
    if number:
        low, high = number[1], number[2]
        return {"type": "integer"} | ({"minimum": int(low)} if low else {}) | ({"maximum": int(high)} if high else {})
    if name.startswith("["):
        return {"type": "array"}
    if name.startswith("{"):
        return {"type": "object"}
    if _WORDS.fullmatch(name) and "|" in name:
        return {"type": "string", "enum": name.split("|")}
    return {"description": name}


def _parameter(field: "dataclasses.Field[Any]") -> Schema:
    kind: Kind = field.metadata["kind"]
    schema = of_kind(kind)
    if field.default is None and schema:
        schema = {"anyOf": [schema, {"type": "null"}]}
    schema["description"] = f"{field.metadata['help']} ({kind.name})"
    if field.default is not dataclasses.MISSING and field.default not in (None, (), types.EMPTY):
        schema["default"] = field.default
    return schema


def of_opcode(opcode: type[OpCode], closed: set[str], names: dict[str, str]) -> Schema:
    """An object of the opcode's parameters but for `closed` ones; `names`: what they are called here."""
    properties: dict[str, Schema] = {}
    required: list[str] = []
    for field in dataclasses.fields(opcode):
        if field.name in closed or field.metadata["hidden"]:
            continue
        shown = names.get(field.name, field.name)
        properties[shown] = _parameter(field)
        if field.default is dataclasses.MISSING:
            required.append(shown)
    schema: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return schema | ({"required": required} if required else {})


def body_of(job: Job) -> Schema | None:
    """What the body of an endpoint may say; None where nothing is read."""
    if not job.takes_body:
        return None
    return of_opcode(job.opcode, job.closed, {new: old for old, new in job.rename.items()})


_FIELDS: dict[FieldKind, list[str]] = {
    FieldKind.TEXT: ["string", "null"], FieldKind.BOOL: ["boolean", "null"], FieldKind.NUMBER: ["integer", "null"],
    FieldKind.FLOAT: ["number", "null"], FieldKind.UNIT: ["integer", "null"], FieldKind.TIMESTAMP: ["number", "null"],
}


def of_object(resource: str, fields: tuple[str, ...]) -> Schema:
    """An object of these fields; every one may be null where its value cannot be had."""
    known = RESOURCES[resource].fields
    properties: dict[str, Schema] = {}
    for name in fields:
        field = known[name]
        types_of = _FIELDS.get(field.kind)
        properties[name] = ({"type": types_of} if types_of else {}) | {"description": field.doc}
    return {"type": "object", "required": list(fields), "properties": properties}
