# SPDX-License-Identifier: BSD-2-Clause
"""Resources of node groups and networks."""

from typing import Any

from gantry.opcodes import group, network
from gantry.rapi.endpoint import DRY_RUN, FORCE, Endpoint, flag, job, path, tags
from gantry.rapi.objects import GROUPS, NETWORKS, lists, single
from gantry.rapi.request import Request

CUSTOM = {f"custom_{name}": name for name in ("ndparams", "ipolicy", "diskparams")}
_DRY = {"dry_run": flag(DRY_RUN)}
_GROUP = {"group_name": path()}
_NETWORK = {"network_name": path()}


def _without_nulls(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Clients send null for what they were not told."""
    return {name: value for name, value in body.items() if value is not None}


ENDPOINTS: list[Endpoint] = [
    lists(GROUPS),
    job("POST", "/2/groups", group.GroupAdd, _DRY, rename={"name": "group_name"}),
    single(GROUPS, "/2/groups/{name}"),
    job("DELETE", "/2/groups/{name}", group.GroupRemove, _GROUP | _DRY, takes_body=False),
    job("PUT", "/2/groups/{name}/modify", group.GroupSetParams, _GROUP, rename=CUSTOM),
    job("PUT", "/2/groups/{name}/rename", group.GroupRename, _GROUP | _DRY),
    job("PUT", "/2/groups/{name}/assign-nodes", group.GroupAssignNodes, _GROUP | _DRY | {"force": flag(FORCE)}),
    *tags("/2/groups/{name}/tags", "nodegroup", lambda request: request.names["name"]),

    lists(NETWORKS),
    job("POST", "/2/networks", network.NetworkAdd, _DRY, rename={"name": "network_name"}, prepare=_without_nulls),
    single(NETWORKS, "/2/networks/{name}"),
    job("DELETE", "/2/networks/{name}", network.NetworkRemove, _NETWORK | _DRY),
    job("PUT", "/2/networks/{name}/connect", network.NetworkConnect, _NETWORK | _DRY),
    job("PUT", "/2/networks/{name}/disconnect", network.NetworkDisconnect, _NETWORK | _DRY),
    job("PUT", "/2/networks/{name}/modify", network.NetworkSetParams, _NETWORK),
    job("PUT", "/2/networks/{name}/rename", network.NetworkRename, _NETWORK | _DRY),
    *tags("/2/networks/{name}/tags", "network", lambda request: request.names["name"]),
]
