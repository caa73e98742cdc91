# SPDX-License-Identifier: BSD-2-Clause
"""The pool of master candidates: how many there should be, who fills it up."""

from collections.abc import Iterable, Mapping

from gantry.objects.cluster import Node
from gantry.utils.names import nice_key


def may_be_candidate(node: Node) -> bool:
    return node.master_capable and not node.offline and not node.drained


def wanted(nodes: Iterable[Node], pool_size: int) -> int:
    """How many candidates there should be: the pool's size, or all nodes that may be one."""
    return min(pool_size, sum(may_be_candidate(node) for node in nodes))


def short_by(nodes: Iterable[Node], pool_size: int) -> int:
    """How many candidates are missing."""
    listed = list(nodes)
    return max(0, wanted(listed, pool_size) - sum(node.master_candidate for node in listed))


def to_promote(nodes: Iterable[Node], pool_size: int, *, without: frozenset[str] = frozenset()) -> tuple[Node, ...]:
    """Nodes to make candidates so that the pool is full; those in `without` (UUIDs) are left alone."""
    listed = list(nodes)
    free = sorted((node for node in listed if may_be_candidate(node) and not node.master_candidate
                   and node.uuid not in without), key=lambda node: nice_key(node.name))
    return tuple(free[:short_by(listed, pool_size)])


def certificates(nodes: Mapping[str, Node]) -> dict[str, str]:
    """`candidate_certs` of the cluster for these nodes."""
    return {uuid: node.certificate for uuid, node in nodes.items() if node.master_candidate and node.certificate}
