# SPDX-License-Identifier: BSD-2-Clause
"""What an opcode is: a frozen, typed declaration from which everything else is derived.

Wire form: one flat JSON object with `OP_ID` and the parameters.  Unknown keys are refused, missing ones
get their default.  The types of `lib/opcodes/types.py` say what is accepted for each parameter.
"""

import dataclasses
import re
from typing import Any, ClassVar, dataclass_transform

from gantry.errors import ParameterError
from gantry.opcodes import load_all

REGISTRY: dict[str, type["OpCode"]] = {}


@dataclasses.dataclass(frozen=True)
class Kind:
    """A parameter's type: `check` returns the normalised value or raises ValueError with a reason."""

    name: str
    check: "Any"


def param(kind: Kind, help: str, *, default: Any = dataclasses.MISSING, hidden: bool = False) -> Any:
    """A parameter.  Without a default it is required; `hidden` ones are filled in by the server."""
    return dataclasses.field(default=default, metadata={"kind": kind, "help": help, "hidden": hidden})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(param,))
class OpCode:
    """One request.  Subclasses are frozen, keyword-only dataclasses; their docstring is the help text."""

    OP_ID: ClassVar[str]
    summary_field: ClassVar[str | None] = None
    """The parameter shown in parentheses in a job's summary."""
    abstract: ClassVar[bool] = False
    __dataclass_fields__: ClassVar[dict[str, "dataclasses.Field[Any]"]]

    _defaults: ClassVar[dict[str, Any]]
    _required: ClassVar[frozenset[str]]

    def __init_subclass__(cls) -> None:
        # The generated methods would cost every command a millisecond a class; those below serve all.
        dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=True)(cls)
        fields = dataclasses.fields(cls)
        cls._defaults = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
        cls._required = frozenset(field.name for field in fields if field.default is dataclasses.MISSING)
        if not cls.__dict__.get("abstract", False):
            cls.OP_ID = "OP" + re.sub(r"(?=[A-Z])", "_", cls.__name__).upper()
            REGISTRY[cls.OP_ID] = cls

    def __init__(self, **values: Any) -> None:
        """Parameters by name, taken as they are: `decode` checks what comes from outside."""
        missing, unknown = self._required - values.keys(), values.keys() - self._defaults.keys() - self._required
        if missing or unknown:
            raise TypeError(f"{type(self).__name__}: " + ", ".join(
                [*(f"{name} is missing" for name in sorted(missing)),
                 *(f"{name} is unknown" for name in sorted(unknown))]))
        self.__dict__.update(self._defaults, **values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), self.summary()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items()
                          if name in self._required or value != self._defaults[name])
        return f"{type(self).__name__}({shown})"

    def summary(self) -> str:
        """As `gnt-job list` shows it: INSTANCE_STARTUP(web1)."""
        stem = self.OP_ID.removeprefix("OP_")
        if self.summary_field is None:
            return stem
        value = getattr(self, self.summary_field)
        shown = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        return f"{stem}({shown})"

    def encode(self) -> dict[str, Any]:
        """The wire form, all parameters present."""
        return {"OP_ID": self.OP_ID} | {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def find(op_id: str) -> type[OpCode] | None:
    """The opcode's class; imports the families when it is not known yet."""
    if op_id not in REGISTRY:
        load_all()
    return REGISTRY.get(op_id)


def decode(data: Any) -> OpCode:
    """The opcode of a wire form; raises ParameterError naming the opcode and the parameter."""
    if not isinstance(data, dict) or not isinstance(data.get("OP_ID"), str):
        raise ParameterError(detail="an opcode must be an object with the key OP_ID")
    cls = find(data["OP_ID"])
    if cls is None:
        raise ParameterError(detail=f"unknown opcode {data['OP_ID']}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    given = {key: value for key, value in data.items() if key != "OP_ID"}
    unknown = given.keys() - fields.keys()
    if unknown:
        raise ParameterError(detail=f"{cls.OP_ID}: unknown parameters {', '.join(sorted(unknown))}")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in given:
            values[name] = _checked(cls.OP_ID, field, given[name])
        elif field.default is dataclasses.MISSING:
            raise ParameterError(detail=f"{cls.OP_ID}: parameter {name} is required")
    return cls(**values)


def _checked(op_id: str, field: "dataclasses.Field[Any]", value: Any) -> Any:
    if value is None and field.default is None:
        return None
    try:
        return field.metadata["kind"].check(value)
    except ValueError as err:
        raise ParameterError(detail=f"{op_id}: parameter {field.name}: {err}") from err
