# SPDX-License-Identifier: BSD-2-Clause
"""VLANs of a network interface as operators write them: `5`, `.5`, `:5:7`, `.5:7:9`."""

import re
from dataclasses import dataclass

from gantry.errors import WrongInput

_TEXT = re.compile(r"(?P<native>\.?[0-9]{1,4})?(?P<tagged>(:[0-9]{1,4})*)")


@dataclass(frozen=True)
class Vlan:
    """`native` is untagged (None: no such), `tagged` are trunk VLANs."""

    native: int | None = None
    tagged: tuple[int, ...] = ()

    @property
    def all(self) -> tuple[int, ...]:
        return (*(() if self.native is None else (self.native,)), *self.tagged)

    def __str__(self) -> str:
        """The form in which it is stored and given to scripts."""
        native = "" if self.native is None else f".{self.native}"
        return native + "".join(f":{number}" for number in self.tagged)


def parse(text: str) -> Vlan:
    """What `text` means; the empty text means no VLAN.  Raises WrongInput."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise WrongInput(detail=f"Specified VLAN parameter is invalid: {text}")
    native = int(match["native"].lstrip(".")) if match["native"] else None
    found = Vlan(native, tuple(int(number) for number in match["tagged"].split(":") if number))
    if not all(1 <= number <= 4094 for number in found.all) or len(set(found.all)) != len(found.all):
        raise WrongInput(detail=f"Specified VLAN parameter is invalid: {text}")
    return found
