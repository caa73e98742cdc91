# SPDX-License-Identifier: BSD-2-Clause
"""The ssconf files: what every node knows of the cluster, as text.  Pure: configuration in, texts out.

Keys and formats are those other software reads: a value, or one item a line.
"""

from collections.abc import Callable, Iterable

from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import RELEASE_VERSION
from gantry.objects.cluster import Cluster, Node
from gantry.utils.names import nice_key


def values(config: Config, *, in_sync: Iterable[str] = ()) -> dict[str, str]:
    """Text by key, without the final newline.  `in_sync`: UUIDs of candidates whose store copy is current."""
    nodes = sorted(config.nodes.values(), key=lambda node: nice_key(node.name))
    found = _of_cluster(config.cluster)
    found.update(_of_nodes(config, nodes))
    found["in_sync_candidates"] = _lines(sorted(in_sync))
    found["instance_list"] = _lines(sorted((item.name for item in config.instances.values()), key=nice_key))
    found["nodegroups"] = _lines(sorted(f"{group.uuid} {group.name}" for group in config.groups.values()))
    found["networks"] = _lines(sorted(f"{net.uuid} {net.name}" for net in config.networks.values()))
    for hypervisor, parameters in config.cluster.hvparams.items():
        found[f"hvparams_{hypervisor}"] = _lines(f"{name}={value}" for name, value in sorted(parameters.items()))
    return found


def _of_cluster(cluster: Cluster) -> dict[str, str]:
    return {
        "cluster_name": cluster.name, "cluster_tags": _lines(sorted(cluster.tags)),
        "enabled_user_shutdown": str(cluster.enabled_user_shutdown),
        "file_storage_dir": cluster.file_storage_dir, "gluster_storage_dir": cluster.gluster_storage_dir,
        "shared_file_storage_dir": cluster.shared_file_storage_dir,
        "hypervisor_list": _lines(cluster.enabled_hypervisors),
        "maintain_node_health": str(cluster.maintain_node_health), "master_ip": cluster.master_ip,
        "master_netdev": cluster.master_netdev, "master_netmask": str(cluster.master_netmask),
        "watcher_pause": f"{cluster.watcher_pause:.0f}" if cluster.watcher_pause else "",
        "primary_ip_family": str(cluster.primary_ip_family), "release_version": RELEASE_VERSION,
        "uid_pool": _lines(str(low) if low == high else f"{low}-{high}" for low, high in cluster.uid_pool),
        "master_candidates_certs": _lines(f"{uuid}={digest}"
                                          for uuid, digest in sorted(cluster.candidate_certs.items())),
    }


def _of_nodes(config: Config, nodes: list[Node]) -> dict[str, str]:
    def some(text: Callable[[Node], str], *, where: Callable[[Node], bool] = lambda _: True) -> str:
        return _lines(text(node) for node in nodes if where(node))

    master = config.nodes.get(config.cluster.master_node)
    return {
        "master_node": master.name if master is not None else "",
        "master_candidates": some(lambda node: node.name, where=lambda node: node.master_candidate),
        "master_candidates_ips": some(lambda node: node.primary_ip, where=lambda node: node.master_candidate),
        "node_list": some(lambda node: node.name),
        "node_primary_ips": some(lambda node: f"{node.name} {node.primary_ip}"),
        "node_secondary_ips": some(lambda node: f"{node.name} {node.secondary_ip}"),
        "node_vm_capable": some(lambda node: f"{node.name}={node.vm_capable}"),
        "offline_nodes": some(lambda node: node.name, where=lambda node: node.offline),
        "online_nodes": some(lambda node: node.name, where=lambda node: not node.offline),
        "ssh_ports": some(lambda node: f"{node.name}={effective.ndparams(config, node)['ssh_port']}"),
    }


def _lines(items: Iterable[str]) -> str:
    return "\n".join(items)
