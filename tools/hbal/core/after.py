# SPDX-License-Identifier: BSD-2-Clause
"""The cluster as it is after moves, as the loaders give it."""


from hbal.core.arrays import State
from hbal.model import NO_NODE, ClusterData


def applied(state: State) -> ClusterData:
    """The data the state was built from, with instances on their new nodes and disks and spindles to match.

    What a node reports as its free memory stays as it was, as in the files of other tools.
    """
    data = state.data
    nodes, instances = list(data.nodes), list(data.instances)
    for local, index in enumerate(state.node_ids):
        node = nodes[index]
        nodes[index] = node._replace(
            free_disk=int(state.free_disk[local]),
            free_spindles=int(state.free_spindles[local]) if node.exclusive_storage else node.free_spindles)
    for local, index in enumerate(state.instance_ids):
        primary, secondary = int(state.primary[local]), int(state.secondary[local])
        if primary < state.count and secondary <= state.count:
            instances[index] = instances[index]._replace(
                primary=state.node_ids[primary],
                secondary=NO_NODE if secondary == state.count else state.node_ids[secondary])
    return data._replace(nodes=tuple(nodes), instances=tuple(instances))
