# SPDX-License-Identifier: BSD-2-Clause
"""Words of which only some mean something: policies, templates, states."""

from enum import StrEnum
from typing import TypeVar

from hbal.model import Status, Template

Choice = TypeVar("Choice", bound=StrEnum)
TITLES: dict[type[StrEnum], str] = {Template: "DiskTemplate", Status: "InstanceStatus"}


def chosen(kind: type[Choice], text: str) -> Choice:
    """The member that the text names; raises ValueError with a sentence."""
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f'Invalid string value for type {TITLES.get(kind, kind.__name__)}: "{text}"') from None
