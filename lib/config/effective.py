# SPDX-License-Identifier: BSD-2-Clause
"""Effective parameters: all levels of inheritance merged.

What an instance, node or group does not set itself comes from the levels above.  The merged levels above are
kept until one of their objects changes, so that a list of thousands of instances merges them once.
"""

from collections.abc import Callable, Hashable
from typing import Any

from gantry.config.config import Config
from gantry.objects import params
from gantry.objects.base import Params
from gantry.objects.cluster import Cluster, Node, NodeGroup
from gantry.objects.instance import Instance, Nic


class _Parents:
    """Merged upper levels, valid for one cluster object."""

    def __init__(self) -> None:
        self._cluster: Cluster | None = None
        self._merged: dict[Hashable, dict[str, Any]] = {}

    def get(self, cluster: Cluster, key: Hashable, merge: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if self._cluster is not cluster:
            self._cluster, self._merged = cluster, {}
        found = self._merged.get(key)
        if found is None:
            found = self._merged[key] = merge()
        return found


_PARENTS = _Parents()


def os_levels(name: str) -> tuple[str, ...]:
    """`debian+small` has values of `debian` and of `debian+small`."""
    stem = name.split("+", 1)[0]
    return (stem,) if stem == name else (stem, name)


def hvparams(config: Config, instance: Instance) -> Params:
    """Hypervisor parameters as they will be at the next start."""
    return {**hvparams_above(config.cluster, instance.hypervisor, instance.os), **instance.hvparams}


def hvparams_above(cluster: Cluster, hypervisor: str, os: str = "") -> Params:
    """What an instance of this hypervisor and OS inherits.  Not to be changed."""
    def merge() -> Params:
        merged = dict(cluster.hvparams.get(hypervisor, {}))
        for level in os_levels(os):
            merged.update(cluster.os_hvp.get(level, {}).get(hypervisor, {}))
        return merged
    return _PARENTS.get(cluster, ("hv", hypervisor, os), merge)


def beparams(config: Config, instance: Instance) -> Params:
    return {**beparams_above(config.cluster), **instance.beparams}


def beparams_above(cluster: Cluster) -> Params:
    return _PARENTS.get(cluster, "be", lambda: {**params.BE_DEFAULTS, **cluster.beparams.get("default", {})})


def nicparams(config: Config, nic: Nic, group_uuid: str) -> Params:
    """Mode, link and vlan of an interface on a node of this group.

    A network that is connected to the group stands in the place of the cluster's values.
    """
    group = config.groups.get(group_uuid)
    connection = group.networks.get(nic.network) if group is not None and nic.network else None
    above = nicparams_above(config.cluster) if connection is None else {"vlan": "", **connection}
    return {**above, **nic.nicparams}


def nicparams_above(cluster: Cluster) -> Params:
    return _PARENTS.get(cluster, "nic", lambda: {**params.NIC_DEFAULTS, **cluster.nicparams.get("default", {})})


def osparams(config: Config, instance: Instance) -> Params:
    """Public OS parameters."""
    return {**osparams_above(config.cluster, instance.os), **instance.osparams}


def osparams_private(config: Config, instance: Instance) -> Params:
    return {**osparams_above(config.cluster, instance.os, private=True), **instance.osparams_private}


def osparams_above(cluster: Cluster, os: str, *, private: bool = False) -> Params:
    def merge() -> Params:
        source = cluster.osparams_private_cluster if private else cluster.osparams
        merged: Params = {}
        for level in os_levels(os):
            merged.update(source.get(level, {}))
        return merged
    return _PARENTS.get(cluster, ("os", os, private), merge)


def ndparams(config: Config, node: Node) -> Params:
    """Node parameters; exclusive_storage has no value of a node's own."""
    own = {name: value for name, value in node.ndparams.items() if name not in params.ND_NOT_ON_NODES}
    group = config.groups.get(node.group)
    return {**ndparams_above(config.cluster), **(group.ndparams if group is not None else {}), **own}


def group_ndparams(config: Config, group: NodeGroup) -> Params:
    return {**ndparams_above(config.cluster), **group.ndparams}


def ndparams_above(cluster: Cluster) -> Params:
    return _PARENTS.get(cluster, "nd", lambda: {**params.ND_DEFAULTS, **cluster.ndparams})


def diskparams(config: Config, group: NodeGroup) -> dict[str, Params]:
    """Disk parameters by template."""
    above = diskparams_above(config.cluster)
    if not group.diskparams:
        return {template: dict(values) for template, values in above.items()}
    return {template: {**values, **group.diskparams.get(template, {})} for template, values in above.items()}


def diskparams_above(cluster: Cluster) -> dict[str, Params]:
    return _PARENTS.get(cluster, "disk", lambda: {
        template: {**values, **cluster.diskparams.get(template, {})}
        for template, values in params.DISK_DEFAULTS.items()})


def ipolicy(config: Config, group: NodeGroup) -> dict[str, Any]:
    """The instance policy of a group, every key present; `std` is the cluster's."""
    return {**ipolicy_above(config.cluster), **group.ipolicy}


def ipolicy_above(cluster: Cluster) -> dict[str, Any]:
    def merge() -> dict[str, Any]:
        builtin = params.default_ipolicy(cluster.enabled_disk_templates)
        std = {**builtin["std"], **cluster.ipolicy.get("std", {})}
        return {**builtin, **cluster.ipolicy, "std": std}
    return _PARENTS.get(cluster, "ipolicy", merge)
