# SPDX-License-Identifier: BSD-2-Clause
"""Instance policies: out of options, as a tree, and as the options that make them."""

from typing import Any

from gantry.cli import output, values
from gantry.cli.context import Context
from gantry.errors import ParameterError

_LEGACY = {"mem_size": "memory-size", "cpu_count": "cpu-count", "disk_count": "disk-count", "disk_size": "disk-size",
           "nic_count": "nic-count"}
_FLOOR = {"memory-size": 128, "cpu-count": 1, "disk-count": 1, "disk-size": 1024, "nic-count": 1, "spindle-use": 1}
_CEILING = {"memory-size": 32768, "cpu-count": 8, "disk-count": 16, "disk-size": 1048576, "nic-count": 8,
            "spindle-use": 12}


def from_options(ctx: Context, *, group: bool = False) -> dict[str, Any]:
    """What the --ipolicy-* options ask for; a group may say `default` to drop its own value."""
    found: dict[str, Any] = {}
    readers = (("ipolicy_bounds_specs", "minmax", values.bounds), ("ipolicy_std_specs", "std", values.spec),
               ("ipolicy_disk_templates", "disk-templates", values.comma_list),
               ("ipolicy_vcpu_ratio", "vcpu-ratio", _ratio), ("ipolicy_spindle_ratio", "spindle-ratio", _ratio))
    for name, key, read in readers:
        text = ctx.option(name)
        if text is not None:
            found[key] = "default" if group and text == "default" else read(text)
    return found | _legacy(ctx, found)


def _ratio(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 1 <= found < 1e9:
        raise ParameterError(detail=f"'{text}' is not a ratio: a number of 1 or more is expected")
    return found


def _legacy(ctx: Context, found: dict[str, Any]) -> dict[str, Any]:
    """The --specs-* options of init: one range with a standard value."""
    given = {key: ctx.option(f"specs_{name}") for name, key in _LEGACY.items() if ctx.option(f"specs_{name}")}
    if not given:
        return {}
    if {"minmax", "std"} & found.keys():
        raise ParameterError(detail="The --specs-* options cannot be given together with --ipolicy-bounds-specs or "
                                    "--ipolicy-std-specs")
    parts: dict[str, dict[str, int]] = {"min": dict(_FLOOR), "max": dict(_CEILING), "std": dict(_FLOOR)}
    for key, settings in given.items():
        for part, text in settings.items():
            if part not in parts or not isinstance(text, str):
                raise ParameterError(detail=f"Unknown parameter '{part}': min, max and std are expected")
            parts[part] |= values.spec(f"{key}={text}", partial=True)
    return {"minmax": [{"min": parts["min"], "max": parts["max"]}], "std": parts["std"]}


def tree(policy: dict[str, Any], own: dict[str, Any] | None = None, *, std: bool = True) -> list[tuple[str, Any]]:
    """As info shows it; with `own`, what that does not hold is inherited."""
    def mark(key: str, value: Any) -> Any:
        return value if own is None or key in own else f"default ({value})"

    ranges: list[Any] = [[(f"{part}/{number}", dict(bounds[part])) for part in ("max", "min")]
                         for number, bounds in enumerate(policy.get("minmax", []))]
    if own is not None and "minmax" not in own:
        ranges = [[(title, {key: f"default ({value})" for key, value in specs.items()}) for title, specs in pair]
                  for pair in ranges]
    return [
        ("bounds specs", ranges), *([("std", dict(policy.get("std", {})))] if std else []),
        ("allowed disk templates", mark("disk-templates", ", ".join(policy.get("disk-templates", [])))),
        ("vcpu-ratio", mark("vcpu-ratio", policy.get("vcpu-ratio"))),
        ("spindle-ratio", mark("spindle-ratio", policy.get("spindle-ratio"))),
    ]


def show_cluster(ctx: Context) -> int:
    """The command that makes a cluster with the same instance policy."""
    found = ctx.call("QueryClusterInfo")
    output.line(" ".join(["gnt-cluster init", *as_options(found["ipolicy"]), found["name"]]))
    return 0


def show_groups(ctx: Context) -> int:
    """The commands that make groups with the same instance policies."""
    fields = ("name", "ipolicy" if ctx.option("include_defaults") else "custom_ipolicy")
    for name, policy in ctx.named("group", fields, ctx.args):
        kept = {key: value for key, value in (policy or {}).items() if key != "std"}
        output.line(" ".join(["gnt-group add", *as_options(kept), name]))
    return 0


def as_options(policy: dict[str, Any]) -> list[str]:
    """The --ipolicy-* options that make this policy."""
    found = []
    if "minmax" in policy:
        found += ["--ipolicy-bounds-specs", "//".join(
            "/".join(f"{part}:{_spec_text(bounds[part])}" for part in ("min", "max")) for bounds in policy["minmax"])]
    if "std" in policy:
        found += ["--ipolicy-std-specs", _spec_text(policy["std"])]
    if "disk-templates" in policy:
        found += ["--ipolicy-disk-templates", ",".join(policy["disk-templates"])]
    for key in ("vcpu-ratio", "spindle-ratio"):
        if key in policy:
            found += [f"--ipolicy-{key}", str(policy[key])]
    return found


def _spec_text(specs: dict[str, int]) -> str:
    return ",".join(f"{key}={specs[key]}" for key in sorted(specs))
