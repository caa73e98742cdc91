# SPDX-License-Identifier: BSD-2-Clause
"""Inheritance of parameters, level by level."""

import dataclasses

from gantry.config import effective
from gantry.objects.instance import Nic
from support.small_cluster import small_cluster


def changed(config, table, uuid, **fields):
    config.replace(table, dataclasses.replace(config.tables[table][uuid], **fields))
    return config.tables[table][uuid]


def test_hypervisor_parameters_by_level():
    config = small_cluster()
    changed(config, "cluster", "c0", hvparams={"kvm": {"acpi": True, "vga": "", "boot_order": "disk", "keymap": ""}},
            os_hvp={"debian": {"kvm": {"vga": "std", "boot_order": "network", "keymap": "de"}},
                    "debian+small": {"kvm": {"boot_order": "cdrom", "keymap": "fr"}}})
    small = changed(config, "instances", "i1", hvparams={"keymap": "us"})
    assert effective.hvparams(config, small) == {"acpi": True, "vga": "std", "boot_order": "cdrom", "keymap": "us"}
    assert effective.hvparams(config, config.instance("web2"))["boot_order"] == "network"


def test_a_new_cluster_object_counts_at_once():
    config = small_cluster()
    instance = changed(config, "instances", "i1", beparams={"vcpus": 4})
    assert effective.beparams(config, instance)["maxmem"] == 128
    changed(config, "cluster", "c0", beparams={"default": {"maxmem": 512}})
    assert effective.beparams(config, instance) | {"vcpus": 4, "maxmem": 512} == effective.beparams(config, instance)


def test_the_answer_may_be_changed_by_the_caller():
    config = small_cluster()
    effective.beparams(config, config.instance("web1"))["vcpus"] = 99
    effective.diskparams(config, config.group("default"))["drbd"]["protocol"] = "A"
    assert effective.beparams(config, config.instance("web2"))["vcpus"] == 1
    assert effective.diskparams(config, config.group("default"))["drbd"]["protocol"] == "C"


def test_a_connected_network_replaces_the_clusters_nic_parameters():
    config = small_cluster()
    changed(config, "cluster", "c0", nicparams={"default": {"mode": "bridged", "link": "br9", "vlan": "5"}})
    nic = Nic(uuid="x", mac="aa:00:00:00:00:09", network="w1", nicparams={"link": "own"})
    assert effective.nicparams(config, nic, "g1") == {"mode": "bridged", "link": "own", "vlan": "5"}
    changed(config, "nodegroups", "g1", networks={"w1": {"mode": "routed", "link": "main"}})
    assert effective.nicparams(config, nic, "g1") == {"mode": "routed", "link": "own", "vlan": ""}


def test_node_parameters_and_the_one_nodes_lack():
    config = small_cluster()
    changed(config, "nodegroups", "g1", ndparams={"ssh_port": 2222, "exclusive_storage": False})
    node = changed(config, "nodes", "n1", ndparams={"oob_program": "/bin/oob", "exclusive_storage": True})
    merged = effective.ndparams(config, node)
    assert (merged["ssh_port"], merged["oob_program"], merged["exclusive_storage"]) == (2222, "/bin/oob", False)


def test_disk_parameters_and_policy_of_a_group():
    config = small_cluster()
    changed(config, "cluster", "c0", diskparams={"plain": {"stripes": 2}}, ipolicy={"vcpu-ratio": 2.0,
                                                                                  "std": {"cpu-count": 3}})
    group = changed(config, "nodegroups", "g1", diskparams={"drbd": {"protocol": "A"}}, ipolicy={"spindle-ratio": 8.0})
    disks = effective.diskparams(config, group)
    assert (disks["plain"]["stripes"], disks["drbd"]["protocol"], disks["drbd"]["metavg"]) == (2, "A", "")
    policy = effective.ipolicy(config, group)
    assert (policy["vcpu-ratio"], policy["spindle-ratio"], policy["std"]["cpu-count"]) == (2.0, 8.0, 3)
    assert policy["disk-templates"] == list(config.cluster.enabled_disk_templates)


def test_os_parameters_of_os_and_variant():
    config = small_cluster()
    changed(config, "cluster", "c0", osparams={"debian": {"suite": "stable", "arch": "amd64"},
                                               "debian+small": {"suite": "testing"}},
            osparams_private_cluster={"debian": {"key": "a"}})
    instance = changed(config, "instances", "i1", osparams={"size": "1"}, osparams_private={"pin": "2"})
    assert effective.osparams(config, instance) == {"suite": "testing", "arch": "amd64", "size": "1"}
    assert effective.osparams_private(config, instance) == {"key": "a", "pin": "2"}
