# SPDX-License-Identifier: BSD-2-Clause
"""A small cluster to change."""

from gantry.config.config import Config
from gantry.constants import DiskTemplate
from gantry.objects.cluster import Cluster, Network, Node, NodeGroup
from gantry.objects.instance import Disk, FileLocation, Instance, Nic


class MemoryStore:
    """A store that is durable at once."""

    def __init__(self):
        self.records = []
        self.failure = None

    def put(self, rows):
        if self.failure is not None:
            raise self.failure
        self.records.append(list(rows))
        return self._done(len(self.records))

    async def _done(self, serial):
        return serial

    async def read(self, table, keys=None):
        return {key: value for record in self.records for name, key, value in record if name == table}


def small_cluster():
    group = NodeGroup(uuid="g1", name="default")
    nodes = [Node(uuid=f"n{index}", name=f"node{index}.example.org", primary_ip=f"192.0.2.{index}",
                  secondary_ip=f"192.0.2.{index}", group="g1") for index in (1, 2, 3)]
    disk = Disk(uuid="d1", name="", dev_type=DiskTemplate.SHAREDFILE, size=1024,
                file=FileLocation(path="/srv/web1/disk"))
    mirrored = Disk(uuid="d2", name="", dev_type=DiskTemplate.DRBD, size=1024, nodes=("n1", "n2"))
    network = Network(uuid="w1", name="office", network="198.51.100.0/24")
    instances = [
        Instance(uuid="i1", name="web1.example.org", primary_node="n1", os="debian+small", hypervisor="kvm",
                 disks=("d1",), disk_template=DiskTemplate.SHAREDFILE,
                 nics=(Nic(uuid="c1", mac="aa:00:00:00:00:01", network="w1"),)),
        Instance(uuid="i2", name="web2.example.org", primary_node="n1", os="debian", hypervisor="kvm",
                 disks=("d2",), disk_template=DiskTemplate.DRBD),
    ]
    cluster = Cluster(uuid="c0", name="cluster.example.org", master_node="n1", master_ip="192.0.2.100")
    return Config({
        "cluster": {"c0": cluster}, "nodegroups": {"g1": group}, "nodes": {node.uuid: node for node in nodes},
        "disks": {"d1": disk, "d2": mirrored}, "networks": {"w1": network},
        "instances": {item.uuid: item for item in instances}})
