# SPDX-License-Identifier: BSD-2-Clause
"""Random clusters for the balancer's tests: small, crowded, with everything that the model knows."""

import random

from hbal.model import (
    DEFAULT_POLICY,
    NO_NODE,
    AllocPolicy,
    ClusterData,
    Disk,
    Group,
    Instance,
    MinMax,
    Node,
    Policy,
    Spec,
    Status,
    Template,
)

CLUSTER_TAGS = ("htools:iextags:t", "htools:iextags:role:", "htools:nlocation:dc", "htools:nlocation:rack",
                "htools:desiredlocation:dc", "htools:migration:hv", "htools:allowmigration:hv:1::hv:2", "other",
                "htools:iextags:", "htools:nlocation")
NODE_TAGS = ("dc:a", "dc:b", "rack:1", "rack:2", "hv:1", "hv:2", "htools:standby:auto", "x")
INSTANCE_TAGS = ("t:1", "t:2", "tx", "role:db", "role:web", "dc:a", "dc:b", "y")


def cluster(seed: int, *, nodes: int = 6, instances: int = 14, groups: int = 2) -> ClusterData:
    """A cluster that follows from its seed alone."""
    dice = random.Random(seed)
    own_groups = tuple(_group(dice, index) for index in range(groups))
    own_nodes = tuple(_node(dice, index, groups, exclusive=seed % 4 == 0) for index in range(nodes))
    return ClusterData(
        own_groups, own_nodes, tuple(_instance(dice, index, nodes) for index in range(instances)),
        tuple(tag for tag in CLUSTER_TAGS if dice.random() < 0.6), _policy(dice))


def _policy(dice: random.Random) -> Policy:
    if dice.random() < 0.3:
        return DEFAULT_POLICY
    low, high = Spec(128, 1, 1024, 1, 1, 1), Spec(32768, 8, 1048576, 16, 8, 12)
    pairs = (MinMax(low, high),) * dice.randint(1, 2)
    return Policy(low, pairs, (Template.DRBD, Template.PLAIN), dice.choice((1.5, 4.0)), dice.choice((4.0, 32.0)))


def _group(dice: random.Random, index: int) -> Group:
    return Group(f"group-{index:02d}", f"uuid-{index:02d}", dice.choice([*AllocPolicy]),
                 ("g1", "g2")[:dice.randint(0, 2)], ("net1", "net2")[:dice.randint(0, 2)], _policy(dice))


def _some(dice: random.Random, tags: tuple[str, ...], chance: float) -> tuple[str, ...]:
    return tuple(tag for tag in tags if dice.random() < chance)


def _node(dice: random.Random, index: int, groups: int, *, exclusive: bool) -> Node:
    memory, disk = dice.choice((16384, 32768)), dice.choice((500000, 1000000))
    return Node(
        f"node{index}.example.com", index % groups, float(memory), dice.randint(0, 2048), dice.randint(-500, memory),
        float(disk), dice.randint(0, disk), float(dice.choice((4, 8, 16))), dice.randint(0, 2),
        offline=dice.random() < 0.2, master=index == 0, spindles=dice.randint(1, 12),
        free_spindles=dice.randint(0, 6), exclusive_storage=exclusive and dice.random() < 0.8,
        cpu_speed=dice.choice((1.0, 1.25, 0.8)), tags=_some(dice, NODE_TAGS, 0.3))


def _instance(dice: random.Random, index: int, nodes: int) -> Instance:
    template = dice.choice([*Template, *[Template.DRBD] * 8])
    primary, secondary = dice.sample(range(nodes), 2)
    disk = dice.randint(0, 60000)
    return Instance(
        f"inst{index}.example.com", dice.choice((128, 1024, 4096)), disk,
        (Disk(disk, dice.choice((None, 1, 2))),), dice.randint(1, 4), dice.choice([*Status, *[Status.RUNNING] * 9]),
        auto_balance=dice.random() < 0.8, primary=primary,
        secondary=secondary if template.has_secondary else NO_NODE, template=template,
        tags=_some(dice, INSTANCE_TAGS, 0.25), spindle_use=dice.randint(1, 3), forthcoming=dice.random() < 0.15)
