# SPDX-License-Identifier: BSD-2-Clause
"""Which instances a command is for: names, patterns, or what a selection option says."""

from typing import Any

from gantry.cli.context import Context, by_names
from gantry.errors import WrongInput
from gantry.utils.names import nice_key

_NODES = {"node": ("pinst_list", "sinst_list"), "primary": ("pinst_list",), "secondary": ("sinst_list",)}
_NODE_TAGS = {"node_tags": "node", "pri_node_tags": "primary", "sec_node_tags": "secondary"}
_MODES = ("all", "tags", *_NODES, *_NODE_TAGS)


def by_option(ctx: Context) -> bool:
    """Whether a selection option was given."""
    return any(ctx.option(name) for name in _MODES)


def instances(ctx: Context) -> list[str]:
    """Names of the selected instances; none only for --all on a cluster that has none."""
    given = [name for name in (*_MODES, "instance") if ctx.option(name)]
    if len(given) > 1:
        raise WrongInput(detail="Only one selection option can be given, not " +
                                " and ".join("--" + name.replace("_", "-") for name in given))
    mode = given[0] if given else "instance"
    if mode == "all":
        if ctx.args:
            raise WrongInput(detail="--all selects every instance and takes no names")
        return _nice(row[0] for row in ctx.query("instance", ["name"]))
    if not ctx.args:
        raise WrongInput(detail="No instances selected: name at least one, or use a selection option such as --all")
    found = _named(ctx) if mode == "instance" else _chosen(ctx, mode)
    if not found:
        raise WrongInput(detail="The selection matches no instances")
    return found


def _named(ctx: Context) -> list[str]:
    """In the order given; patterns in nice order."""
    found: list[str] = []
    patterns = [arg for arg in ctx.args if "*" in arg or "?" in arg]
    names = [arg for arg in ctx.args if arg not in patterns]
    if names:
        found += [row[0] for row in ctx.query("instance", ["name"], by_names("instance", names))]
    if patterns:
        from gantry.query import text_filter

        found += _nice(row[0] for row in ctx.query("instance", ["name"], text_filter.from_arguments(patterns)))
    return list(dict.fromkeys(found))


def _chosen(ctx: Context, mode: str) -> list[str]:
    if mode == "tags":
        return _nice(row[0] for row in ctx.query("instance", ["name"], _tagged(ctx.args)))
    fields = _NODES[_NODE_TAGS.get(mode, mode)]
    qfilter = _tagged(ctx.args) if mode in _NODE_TAGS else by_names("node", ctx.args)
    rows = ctx.query("node", fields, qfilter)
    return _nice(name for row in rows for names in row for name in names or ())


def _tagged(tags: list[str]) -> list[Any]:
    return ["|", *(["=[]", "tags", tag] for tag in tags)]


def _nice(names: Any) -> list[str]:
    return sorted(set(names), key=nice_key)
