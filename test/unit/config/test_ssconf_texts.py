# SPDX-License-Identifier: BSD-2-Clause
"""The ssconf files say what other software expects of them."""

import dataclasses

from gantry.config import ssconf
from support.small_cluster import small_cluster

KEYS = {"cluster_name", "cluster_tags", "enabled_user_shutdown", "file_storage_dir", "gluster_storage_dir",
        "shared_file_storage_dir", "hvparams_kvm", "hypervisor_list", "instance_list", "maintain_node_health",
        "master_candidates", "master_candidates_certs", "master_candidates_ips", "master_ip", "master_netdev",
        "master_netmask", "master_node", "networks", "node_list", "node_primary_ips", "node_secondary_ips",
        "node_vm_capable", "nodegroups", "offline_nodes", "online_nodes", "primary_ip_family", "release_version",
        "ssh_ports", "uid_pool", "watcher_pause", "in_sync_candidates"}


def test_every_key_is_there():
    config = small_cluster()
    config.replace("cluster", dataclasses.replace(config.cluster, hvparams={"kvm": {"vga": "std", "acpi": True}}))
    assert ssconf.values(config).keys() == KEYS
    assert ssconf.values(config)["hvparams_kvm"] == "acpi=True\nvga=std"


def test_values():
    config = small_cluster()
    config.replace("cluster", dataclasses.replace(
        config.cluster, uid_pool=((1000, 1000), (2000, 2009)), candidate_certs={"n1": "AA:BB"},
        tags=frozenset({"b", "a"})))
    config.replace("nodes", dataclasses.replace(config.nodes["n3"], master_candidate=False, offline=True,
                                                ndparams={"ssh_port": 2222}))
    config.replace("nodegroups", dataclasses.replace(config.groups["g1"], ndparams={"ssh_port": 2022}))
    found = ssconf.values(config, in_sync=("n1", "n2"))
    assert found["uid_pool"] == "1000\n2000-2009"
    assert found["master_candidates_certs"] == "n1=AA:BB"
    assert found["cluster_tags"] == "a\nb"
    assert found["master_candidates"] == "node1.example.org\nnode2.example.org"
    assert found["offline_nodes"] == "node3.example.org"
    assert found["node_vm_capable"].splitlines()[0] == "node1.example.org=True"
    assert found["node_primary_ips"].splitlines()[1] == "node2.example.org 192.0.2.2"
    assert found["ssh_ports"].splitlines() == ["node1.example.org=2022", "node2.example.org=2022",
                                               "node3.example.org=2222"]
    assert found["nodegroups"] == "g1 default"
    assert found["master_node"] == "node1.example.org"
