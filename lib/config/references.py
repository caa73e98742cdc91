# SPDX-License-Identifier: BSD-2-Clause
"""Which object of the configuration names which other: no change may leave a name without its object."""

from collections.abc import Callable, Iterator
from typing import Any

from gantry.config.config import KINDS, Config
from gantry.errors import ConfigurationError
from gantry.objects.base import ConfigObject
from gantry.objects.cluster import Cluster, Node, NodeGroup
from gantry.objects.instance import Disk, Instance

Get = Callable[[str, str], Any]
"""The object of a table and UUID as it will be, or None."""


def targets(value: ConfigObject) -> Iterator[tuple[str, str]]:
    """Table and UUID of each object that `value` names."""
    if isinstance(value, Instance):
        yield from _targets_of_instance(value)
    elif isinstance(value, Disk):
        for node in value.nodes:
            yield "nodes", node
    elif isinstance(value, Node):
        yield "nodegroups", value.group
    elif isinstance(value, NodeGroup):
        for network in value.networks:
            yield "networks", network
    elif isinstance(value, Cluster):
        yield "nodes", value.master_node


def _targets_of_instance(instance: Instance) -> Iterator[tuple[str, str]]:
    if instance.primary_node or not instance.forthcoming:
        yield "nodes", instance.primary_node
    for disk in instance.disks:
        yield "disks", disk
    for nic in instance.nics:
        if nic.network:
            yield "networks", nic.network


def check(get: Get, table: str, value: ConfigObject) -> None:
    """Raise ConfigurationError when `value` names an object that is not there."""
    for other, uuid in targets(value):
        if get(other, uuid) is None:
            raise ConfigurationError(detail=f"{KINDS[table]} '{value.name or value.uuid}' would refer to the "
                                            f"{KINDS[other]} '{uuid}', which is not in the configuration")


def check_gone(config: Config, get: Get, table: str, uuid: str) -> None:
    """Raise ConfigurationError when somebody will still name the object that is going away."""
    for other, holder in _holders(config, table, uuid):
        now = get(other, holder)
        if now is not None and (table, uuid) in targets(now):
            name = config.tables[table][uuid].name or uuid
            raise ConfigurationError(detail=f"{KINDS[table]} '{name}' cannot be taken out of the configuration: "
                                            f"{KINDS[other]} '{now.name or holder}' refers to it")


def _holders(config: Config, table: str, uuid: str) -> Iterator[tuple[str, str]]:
    """Those that named the object until now; new names for it were found by `check`."""
    if table == "disks":
        owner = config.owner_of(uuid)
        if owner is not None:
            yield "instances", owner.uuid
    elif table == "nodes":
        yield from (("instances", instance.uuid) for instance in config.primaries_of(uuid))
        yield from (("disks", disk.uuid) for disk in config.disks_on(uuid))
        yield "cluster", config.cluster.uuid
    elif table == "nodegroups":
        yield from (("nodes", node.uuid) for node in config.members_of(uuid))
    elif table == "networks":
        yield from (("nodegroups", group.uuid) for group in config.groups.values() if uuid in group.networks)
        yield from (("instances", instance.uuid) for instance in config.instances.values()
                    if any(nic.network == uuid for nic in instance.nics))
