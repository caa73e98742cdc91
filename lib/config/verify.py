# SPDX-License-Identifier: BSD-2-Clause
"""Does the configuration hold together?  Pure: configuration in, problems out (`gnt-cluster verify`).

What transactions refuse is looked for all the same: a store may have been damaged or mended by hand.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from gantry import constants
from gantry.config import effective, references
from gantry.config.config import KINDS, Config
from gantry.errors import Error
from gantry.objects import hvparams, ipolicy, params
from gantry.objects.base import ConfigObject
from gantry.objects.cluster import Node, NodeGroup
from gantry.objects.instance import Disk, Instance

GENERAL, DANGLING_NODE, DANGLING_INSTANCE = "ECLUSTERCFG", "ECLUSTERDANGLINGNODES", "ECLUSTERDANGLINGINST"
_UNIQUE = ("nodes", "nodegroups", "instances", "networks")


@dataclass(frozen=True)
class ConfigProblem:
    """`kind`: cluster, node or instance; `item` its name, empty for the cluster."""

    code: str
    kind: str
    item: str
    text: str
    warning: bool = False


def verify(config: Config) -> list[ConfigProblem]:
    """All problems, the same ones in the same order for the same configuration."""
    return [problem for check in _CHECKS for problem in check(config)]


def wanted_candidates(config: Config) -> int:
    """How many master candidates there should be."""
    eligible = sum(node.master_capable and not node.offline and not node.drained for node in config.nodes.values())
    return min(config.cluster.candidate_pool_size, eligible)


def _cluster(text: str, *, warning: bool = False) -> ConfigProblem:
    return ConfigProblem(GENERAL, "cluster", "", text, warning)


def _twice(what: str, uses: Iterable[tuple[str, str]]) -> Iterator[ConfigProblem]:
    """`uses`: value and who has it."""
    users: dict[str, list[str]] = {}
    for value, user in uses:
        users.setdefault(value, []).append(user)
    for value, several in sorted(users.items()):
        if len(several) > 1:
            yield _cluster(f"{what} {value} is used more than once: {', '.join(sorted(several))}")


# --- the checks -------------------------------------------------------------------------------------------------


def _names(config: Config) -> Iterator[ConfigProblem]:
    for table in _UNIQUE:
        yield from _twice(f"{KINDS[table]} name", ((item.name, item.uuid) for item in config.tables[table].values()))
    uuids = Counter(uuid for table, objects in config.tables.items() if table != "filters" for uuid in objects)
    uuids.update(nic.uuid for instance in config.instances.values() for nic in instance.nics)
    for uuid, count in sorted(uuids.items()):
        if count > 1:
            yield _cluster(f"UUID {uuid} belongs to {count} objects")


def _addresses(config: Config) -> Iterator[ConfigProblem]:
    uses = [(config.cluster.master_ip, "cluster address")]
    for node in config.nodes.values():
        uses += [(address, node.name) for address in {node.primary_ip, node.secondary_ip}]
    yield from _twice("IP address", uses)
    macs, addresses, ports = [], [], []
    for instance in config.instances.values():
        group = _group_of(config, instance.primary_node)
        for index, nic in enumerate(instance.nics):
            user = f"{instance.name}/nic{index}"
            macs.append((nic.mac.lower(), user))
            if nic.ip:  # the same address may be in use on another link
                link = nic.network or effective.nicparams(config, nic, group)["link"]
                addresses.append((f"{nic.ip} (on {link})", user))
        if instance.network_port is not None:
            ports.append((str(instance.network_port), instance.name))
            if not constants.FIRST_PORT <= instance.network_port <= constants.LAST_PORT:
                yield _cluster(f"port {instance.network_port} of {instance.name} is outside of "
                               f"{constants.FIRST_PORT} to {constants.LAST_PORT}")
    for disk in config.disks.values():
        if disk.drbd is not None:
            ports.append((str(disk.drbd.port), _user(config, disk)))
    yield from _twice("MAC address", macs)
    yield from _twice("IP address", addresses)
    yield from _twice("network port", ports)


def _places(config: Config) -> Iterator[ConfigProblem]:
    """Two disks in one place would destroy each other."""
    uses = []
    for disk in config.disks.values():
        uses += [(place, _user(config, disk)) for place in _storage(config, disk)]
        if config.owner_of(disk.uuid) is None:
            yield _cluster(f"disk {disk.uuid} belongs to no instance", warning=True)
        yield from _ends(config, disk)
    yield from _twice("storage", uses)
    owned = Counter(disk for instance in config.instances.values() for disk in instance.disks)
    yield from (_cluster(f"disk {disk} belongs to {count} instances") for disk, count in owned.items() if count > 1)


def _user(config: Config, disk: Disk) -> str:
    owner = config.owner_of(disk.uuid)
    return f"{owner.name}/disk{owner.disks.index(disk.uuid)}" if owner is not None else f"disk {disk.uuid}"


def _storage(config: Config, disk: Disk) -> Iterator[str]:
    """What the disk takes on its nodes."""
    for where in disk.nodes or ("every node",):
        if disk.file is not None:
            yield f"{disk.file.path} on {_node_name(config, where)}"
        if disk.lvm is not None:
            yield f"{disk.lvm.vg}/{disk.lvm.lv} on {_node_name(config, where)}"
    for end in disk.drbd.ends if disk.drbd is not None else ():
        name = _node_name(config, end.node)
        yield f"DRBD minor {end.minor} on {name}"
        yield from (f"{place.vg}/{place.lv} on {name}" for place in (end.data, end.meta))


def _ends(config: Config, disk: Disk) -> Iterator[ConfigProblem]:
    """Whether a mirrored disk is between two nodes, and its instance on one of them."""
    if disk.drbd is None:
        return
    nodes = {end.node for end in disk.drbd.ends}
    user = _user(config, disk)
    if len(disk.drbd.ends) != 2 or nodes != set(disk.nodes) or len(nodes) != 2:
        yield _cluster(f"the mirrored disk {user} is not between two nodes")
    owner = config.owner_of(disk.uuid)
    if owner is not None and owner.primary_node not in nodes:
        yield _cluster(f"the mirrored disk {user} has no end on the primary node "
                       f"{_node_name(config, owner.primary_node)} of its instance")
    for end in disk.drbd.ends:
        node = config.nodes.get(end.node)
        if node is not None and end.address not in (node.secondary_ip, node.primary_ip):
            yield _cluster(f"the mirrored disk {user} uses the address {end.address} on {node.name}, which is not an "
                           "address of that node")


def _references(config: Config) -> Iterator[ConfigProblem]:
    for table, objects in config.tables.items():
        for value in objects.values():
            for other, uuid in references.targets(value):
                if uuid not in config.tables[other]:
                    yield _dangling(table, value, other, uuid)


def _dangling(table: str, value: ConfigObject, other: str, uuid: str) -> ConfigProblem:
    text = f"refers to the {KINDS[other]} '{uuid}', which does not exist"
    if table == "nodes":
        return ConfigProblem(DANGLING_NODE, "node", value.name, text)
    if table == "instances":
        return ConfigProblem(DANGLING_INSTANCE if other == "nodes" else GENERAL, "instance", value.name, text)
    return _cluster(f"{KINDS[table]} '{value.name or value.uuid}' {text}")


def _roles(config: Config) -> Iterator[ConfigProblem]:
    master = config.nodes.get(config.cluster.master_node)
    if master is not None and (master.offline or master.drained or not master.master_candidate):
        yield _cluster(f"the master node {master.name} must be a master candidate, neither offline nor drained")
    for node in config.nodes.values():
        flags = [name for name in ("master_candidate", "drained", "offline") if getattr(node, name)]
        if len(flags) > 1:
            yield ConfigProblem(GENERAL, "node", node.name, f"has more than one role: {', '.join(flags)}")
        if node.master_candidate and not node.master_capable:
            yield ConfigProblem(GENERAL, "node", node.name, "is a master candidate, but not master capable")
        if not node.vm_capable and (config.primaries_of(node.uuid) or config.secondaries_at(node.uuid)):
            yield ConfigProblem(GENERAL, "node", node.name, "holds instances, but is not vm capable")
    found, wanted = len(config.candidates()), wanted_candidates(config)
    if found < wanted:
        yield _cluster(f"not enough master candidates: {found} of {wanted}")


def _kinds(config: Config) -> Iterator[ConfigProblem]:
    """Disk templates and hypervisors that are known and enabled."""
    cluster = config.cluster
    known = {str(template) for template in constants.DiskTemplate}
    for name in cluster.enabled_disk_templates:
        if name not in known:
            yield _cluster(f"enabled disk template '{name}' is not known")
    for name in cluster.enabled_hypervisors:
        if name not in tuple(constants.HypervisorName):
            yield _cluster(f"enabled hypervisor '{name}' is not known")
    if not cluster.enabled_hypervisors:
        yield _cluster("no hypervisor is enabled")
    if not cluster.enabled_disk_templates:
        yield _cluster("no disk template is enabled")
    for instance in config.instances.values():
        if instance.hypervisor not in cluster.enabled_hypervisors:
            yield ConfigProblem(GENERAL, "instance", instance.name,
                                f"its hypervisor {instance.hypervisor} is not enabled")
        if instance.disk_template != "diskless" and instance.disk_template not in cluster.enabled_disk_templates:
            yield ConfigProblem(GENERAL, "instance", instance.name,
                                f"its disk template {instance.disk_template} is not enabled")


def _parameters(config: Config) -> Iterator[ConfigProblem]:
    cluster = config.cluster
    checks: list[tuple[str, Callable[[], object]]] = [
        ("backend parameters", lambda: params.check_be(cluster.beparams.get("default", {}))),
        ("NIC parameters", lambda: params.check_nic(cluster.nicparams.get("default", {}))),
        ("node parameters", lambda: params.check_nd(cluster.ndparams)),
        ("disk parameters", lambda: params.check_disk(cluster.diskparams)),
        ("instance policy", lambda: ipolicy.check_ipolicy(cluster.ipolicy)),
        ("instance policy", lambda: ipolicy.check_complete(effective.ipolicy_above(cluster),
                                                           cluster.enabled_disk_templates)),
    ]
    for name in cluster.enabled_hypervisors:
        values = cluster.hvparams.get(name, {})
        checks.append((f"parameters of hypervisor {name}", _hypervisor(name, values)))
    yield from (_cluster(f"{what}: {reason}") for what, reason in _failures(checks))
    for group in config.groups.values():
        for what, reason in _failures(_of_group(group)):
            yield _cluster(f"node group {group.name}: {what}: {reason}")


def _of_group(group: NodeGroup) -> list[tuple[str, Callable[[], object]]]:
    return [("node parameters", lambda: params.check_nd(group.ndparams)),
            ("disk parameters", lambda: params.check_disk(group.diskparams)),
            ("instance policy", lambda: ipolicy.check_ipolicy(group.ipolicy, group=True))]


def _instances(config: Config) -> Iterator[ConfigProblem]:
    for instance in config.instances.values():
        for what, reason in _failures(_of_instance(config, instance)):
            yield ConfigProblem(GENERAL, "instance", instance.name, f"{what}: {reason}")


def _of_instance(config: Config, instance: Instance) -> list[tuple[str, Callable[[], object]]]:
    group = _group_of(config, instance.primary_node)

    def check_nics() -> None:
        for nic in instance.nics:
            params.check_nic_effective(effective.nicparams(config, nic, group), ip=nic.ip)
    return [("backend parameters", lambda: params.check_be(instance.beparams)),
            ("backend parameters", lambda: params.check_be_effective(effective.beparams(config, instance))),
            ("NIC parameters", check_nics),
            ("hypervisor parameters", _hypervisor(instance.hypervisor, instance.hvparams))]


# --- helpers ------------------------------------------------------------------------------------------------------


def _hypervisor(name: str, values: Mapping[str, object]) -> Callable[[], object]:
    return lambda: hvparams.check(name, dict(values))


def _failures(checks: Iterable[tuple[str, Callable[[], object]]]) -> Iterator[tuple[str, str]]:
    for what, check in checks:
        try:
            check()
        except Error as err:
            yield what, str(err)


def _group_of(config: Config, node: str) -> str:
    found: Node | None = config.nodes.get(node)
    return found.group if found is not None else ""


def _node_name(config: Config, node: str) -> str:
    return config.nodes[node].name if node in config.nodes else node


_CHECKS: tuple[Callable[[Config], Iterator[ConfigProblem]], ...] = (
    _names, _addresses, _places, _references, _roles, _kinds, _parameters, _instances)
