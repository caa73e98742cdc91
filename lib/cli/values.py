# SPDX-License-Identifier: BSD-2-Clause
"""Values as they are typed: lists, key/value lists, devices, specifications.

What is wrong raises ParameterError (exit 1), but for sizes and spans, whose WrongInput the option parser turns
into a usage error.
"""

import re
from typing import Any

from gantry.cli.failures import WrongValue
from gantry.errors import ParameterError
from gantry.utils.units import parse_size

_PIECE = r"((?:\\.|[^\\,])*)(?:,|$)"
_NUMBER = r"-?\d+$"
_SPEC_KEYS = ("memory-size", "cpu-count", "disk-count", "disk-size", "nic-count", "spindle-use")
_SPEC_SIZES = ("memory-size", "disk-size")


def wrong(detail: str) -> ParameterError:
    return ParameterError(detail=detail)


def malformed(detail: str) -> ParameterError:
    return WrongValue(detail=detail)


def yes_no(text: str) -> bool:
    """`yes` or `true`, `no` or `false`."""
    lowered = text.lower()
    if lowered in ("yes", "true"):
        return True
    if lowered in ("no", "false"):
        return False
    raise malformed(f"Invalid boolean value '{text}': yes or no is expected")


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _pieces(text: str) -> list[str]:
    """`text` cut at its commas but for those written `\\,`; escapes stay."""
    if not text:
        return []
    pieces, start = [], 0
    while start <= len(text):
        match = re.compile(_PIECE, re.DOTALL).match(text, start)
        if match is None:  # a backslash at the very end
            pieces.append(text[start:])
            break
        pieces.append(match[1])
        start = match.end() if match.end() > match.end(1) else len(text) + 1
    return pieces


def comma_list(text: str) -> list[str]:
    """`a,b\\,c` is a and `b,c`; an empty text is an empty list."""
    return [_unescape(piece) for piece in _pieces(text)]


def key_values(text: str, option: str = "") -> dict[str, Any]:
    """`k=v,flag,no_flag,-gone`: values are strings, True, False or None."""
    found: dict[str, Any] = {}
    for piece in _pieces(text):
        key, equals, raw = piece.partition("=")
        value: Any = _unescape(raw)
        if not equals:
            key, value = _bare(key)
        if not key:
            raise malformed(f"Missing key before '{piece}' in option {option}")
        if key in found:
            raise malformed(f"Duplicate key '{key}' in option {option}")
        found[key] = value
    return found


def _bare(key: str) -> tuple[str, Any]:
    if key.startswith("no_"):
        return key.removeprefix("no_"), False
    if key.startswith("-"):
        return key[1:], None
    return key, True


def ident_key_values(text: str, option: str = "") -> tuple[str, Any]:
    """`IDENT:k=v`, `IDENT`, `no_IDENT` (False), `-IDENT` (None); `-1` is an index."""
    ident, _, rest = text.partition(":")
    if ident.startswith("no_") or (ident.startswith("-") and not re.match(_NUMBER, ident)):
        if rest:
            raise malformed(f"'{text}' removes something and sets parameters of it at once")
        name, value = _bare(ident)
        return name, value
    if not ident:
        raise malformed(f"Missing name before ':' in option {option}: '{text}'")
    return ident, key_values(rest, option)


def by_ident(items: list[tuple[str, Any]], option: str) -> dict[str, Any]:
    """Several `IDENT:k=v` options as one dictionary."""
    found: dict[str, Any] = {}
    for ident, values in items:
        if ident in found:
            raise malformed(f"Duplicate key '{ident}' in option {option}")
        found[ident] = values
    return found


def plain(values: dict[str, Any], what: str) -> dict[str, Any]:
    """`values` without removals, for places where there is nothing to remove yet."""
    for key, value in values.items():
        if value is None:
            raise wrong(f"{what}: '-{key}' makes no sense here, there is no value to remove")
    return values


def index(text: str, what: str) -> int:
    if not re.match(_NUMBER, text):
        raise wrong(f"Invalid {what} index '{text}': a number is expected")
    return int(text)


def new_devices(items: list[tuple[str, Any]], what: str) -> list[dict[str, Any]]:
    """`--disk 0:size=1g --disk 1:...` as a list of dictionaries; indices count from 0 without a gap."""
    found: dict[int, dict[str, Any]] = {}
    for ident, values in items:
        number = index(ident, what)
        if not isinstance(values, dict):
            raise wrong(f"Invalid {what} specification '{ident}'")
        if number in found:
            raise wrong(f"Duplicate {what} index {number}")
        found[number] = values
    if sorted(found) != list(range(len(found))):
        raise wrong(f"{what.capitalize()} indices must count from 0 without a gap, not {sorted(found)}")
    return [device(found[number], what) for number in range(len(found))]


def device(values: dict[str, Any], what: str) -> dict[str, Any]:
    """A disk's or NIC's dictionary with its sizes in MiB."""
    out = dict(values)
    if what == "disk" and "size" in out:
        out["size"] = parse_size(_text(out["size"], "size"))
    if what == "disk" and "spindles" in out:
        out["spindles"] = number(out["spindles"], "spindles")
    return {key: _none(value) for key, value in out.items()}


