# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes that look something up as a job."""

from typing import Any

from gantry.opcodes.base import param
from gantry.opcodes.common import Command
from gantry.opcodes.types import BOOL, LIST, RESOURCE, STRINGS


class Query(Command):
    """Query2 for `cluster`, `os`, `extstorage` (other resources go over LUXI Query)."""

    summary_field = "what"

    what: str = param(RESOURCE, "resource to query")
    use_locking: bool = param(BOOL, "true: take locks (queries: refused by the query daemon)", default=False)
    fields: tuple[str, ...] = param(STRINGS, "field names wanted")
    qfilter: list[Any] | None = param(LIST, "filter expression (query.md)", default=None)


class QueryFields(Command):
    """Field list for those resources."""

    summary_field = "what"

    what: str = param(RESOURCE, "resource to query")
    fields: tuple[str, ...] | None = param(STRINGS, "field names wanted; null means all", default=None)
