# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for tags."""

from gantry.opcodes.base import param
from gantry.opcodes.common import Command
from gantry.opcodes.types import BOOL, NESTR, STR, TAG_KIND, TAGS


class TagsGet(Command):
    """Read tags (LUXI QueryTags is what clients use)."""

    summary_field = "name"

    kind: str = param(TAG_KIND, "tag owner kind")
    use_locking: bool = param(BOOL, "true: take locks (queries: refused by the query daemon)", default=False)
    name: str | None = param(STR, "object name; null/ignored for cluster", default=None)


class TagsSearch(Command):
    """Regex search over all tags."""

    summary_field = "pattern"

    pattern: str = param(NESTR, "regular expression searched in tags")


class TagsSet(Command):
    """Add tags."""

    kind: str = param(TAG_KIND, "tag owner kind")
    tags: tuple[str, ...] = param(TAGS, "tags")
    name: str | None = param(STR, "object name; null/ignored for cluster", default=None)


class TagsDel(Command):
    """Delete tags (all must exist)."""

    kind: str = param(TAG_KIND, "tag owner kind")
    tags: tuple[str, ...] = param(TAGS, "tags")
    name: str | None = param(STR, "object name; null/ignored for cluster", default=None)
