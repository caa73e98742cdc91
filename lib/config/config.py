# SPDX-License-Identifier: BSD-2-Clause
"""The configuration in memory: frozen objects in dictionaries by UUID.

Read it anywhere on the master's loop; nothing changes between two awaits.  Change it only through
`lib/config/change.py`.  No method here costs more than the size of its answer, finding by short name excepted.
"""

import copy
from collections.abc import Iterable, KeysView, Mapping
from typing import Any, TypeVar

from gantry.errors import NotFound
from gantry.objects.base import ConfigObject
from gantry.objects.cluster import Cluster, FilterRule, Network, Node, NodeGroup
from gantry.objects.instance import Disk, Instance
from gantry.utils.names import find_short

T = TypeVar("T", bound=ConfigObject)

TYPES: dict[str, type[ConfigObject]] = {
    "cluster": Cluster, "nodes": Node, "nodegroups": NodeGroup, "instances": Instance, "disks": Disk,
    "networks": Network, "filters": FilterRule,
}
KINDS = {"nodes": "node", "nodegroups": "node group", "instances": "instance", "networks": "network",
         "disks": "disk", "filters": "filter", "cluster": "cluster"}


class Config:
    """The cluster as it is now.  `serial` is the number of the last journal record."""

    def __init__(self, tables: Mapping[str, Mapping[str, ConfigObject]], *, serial: int = 0) -> None:
        self.tables: dict[str, dict[str, Any]] = {name: dict(tables.get(name, {})) for name in TYPES}
        self.serial = serial
        self._by_name: dict[str, dict[str, str]] = {
            name: {item.name: item.uuid for item in objects.values()} for name, objects in self.tables.items()}
        self._by_node: dict[str, set[str]] = {}
        self._owner: dict[str, str] = {}
        self._disks_on: dict[str, set[str]] = {}
        self._ports: dict[int, set[str]] = {}
        for instance in self.instances.values():
            self._index_instance(instance)
        for disk in self.disks.values():
            self._index_disk(disk)

    @property
    def cluster(self) -> Cluster:
        found: Cluster = next(iter(self.tables["cluster"].values()))
        return found

    @property
    def nodes(self) -> Mapping[str, Node]:
        return self.tables["nodes"]

    @property
    def groups(self) -> Mapping[str, NodeGroup]:
        return self.tables["nodegroups"]

    @property
    def instances(self) -> Mapping[str, Instance]:
        return self.tables["instances"]

    @property
    def disks(self) -> Mapping[str, Disk]:
        return self.tables["disks"]

    @property
    def networks(self) -> Mapping[str, Network]:
        return self.tables["networks"]

    @property
    def filters(self) -> Mapping[str, FilterRule]:
        return self.tables["filters"]

    # --- finding by what an operator types: full name, leading components, or UUID --------------------

    def node(self, name: str) -> Node:
        found: Node = self._find("nodes", name)
        return found

    def group(self, name: str) -> NodeGroup:
        found: NodeGroup = self._find("nodegroups", name)
        return found

    def instance(self, name: str) -> Instance:
        found: Instance = self._find("instances", name)
        return found

    def network(self, name: str) -> Network:
        found: Network = self._find("networks", name)
        return found

    def _find(self, table: str, name: str) -> Any:
        objects, names = self.tables[table], self._by_name[table]
        uuid = names.get(name) or (name if name in objects else None)
        if uuid is None:
            short = find_short(name, names)
            uuid = names[short] if short else None
        if uuid is None:
            raise NotFound(kind=KINDS[table].capitalize(), name=name)
        return objects[uuid]

    def name_taken(self, table: str, name: str) -> bool:
        return name in self._by_name[table]

    def uuid_of(self, table: str, name: str) -> str | None:
        """UUID of the object with exactly this name."""
        return self._by_name[table].get(name)

    # --- relations ----------------------------------------------------------------------------------

    def disks_of(self, instance: Instance) -> tuple[Disk, ...]:
        return tuple(self.disks[uuid] for uuid in instance.disks)

    def secondaries_of(self, instance: Instance) -> tuple[str, ...]:
        """UUIDs of the nodes that hold the instance's disks beside the primary."""
        seen: dict[str, None] = {}
        for disk in self.disks_of(instance):
            seen.update(dict.fromkeys(node for node in disk.nodes if node != instance.primary_node))
        return tuple(seen)

    def primaries_of(self, node: str) -> tuple[Instance, ...]:
        """Instances whose primary node has this UUID."""
        return tuple(self.instances[uuid] for uuid in sorted(self._by_node.get(node, ())))

    def owner_of(self, disk: str) -> Instance | None:
        """The instance that has the disk with this UUID."""
        uuid = self._owner.get(disk)
        return None if uuid is None else self.instances[uuid]

    def disks_on(self, node: str) -> tuple[Disk, ...]:
        """Disks that are recorded to lie on this node."""
        return tuple(self.disks[uuid] for uuid in sorted(self._disks_on.get(node, ())))

    def secondaries_at(self, node: str) -> tuple[Instance, ...]:
        """Instances that have a disk on this node which is not their primary."""
        found = {uuid for disk in self._disks_on.get(node, ()) if (uuid := self._owner.get(disk)) is not None}
        return tuple(self.instances[uuid] for uuid in sorted(found) if self.instances[uuid].primary_node != node)

    def ports_in_use(self) -> KeysView[int]:
        """TCP ports of the instances' consoles and of the mirrored disks."""
        return self._ports.keys()

    def members_of(self, group: str) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes.values() if node.group == group)

    def online_nodes(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes.values() if not node.offline)

    def candidates(self) -> tuple[Node, ...]:
        """Master candidates, the master among them."""
        return tuple(node for node in self.nodes.values() if node.master_candidate and not node.offline)

    def names_of(self, nodes: Iterable[str]) -> list[str]:
        return [self.nodes[uuid].name for uuid in nodes]

    def frozen(self) -> "Config":
        """A copy that later changes do not touch, for whoever reads across an await.  Costs a copy of each
        dictionary, not of the objects.
        """
        copied = copy.copy(self)
        copied.tables = {name: dict(objects) for name, objects in self.tables.items()}
        copied._by_name = {name: dict(uuids) for name, uuids in self._by_name.items()}
        copied._by_node = {node: set(uuids) for node, uuids in self._by_node.items()}
        copied._owner = dict(self._owner)
        copied._disks_on = {node: set(uuids) for node, uuids in self._disks_on.items()}
        copied._ports = {port: set(users) for port, users in self._ports.items()}
        return copied

    # --- change: only for lib/config/change.py ----------------------------------------------------------

    def replace(self, table: str, value: ConfigObject) -> None:
        """Take `value` in place of what has its UUID."""
        self.remove(table, value.uuid)
        self.tables[table][value.uuid] = value
        self._by_name[table][value.name] = value.uuid
        if isinstance(value, Instance):
            self._index_instance(value)
        elif isinstance(value, Disk):
            self._index_disk(value)

    def remove(self, table: str, uuid: str) -> None:
        old = self.tables[table].pop(uuid, None)
        if old is None:
            return
        if self._by_name[table].get(old.name) == uuid:
            del self._by_name[table][old.name]
        if isinstance(old, Instance):
            self._by_node[old.primary_node].discard(uuid)
            self._drop_port(old.network_port, uuid)
            for disk in old.disks:
                if self._owner.get(disk) == uuid:
                    del self._owner[disk]
        elif isinstance(old, Disk):
            for node in old.nodes:
                self._disks_on[node].discard(uuid)
            if old.drbd is not None:
                self._drop_port(old.drbd.port, uuid)

    def _index_instance(self, instance: Instance) -> None:
        self._by_node.setdefault(instance.primary_node, set()).add(instance.uuid)
        self._owner.update(dict.fromkeys(instance.disks, instance.uuid))
        if instance.network_port is not None:
            self._ports.setdefault(instance.network_port, set()).add(instance.uuid)

    def _index_disk(self, disk: Disk) -> None:
        for node in disk.nodes:
            self._disks_on.setdefault(node, set()).add(disk.uuid)
        if disk.drbd is not None:
            self._ports.setdefault(disk.drbd.port, set()).add(disk.uuid)

    def _drop_port(self, port: int | None, user: str) -> None:
        users = self._ports.get(port or 0, set())
        users.discard(user)
        if port is not None and not users:
            self._ports.pop(port, None)
