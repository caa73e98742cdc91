# SPDX-License-Identifier: BSD-2-Clause
"""What is wrong with a configuration is found, and nothing else."""

import dataclasses

import pytest

from gantry.config import defaults
from gantry.config.verify import verify
from gantry.constants import DiskTemplate
from gantry.objects.instance import Disk, FileLocation, Nic
from support.small_cluster import small_cluster


@pytest.fixture
def config():
    found = small_cluster()
    cluster = defaults.new_cluster(uuid="c0", name="cluster.example.org", master_ip="192.0.2.100", master_node="n1",
                                   options={"enabled_disk_templates": ["sharedfile", "drbd"]})
    found.replace("cluster", cluster)
    return found


def change(config, table, uuid, **fields):
    config.replace(table, dataclasses.replace(config.tables[table][uuid], **fields))


def texts(config):
    return [f"{problem.code}:{problem.kind}:{problem.item}:{problem.text}" for problem in verify(config)]


def test_a_good_configuration_has_no_problem(config):
    assert texts(config) == []


NIC = Nic(uuid="c9", mac="AA:00:00:00:00:01", ip="198.51.100.7", network="w1")


@pytest.mark.parametrize(("table", "uuid", "fields", "expected"), [
    ("nodes", "n2", {"name": "node1.example.org"}, "ECLUSTERCFG:cluster::node name node1.example.org is used more"),
    ("nodes", "n2", {"primary_ip": "192.0.2.1"}, "IP address 192.0.2.1 is used more than once: node1"),
    ("nodes", "n2", {"secondary_ip": "192.0.2.100"}, "IP address 192.0.2.100 is used more than once: cluster address"),
    ("nodes", "n2", {"group": "g9"}, "ECLUSTERDANGLINGNODES:node:node2.example.org:refers to the node group 'g9'"),
    ("nodes", "n2", {"drained": True}, "node2.example.org:has more than one role: master_candidate, drained"),
    ("nodes", "n2", {"master_capable": False}, "is a master candidate, but not master capable"),
    ("nodes", "n2", {"vm_capable": False}, "holds instances, but is not vm capable"),
    ("nodes", "n3", {"master_candidate": False}, "not enough master candidates: 2 of 3"),
    ("nodes", "n1", {"offline": True}, "the master node node1.example.org must be"),
    ("instances", "i1", {"primary_node": "n9"}, "ECLUSTERDANGLINGINST:instance:web1.example.org:refers to the node"),
    ("instances", "i1", {"disks": ("d1", "d9")}, "ECLUSTERCFG:instance:web1.example.org:refers to the disk 'd9'"),
    ("instances", "i1", {"disks": ("d1", "d2")}, "disk d2 belongs to 2 instances"),
    ("instances", "i1", {"disks": ()}, "disk d1 belongs to no instance"),
    ("instances", "i2", {"nics": (NIC,)}, "MAC address aa:00:00:00:00:01 is used more than once: web1"),
    ("instances", "i2", {"nics": (NIC, NIC)}, "IP address 198.51.100.7 (on w1) is used more than once"),
    ("instances", "i2", {"network_port": 80}, "port 80 of web2.example.org is outside of 11000"),
    ("instances", "i2", {"hypervisor": "xen"}, "its hypervisor xen is not enabled"),
    ("instances", "i2", {"disk_template": DiskTemplate.PLAIN}, "its disk template plain is not enabled"),
    ("instances", "i2", {"beparams": {"minmem": 9999}}, "backend parameters: Minimum memory (9999 MiB)"),
    ("instances", "i2", {"beparams": {"vcpus": "x"}}, "'vcpus' (value x) is not a valid integer"),
    ("instances", "i2", {"hvparams": {"nonsense": 1}}, "Unknown parameter 'nonsense'"),
    ("instances", "i2", {"nics": (Nic(uuid="c9", mac="aa:00:00:00:00:02", nicparams={"mode": "routed"}),)},
     "A routed interface must have an IP address"),
    ("nodegroups", "g1", {"networks": {"w9": {}}}, "node group 'default' refers to the network 'w9'"),
    ("nodegroups", "g1", {"ipolicy": {"std": {}}}, "node group default: instance policy: Standard instance specs"),
    ("nodegroups", "g1", {"ndparams": {"color": "red"}}, "node group default: node parameters: Unknown parameter"),
    ("cluster", "c0", {"enabled_disk_templates": ("sharedfile", "drbd", "tape")}, "disk template 'tape' is not known"),
    ("cluster", "c0", {"enabled_hypervisors": ("kvm", "xen")}, "hypervisor 'xen' is not known"),
    ("cluster", "c0", {"enabled_hypervisors": ()}, "no hypervisor is enabled"),
    ("cluster", "c0", {"master_node": "n9"}, "refers to the node 'n9'"),
    ("cluster", "c0", {"ipolicy": {"disk-templates": ["plain"]}}, "plain, which the cluster has not enabled"),
    ("cluster", "c0", {"hvparams": {"kvm": {"acpi": "perhaps"}}}, "'acpi' (value perhaps) is not a valid boolean"),
])
def test_each_problem_is_named(config, table, uuid, fields, expected):
    change(config, table, uuid, **fields)
    assert any(expected in text for text in texts(config)), texts(config)


def test_two_disks_in_one_place(config):
    config.replace("disks", Disk(uuid="d3", name="", dev_type=DiskTemplate.SHAREDFILE, size=1,
                                 file=FileLocation(path="/srv/web1/disk")))
    assert any("storage /srv/web1/disk on every node is used more than once" in text for text in texts(config))
