# SPDX-License-Identifier: BSD-2-Clause
"""Objects that carry tags, by the kind named on the wire."""

from gantry.config.config import Config
from gantry.errors import WrongInput
from gantry.objects.base import ConfigObject

TABLES = {"cluster": "cluster", "instance": "instances", "node": "nodes", "nodegroup": "nodegroups",
          "network": "networks"}
LEVELS = {"instance": "instance", "node": "node", "nodegroup": "nodegroup", "network": "network"}
FOLDERS = {"cluster": "/cluster", "instance": "/instances", "node": "/nodes", "nodegroup": "/nodegroup",
           "network": "/network"}
"""Paths of `gnt-cluster search-tags`."""


def owner(config: Config, kind: str, name: str | None) -> ConfigObject:
    """The object; raises NotFound, or WrongInput for a missing name."""
    if kind == "cluster":
        return config.cluster
    if not name:
        raise WrongInput(detail=f"The name of the {kind} whose tags are meant is missing")
    find = {"instance": config.instance, "node": config.node, "nodegroup": config.group, "network": config.network}
    found: ConfigObject = find[kind](name)
    return found


def lock_name(kind: str, thing: ConfigObject) -> str:
    """Instances are locked by name, everything else by UUID."""
    return thing.name if kind == "instance" else thing.uuid
