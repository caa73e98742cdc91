# SPDX-License-Identifier: BSD-2-Clause
"""Job filter rules as they come over the wire: checked, and turned into a change of the configuration."""

import re
import uuid as uuids
from typing import Any

from gantry.errors import ParameterError
from gantry.objects.cluster import FilterRule
from gantry.objects.plan import Put, put
from gantry.utils import clock

ACTIONS = ("ACCEPT", "PAUSE", "REJECT", "CONTINUE")
PREDICATES = ("jobid", "opcode", "reason")
_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def rule(uuid: str | None, priority: int, predicates: list[Any], action: Any, trail: list[Any], *,
         watermark: int) -> Put:
    """The change that stores this rule, under a new UUID where none is given; raises ParameterError."""
    if uuid is not None and not _UUID.match(uuid):
        raise ParameterError(detail=f"'{uuid}' is not a UUID")
    if priority < 0:
        raise ParameterError(detail=f"A filter's priority must be 0 or more, not {priority}")
    _check_predicates(predicates)
    _check_action(action)
    found = uuid or str(uuids.uuid4())
    return put("filters", FilterRule(
        uuid=found, name=found, watermark=watermark, priority=priority, predicates=tuple(predicates), action=action,
        reason_trail=(*trail, ["luxid", "", clock.nanoseconds()])))


def _check_predicates(predicates: list[Any]) -> None:
    for item in predicates:
        if (not isinstance(item, list) or len(item) != 2 or item[0] not in PREDICATES
                or not isinstance(item[1], list)):
            raise ParameterError(detail=f"A filter's predicate must be [{', '.join(PREDICATES)}: one of them, "
                                        f"filter], not {item!r}")


def _check_action(action: Any) -> None:
    if isinstance(action, str) and action in ACTIONS:
        return
    if (isinstance(action, list) and len(action) == 2 and action[0] == "RATE_LIMIT"
            and type(action[1]) is int and action[1] > 0):
        return
    raise ParameterError(detail=f"A filter's action must be one of {', '.join(ACTIONS)} or [\"RATE_LIMIT\", n], "
                                f"not {action!r}")
