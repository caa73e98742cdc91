# SPDX-License-Identifier: BSD-2-Clause
"""Whether what a cluster reports of its nodes agrees with the instances on them."""

from hbal.model import NO_NODE, ClusterData

MOST_MEMORY, MOST_DISK = 512, 1024
"""MiB that may be missing on a node without a word."""


def warnings(data: ClusterData) -> list[str]:
    """A sentence for each node that misses memory or disk (`data` is prepared), the last node first.

    All instances count as if their disks were on their nodes, whatever the template.
    """
    disk = [int(node.total_disk) - node.free_disk for node in data.nodes]
    for instance in data.instances:
        if not instance.forthcoming:
            for node in {instance.primary, instance.secondary} - {NO_NODE}:
                disk[node] -= instance.disk
    return [f"node {node.name} is missing {node.missing_memory} MB ram and {missing // 1024} GB disk"
            for node, missing in zip(reversed(data.nodes), reversed(disk), strict=True)
            if (node.missing_memory or 0) > MOST_MEMORY or missing > MOST_DISK]
