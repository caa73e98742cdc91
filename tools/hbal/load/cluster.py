# SPDX-License-Identifier: BSD-2-Clause
"""What the two live sources, LUXI and RAPI, make of the records that a cluster gives them.

They name things differently but mean the same; here a record is already a `Fields` with the names of RAPI.
"""

from collections.abc import Sequence

from hbal.errors import LoadError
from hbal.load.fields import Fields, read_policy
from hbal.model import NO_NODE, AllocPolicy, ClusterData, Disk, Group, Instance, Node, Status, Template


def assemble(groups: Sequence[Fields], nodes: Sequence[Fields], instances: Sequence[Fields],
             info: Fields, *, cpu_speeds: bool) -> ClusterData:
    """The cluster; raises LoadError for whatever is missing or does not fit.  Without `cpu_speeds` all are 1."""
    found_groups = tuple(_group(fields) for fields in groups)
    by_uuid = {group.uuid: index for index, group in enumerate(found_groups)}
    master = info.text("master")
    found_nodes = tuple(_node(fields, by_uuid, master, cpu_speeds=cpu_speeds) for fields in nodes)
    by_name = {node.name: index for index, node in enumerate(found_nodes)}
    if master not in by_name:
        raise LoadError(f"The master node '{master}' is not among the nodes")
    return ClusterData(
        found_groups, found_nodes, tuple(_instance(fields, by_name) for fields in instances), info.texts("tags"),
        read_policy(info.object("ipolicy")), info.optional_text("default_hypervisor"))


def _group(fields: Fields) -> Group:
    return Group(fields.text("name"), fields.text("uuid"), fields.choice("alloc_policy", AllocPolicy),
                 fields.texts("tags"), (), read_policy(fields.object("ipolicy")))


def _node(fields: Fields, groups: dict[str, int], master: str, *, cpu_speeds: bool) -> Node:
    name, uuid = fields.text("name"), fields.text("group.uuid")
    group = groups.get(uuid)
    if group is None:
        raise LoadError(f"Unknown group '{uuid}' for node {name}")
    live = not fields.flag("offline") and fields.flag("vm_capable", default=True)
    params = fields.object("ndparams")
    exclusive = params.flag("exclusive_storage", default=False)
    tags, speed = fields.texts("tags"), params.amount("cpu_speed", default=1.0) if cpu_speeds else 1.0
    own_spindles = params.size("spindle_count")
    if not live:
        return Node(name, group, offline=True, master=name == master, node_cpus=0, exclusive_storage=exclusive,
                    spindles=0 if exclusive else own_spindles, tags=tags, cpu_speed=speed)
    return Node(
        name, group, total_memory=fields.amount("mtotal"), node_memory=fields.size("mnode"),
        free_memory=fields.whole("mfree"), total_disk=fields.amount("dtotal", default=0.0),
        free_disk=fields.whole("dfree", default=0), total_cpus=fields.amount("ctotal"),
        node_cpus=fields.size("cnos"), offline=fields.flag("drained"), master=name == master,
        spindles=fields.size("sptotal") if exclusive else own_spindles,
        free_spindles=fields.whole("spfree", default=0), exclusive_storage=exclusive, tags=tags, cpu_speed=speed)


def _instance(fields: Fields, nodes: dict[str, int]) -> Instance:
    name, secondaries = fields.text("name"), fields.texts("snodes")
    names = (fields.text("pnode"), *secondaries[:1])
    for node in names:
        if node not in nodes:
            raise LoadError(f"Unknown node '{node}' for instance {name}")
    params = fields.object("beparams")
    memory = "memory" if "memory" in params else "maxmem"
    return Instance(
        name, memory=fields.size("oper_ram") if fields.has_number("oper_ram") else params.size(memory),
        disk=fields.size("disk_usage"), disks=_disks(fields), vcpus=params.size("vcpus"),
        status=fields.choice("status", Status), auto_balance=params.flag("auto_balance"),
        primary=nodes[names[0]], secondary=nodes[names[1]] if secondaries else NO_NODE,
        template=fields.choice("disk_template", Template), tags=fields.texts("tags"),
        spindle_use=params.size("spindle_use"), forthcoming=fields.flag("forthcoming", default=False))


def _disks(fields: Fields) -> tuple[Disk, ...]:
    sizes = fields.sizes("disk.sizes")
    spindles = fields.sizes("disk.spindles", default=(None,) * len(sizes))
    if len(sizes) != len(spindles):
        raise fields.fail("disk.spindles", f"{len(spindles)} values for {len(sizes)} disks")
    return tuple(Disk(size or 0, spindle) for size, spindle in zip(sizes, spindles, strict=True))