def _none(value: Any) -> Any:
    """A bare key of a device has no meaning of its own; it is an empty value."""
    return "" if value is True else value


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise wrong(f"'{key}' needs a value")
    return value


def number(value: Any, key: str) -> int:
    if not isinstance(value, str) or not re.match(_NUMBER, value):
        raise wrong(f"'{key}' (value {value}) is not a valid integer")
    return int(value)


_EDITS = ("add", "attach", "detach", "remove", "modify")


def device_edits(items: list[tuple[str, Any]], what: str) -> list[list[Any]]:
    """`add:size=1g`, `1:remove`, `NAME:modify,mode=ro` as [operation, index or name, parameters]."""
    found = [_device_edit(ident, values, what) for ident, values in items]
    if what == "disk":
        for operation, _, changes in found:
            _check_disk_edit(operation, changes)
    return found


def _device_edit(ident: str, values: Any, what: str) -> list[Any]:
    if values is False or values is None:
        raise wrong(f"'{ident}' is no change of a {what}; see --help")
    values = dict(values)
    if ident in _EDITS and ident != "modify":
        operation, which = ident, "-1"
    else:
        which = ident
        named = [name for name in _EDITS if values.get(name) is True]
        if len(named) > 1:
            raise wrong(f"Cannot {' and '.join(named)} {what} '{ident}' at the same time")
        operation = named[0] if named else "modify"
        if named:
            del values[operation]
    return [operation, int(which) if re.match(_NUMBER, which) else which, device(values, what)]


def _check_disk_edit(operation: str, changes: dict[str, Any]) -> None:
    if operation == "add" and not {"size", "adopt"} & changes.keys():
        raise wrong("Missing required parameter 'size'")
    if operation == "modify" and "size" in changes:
        raise wrong("The size of a disk is changed with grow-disk, not here")
    if operation == "attach" and len({"name", "uuid"} & changes.keys()) != 1:
        raise wrong("A disk is attached by exactly one of its name and its uuid")


def boolean_params(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """`values` with `true` and `false` of these keys as booleans."""
    out = dict(values)
    for key in names:
        if isinstance(out.get(key), str) and out[key] not in ("default", "none"):
            lowered = out[key].lower()
            if lowered not in ("true", "false"):
                raise wrong(f"'{key}' (value {out[key]}) is not a valid boolean")
            out[key] = lowered == "true"
    return out


def beparams(values: dict[str, Any]) -> dict[str, Any]:
    """Backend parameters with their types; `memory` excludes minmem and maxmem."""
    known = ("maxmem", "minmem", "memory", "vcpus", "auto_balance", "always_failover", "spindle_use")
    for key in values:
        if key not in known:
            raise wrong(f"Unknown parameter '{key}'")
    if "memory" in values and {"minmem", "maxmem"} & values.keys():
        raise wrong("'memory' sets minmem and maxmem together and cannot be given with them")
    out = boolean_params(values, ("auto_balance", "always_failover"))
    for key, value in out.items():
        if value in ("default", None) or isinstance(value, bool):
            continue
        if key in ("maxmem", "minmem", "memory"):
            out[key] = parse_size(_text(value, key))
        elif key in ("vcpus", "spindle_use"):
            out[key] = number(value, key)
    return {key: "default" if value is None else value for key, value in out.items()}


def spec(text: str, *, partial: bool = False) -> dict[str, int]:
    """An instance specification: all six keys, sizes in MiB."""
    found: dict[str, int] = {}
    for key, value in key_values(text, "--ipolicy").items():
        if key not in _SPEC_KEYS:
            raise wrong(f"Unknown parameter '{key}'; known are {', '.join(_SPEC_KEYS)}")
        found[key] = parse_size(_text(value, key)) if key in _SPEC_SIZES else number(value, key)
    missing = [key for key in _SPEC_KEYS if key not in found]
    if missing and not partial:
        raise wrong(f"Missing keys in the specification: {', '.join(missing)}")
    return found


def bounds(text: str) -> list[dict[str, dict[str, int]]]:
    """`min:K=V,.../max:K=V,...`, ranges joined by `//`."""
    ranges = []
    for part in text.split("//"):
        found: dict[str, dict[str, int]] = {}
        for half in part.split("/"):
            name, _, rest = half.partition(":")
            if name not in ("min", "max") or name in found:
                raise wrong(f"Invalid bounds '{part}': min:KEY=VALUE,.../max:KEY=VALUE,... is expected")
            found[name] = spec(rest)
        if len(found) != 2:
            raise wrong(f"Invalid bounds '{part}': both min and max are needed")
        ranges.append(found)
    return ranges


def uid_ranges(text: str) -> list[list[int]]:
    """`1000,2000-2010` as inclusive ranges."""
    found = []
    for piece in comma_list(text):
        low, dash, high = piece.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()) or (dash and int(low) > int(high)):
            raise wrong(f"Invalid user-id range '{piece}': UID or LOW-HIGH is expected")
        found.append([int(low), int(high) if dash else int(low)])
    return found
