# SPDX-License-Identifier: BSD-2-Clause
"""What group add and group modify have in common: own parameters of a node group."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from gantry.cmdlib.base import Hooks
from gantry.objects import ipolicy, params
from gantry.objects.cluster import NodeGroup
from gantry.opcodes.group import GroupAdd, GroupSetParams


def changed(group: NodeGroup, given: GroupAdd | GroupSetParams) -> NodeGroup:
    """`group` with the given parameters (None leaves a value alone); raises ParameterError or WrongInput."""
    fields: dict[str, Any] = {}
    if given.alloc_policy is not None:
        fields["alloc_policy"] = given.alloc_policy
    if given.ndparams is not None:
        fields["ndparams"] = params.merge_nd(group.ndparams, given.ndparams)
    if given.diskparams is not None:
        fields["diskparams"] = params.merge_disk(group.diskparams, given.diskparams)
    if given.ipolicy is not None:
        fields["ipolicy"] = ipolicy.merge_ipolicy(group.ipolicy, given.ipolicy, group=True)
    if given.hv_state is not None:
        fields["hv_state_static"] = {**group.hv_state_static, **given.hv_state}
    if given.disk_state is not None:
        fields["disk_state_static"] = {**group.disk_state_static, **given.disk_state}
    return dataclasses.replace(group, **fields)


def hooks(path: str, group: str, nodes: tuple[str, ...], env: Mapping[str, str]) -> Hooks:
    """Hooks of a node group on `nodes` (UUIDs), before and after."""
    return Hooks(path=path, object_type="GROUP", target=group, env=dict(env), pre_nodes=nodes, post_nodes=nodes)
