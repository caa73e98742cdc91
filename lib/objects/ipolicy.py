# SPDX-License-Identifier: BSD-2-Clause
"""Instance policies: which sizes of instances a cluster or node group allows.

Wire form: `minmax` is a list of {min: spec, max: spec}, `std` a spec (cluster only), `disk-templates` a list,
`vcpu-ratio` and `spindle-ratio` numbers.  Sizes are MiB.  A group holds own keys only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gantry.constants import MAX_DISKS, MAX_NICS, DiskTemplate
from gantry.errors import ParameterError, WrongInput
from gantry.objects.paramtype import RESET, Kind, ParamType, declare, normalise

Policy = dict[str, Any]
Spec = dict[str, int]

_COUNTS = {"cpu-count": Kind.INT, "disk-count": Kind.INT, "disk-size": Kind.SIZE, "memory-size": Kind.SIZE,
           "nic-count": Kind.INT, "spindle-use": Kind.INT}


def _not_negative(value: int) -> str | None:
    return None if value >= 0 else "must not be negative"


SPEC_SCHEMA = declare(*(ParamType(name, kind, 0, "", check=_not_negative)
                       for name, kind in _COUNTS.items()))
RATIOS = ("vcpu-ratio", "spindle-ratio")
KEYS = ("minmax", "std", "disk-templates", *RATIOS)
_LEAST = {"memory-size": 128, "cpu-count": 1, "disk-count": 1, "disk-size": 1024, "nic-count": 1, "spindle-use": 1}
_MOST = {"memory-size": 32768, "cpu-count": 8, "disk-count": MAX_DISKS, "disk-size": 1048576, "nic-count": MAX_NICS,
         "spindle-use": 12}


@dataclass(frozen=True, kw_only=True)
class InstanceSpec:
    """The sizes of one instance; memory is `maxmem`, `disks` are sizes in order."""

    memory: int
    vcpus: int
    disks: tuple[int, ...]
    nics: int
    spindle_use: int
    disk_template: str


def default_ipolicy(templates: Iterable[str] = tuple(DiskTemplate)) -> Policy:
    """The built-in policy, every key present, that allows these disk templates."""
    return {"minmax": [{"min": dict(_LEAST), "max": dict(_MOST)}], "std": dict(_LEAST),
            "disk-templates": [str(template) for template in templates], "vcpu-ratio": 4.0, "spindle-ratio": 32.0}


def check_ipolicy(given: Mapping[str, Any], *, group: bool = False) -> Policy:
    """The keys given, in their types.  Raises ParameterError or WrongInput.

    Bounds must be complete; `std` may be partial here and only clusters have it.
    """
    result: Policy = {}
    for key, value in given.items():
        if key not in KEYS:
            raise ParameterError(detail=f"Unknown key in instance policy: '{key}'")
        if key == "std" and group:
            raise WrongInput(detail="Standard instance specs are set for the cluster, not for node groups")
        if key == "minmax":
            result[key] = [_bounds(item) for item in _list(key, value)]
            if not result[key]:
                raise WrongInput(detail="The bounds of an instance policy need at least one pair of min and max")
        elif key == "std":
            result[key] = normalise(SPEC_SCHEMA, _object(key, value))
        elif key == "disk-templates":
            result[key] = _templates(_list(key, value))
        else:
            result[key] = _RATIO_TYPES[key].normalise(value)
    return result


def merge_ipolicy(own: Mapping[str, Any], given: Mapping[str, Any], *, group: bool) -> Policy:
    """Own policy after a modify command: `default` (and None) drops a key of a group; `std` is merged by key."""
    result = dict(own)
    dropped = [key for key, value in given.items() if value is None or value in (RESET, [RESET])]
    for key in dropped:
        if key not in KEYS:
            raise ParameterError(detail=f"Unknown key in instance policy: '{key}'")
        if not group:
            raise WrongInput(detail=f"Can't unset '{key}' in the instance policy of the cluster")
        result.pop(key, None)
    checked = check_ipolicy({key: value for key, value in given.items() if key not in dropped}, group=group)
    if "std" in checked:
        checked["std"] = {**result.get("std", {}), **checked["std"]}
    return result | checked


def check_complete(policy: Mapping[str, Any], enabled: Iterable[str]) -> None:
    """Raise WrongInput when a complete policy contradicts itself or lists a template that is not enabled."""
    known = frozenset(map(str, enabled))
    extra = sorted(set(policy["disk-templates"]) - known)
    if extra:
        raise WrongInput(detail=f"The instance policy allows the disk template(s) {', '.join(extra)}, which "
                                "the cluster has not enabled")
    if not policy["disk-templates"]:
        raise WrongInput(detail="The instance policy must allow at least one disk template")
    std = policy["std"]
    missing = sorted(_COUNTS.keys() - std.keys())
    if missing:
        raise WrongInput(detail=f"Standard instance specs lack {', '.join(missing)}")
    if not any(all(pair["min"][name] <= std[name] <= pair["max"][name] for name in _COUNTS)
               for pair in policy["minmax"]):
        raise WrongInput(detail="Invalid standard instance specs: they lie within no pair of bounds")


def check_instance(policy: Mapping[str, Any], spec: InstanceSpec) -> list[str]:
    """How the instance violates a complete policy, as sentences; empty when it fits one pair of bounds."""
    found = []
    allowed = policy["disk-templates"]
    if spec.disk_template not in allowed:
        found.append(f"Disk template {spec.disk_template} is not allowed (allowed templates: {', '.join(allowed)})")
    facts = [("memory-size", "", spec.memory), ("cpu-count", "", spec.vcpus), ("nic-count", "", spec.nics),
             ("spindle-use", "", spec.spindle_use),
             *(("disk-size", f"/{index}", size) for index, size in enumerate(spec.disks))]
    if spec.disk_template != DiskTemplate.DISKLESS:  # that it has no disk is no violation
        facts.append(("disk-count", "", len(spec.disks)))
    ways = [_outside(pair, facts) for pair in policy["minmax"]]
    return found + min(ways, key=len)


def _outside(pair: Mapping[str, Spec], facts: list[tuple[str, str, int]]) -> list[str]:
    return [f"{name}{which} value {value} is not in range [{pair['min'][name]}, {pair['max'][name]}]"
            for name, which, value in facts if not pair["min"][name] <= value <= pair["max"][name]]


# --- the parts of a policy as given -------------------------------------------------------------------------


def _at_least_one(value: float) -> str | None:
    return None if value >= 1 else "must be at least 1"


_RATIO_TYPES = declare(*(ParamType(name, Kind.FLOAT, None, "", check=_at_least_one) for name in RATIOS))


def _list(key: str, value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise ParameterError(detail=f"'{key}' (value {value}) is not a valid list")
    return list(value)


def _object(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ParameterError(detail=f"'{key}' (value {value}) is not a valid dictionary")
    return value


def _bounds(value: Any) -> dict[str, Spec]:
    pair = _object("minmax", value)
    if pair.keys() != {"min", "max"}:
        raise WrongInput(detail="Each pair of bounds of an instance policy has the keys min and max, and no other")
    result = {}
    for side in ("min", "max"):
        result[side] = normalise(SPEC_SCHEMA, _object(side, pair[side]))
        missing = sorted(_COUNTS.keys() - result[side].keys())
        if missing:
            raise WrongInput(detail=f"The {side} bounds of the instance policy lack {', '.join(missing)}")
    for name in _COUNTS:
        if result["min"][name] > result["max"][name]:
            raise WrongInput(detail=f"Invalid specification of the bounds for {name}: min {result['min'][name]} is "
                                    f"more than max {result['max'][name]}")
    return result


def _templates(names: list[Any]) -> list[str]:
    known = {str(template) for template in DiskTemplate}
    for name in names:
        if name not in known:
            raise WrongInput(detail=f"Invalid disk template '{name}' in the instance policy")
    if not names:
        raise WrongInput(detail="The instance policy must allow at least one disk template")
    return list(dict.fromkeys(names))
