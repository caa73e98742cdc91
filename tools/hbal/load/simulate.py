# SPDX-License-Identifier: BSD-2-Clause
"""Clusters that do not exist: `--simulate policy,nodes,disk,ram,cpus[,spindles[,exclusive]]`, a group each."""

from collections.abc import Callable, Sequence

from hbal.errors import BadUnit, LoadError
from hbal.load.units import mebibytes, whole
from hbal.model import AllocPolicy, ClusterData, Group, Node

SHORT = {"p": AllocPolicy.PREFERRED, "a": AllocPolicy.LAST_RESORT, "u": AllocPolicy.UNALLOCABLE}
MOST_NODES = 1_000_000


def load(specs: Sequence[str]) -> ClusterData:
    """One group for each spec, the last one first, which is how operators know it; everything is free, the first
    node of all is the master.
    """
    groups: list[Group] = []
    nodes: list[Node] = []
    for number, spec in enumerate(reversed(specs), start=1):
        group, members = _group(spec, number, first=not nodes)
        groups.append(group)
        nodes += members
    return ClusterData(tuple(groups), tuple(nodes), ())


def _group(spec: str, number: int, *, first: bool) -> tuple[Group, list[Node]]:
    columns = spec.split(",")
    if not 5 <= len(columns) <= 7:
        raise LoadError("Invalid cluster specification, expected 6 comma-separated sections (allocation policy, node "
                        f"count, disk size, memory size, number of CPUs, spindles) but got {len(columns)}: '{spec}'")
    policy = _policy(columns[0])
    count = _quantity("node count", whole, columns[1])
    disk = _quantity("disk size", mebibytes, columns[2])
    memory = _quantity("memory size", mebibytes, columns[3])
    cpus = _quantity("cpu count", whole, columns[4])
    spindles = _quantity("spindles", whole, columns[5]) if len(columns) > 5 else 1
    exclusive = _exclusive(columns[6]) if len(columns) > 6 else False
    if count > MOST_NODES:
        raise LoadError(f"node count: {count} is more than {MOST_NODES}")
    group = Group(f"group-{number:02d}", f"fake-uuid-{number:02d}", policy)
    return group, [
        Node(f"node-{number:02d}-{index:03d}", number - 1, total_memory=float(memory), free_memory=memory,
             total_disk=float(disk), free_disk=disk, total_cpus=float(cpus), master=first and index == 1,
             spindles=spindles, exclusive_storage=exclusive)
        for index in range(1, count + 1)]


def _policy(text: str) -> AllocPolicy:
    if text in SHORT:
        return SHORT[text]
    try:
        return AllocPolicy(text)
    except ValueError as err:
        raise LoadError(f'Invalid string value for type AllocPolicy: "{text}"; '
                        f"Cannot parse AllocPolicy abbreviation '{text}'") from err


def _quantity(what: str, read: Callable[[str], int], text: str) -> int:
    try:
        value = read(text)
    except (ValueError, BadUnit) as err:
        raise LoadError(f"{what}: {err}") from err
    if value < 0:
        raise LoadError(f"{what}: negative size '{text}'")
    return value


def _exclusive(text: str) -> bool:
    if text not in ("True", "False"):
        raise LoadError(f"exclusive storage: cannot parse string '{text}'")
    return text == "True"
