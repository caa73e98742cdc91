# SPDX-License-Identifier: BSD-2-Clause
"""The text format: what `-t` reads, `-S` and hscan write.

Sections are separated by one empty line: groups, nodes, instances, cluster tags, instance policies.  Columns are
separated by `|`, lists by `,`.  Short forms of lines that older programs wrote are accepted.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from hbal.errors import Error, LoadError
from hbal.load.choices import Choice, chosen
from hbal.load.units import number, whole
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

Number = TypeVar("Number", int, float)

SHORTEST_GROUP, SHORTEST_NODE, SHORTEST_INSTANCE, SHORTEST_POLICY = 4, 9, 10, 6
NODE_DEFAULTS = ("1", "", "N", "0", "1", "1.0")
INSTANCE_DEFAULTS = ("1", "-", "N")


def load(path: str) -> ClusterData:
    """The cluster in a file; raises LoadError."""
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
    except UnicodeDecodeError as err:
        raise LoadError(f"{path}: not a text file in UTF-8 (byte {err.start})") from err
    except (OSError, ValueError) as err:
        raise LoadError(f"{path}: {getattr(err, 'strerror', None) or err}") from err
    return parse(text)


def parse(text: str) -> ClusterData:
    """The cluster that the text describes; raises LoadError for whatever is wrong with it."""
    parts = sections(text)
    if len(parts) < 4:
        raise LoadError(f"Invalid format of the input file: {len(parts)} sections instead of 4 or more")
    groups = unique("group", [parse_group(line) for line in parts[0]], lambda group: group.uuid)
    by_uuid = {group.uuid: index for index, group in enumerate(groups)}
    nodes = unique("node", [parse_node(line, by_uuid) for line in parts[1]], lambda node: node.name)
    by_name = {node.name: index for index, node in enumerate(nodes)}
    instances = unique("instance", [parse_instance(line, by_name) for line in parts[2]],
                       lambda instance: instance.name)
    policy, groups = parse_policies(parts[4] if len(parts) > 4 else [], groups)
    return ClusterData(tuple(groups), tuple(nodes), tuple(instances), tuple(parts[3]), policy)


def sections(text: str) -> list[list[str]]:
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        return []
    found: list[list[str]] = [[]]
    for line in lines:
        if line:
            found[-1].append(line)
        else:
            found.append([])
    return found


Record = TypeVar("Record")


def unique(kind: str, records: list[Record], key: Callable[[Record], str]) -> list[Record]:
    """The records, refused when two of them share the key by which others refer to them."""
    seen: set[str] = set()
    for record in records:
        if key(record) in seen:
            raise LoadError(f"Duplicate {kind} '{key(record)}'")
        seen.add(key(record))
    return records


def parse_group(line: str) -> Group:
    columns = line.split("|")
    if len(columns) < SHORTEST_GROUP:
        raise LoadError(f"Invalid/incomplete group data: '{line}'")
    name, uuid, policy, tags, networks = (*columns, "")[:5]
    return Group(name, uuid, choice(AllocPolicy, policy), listed(tags), listed(networks))


def parse_node(line: str, groups: dict[str, int]) -> Node:
    columns = line.split("|")
    if len(columns) < SHORTEST_NODE:
        raise LoadError(f"Invalid/incomplete node data: '{line}'")
    columns += NODE_DEFAULTS[len(columns) - SHORTEST_NODE:]
    name, uuid = columns[0], columns[8]
    group = groups.get(uuid)
    if group is None:
        raise LoadError(f"Unknown group '{uuid}' for node {name}")
    try:
        if "?" in columns[1:7]:
            return Node(name, group, offline=True, spindles=0, node_cpus=0, master=columns[7] == "M")
        return Node(
            name, group,
            total_memory=size(number, columns[1]), node_memory=size(whole, columns[2]), free_memory=whole(columns[3]),
            total_disk=size(number, columns[4]), free_disk=whole(columns[5]), total_cpus=size(number, columns[6]),
            offline=columns[7] == "Y", master=columns[7] == "M", spindles=size(whole, columns[9]),
            tags=listed(columns[10]),
            exclusive_storage=yes_no(columns[11], f"Invalid exclusive_storage value for node '{name}': {columns[11]}"),
            free_spindles=whole(columns[12]), node_cpus=size(whole, columns[13]), cpu_speed=size(number, columns[14]))
    except ValueError as err:
        raise LoadError(f"{name}: {err}") from err


def parse_instance(line: str, nodes: dict[str, int]) -> Instance:
    columns = line.split("|")
    if len(columns) < SHORTEST_INSTANCE:
        raise LoadError(f"Invalid/incomplete instance data: '{line}'")
    columns += INSTANCE_DEFAULTS[len(columns) - SHORTEST_INSTANCE:]
    name, balance, primary, secondary, template, forthcoming = (columns[at] for at in (0, 5, 6, 7, 8, 12))
    places = [nodes.get(node) for node in (primary, secondary) if node != "" or node is primary]
    for place, node in zip(places, (primary, secondary), strict=False):
        if place is None:
            raise LoadError(f"Unknown node '{node}' for instance {name}")
    try:
        disk = size(whole, columns[2])
        spindles = None if columns[11] == "-" else size(whole, columns[11])
        instance = Instance(
            name, memory=size(whole, columns[1]), disk=disk, disks=(Disk(disk, spindles),),
            vcpus=size(whole, columns[3]), status=choice(Status, columns[4]),
            auto_balance=yes_no(balance, f"Invalid auto_balance value '{balance}' for instance {name}"),
            primary=nodes[primary], secondary=nodes[secondary] if secondary else NO_NODE,
            template=choice(Template, template, f"Instance {name}: "), tags=listed(columns[9]),
            spindle_use=size(whole, columns[10]),
            forthcoming=yes_no(forthcoming, f"Invalid forthcoming value '{forthcoming}' for instance {name}"))
    except ValueError as err:
        raise LoadError(f"{name}: {err}") from err
    if instance.primary == instance.secondary:
        raise LoadError(f"Instance {name} has same primary and secondary node - {primary}")
    return instance


def parse_policies(lines: list[str], groups: list[Group]) -> tuple[Policy, list[Group]]:
    """The cluster's policy, and the groups with theirs."""
    cluster, own = DEFAULT_POLICY, list(groups)
    for line in lines:
        owner, policy = parse_policy(line)
        if owner == "":
            cluster = policy
            continue
        found = [index for index, group in enumerate(own) if group.uuid == owner]
        found = found or [index for index, group in enumerate(own) if group.name == owner]
        if len(found) != 1:
            raise LoadError(f"Instance policy of an unknown group '{owner}'" if not found
                            else f"Instance policy for '{owner}', which several groups are called")
        group = own[found[0]]
        own[found[0]] = Group(group.name, group.uuid, group.alloc_policy, group.tags, group.networks, policy)
    return cluster, own


def parse_policy(line: str) -> tuple[str, Policy]:
    columns = line.split("|")
    if len(columns) < SHORTEST_POLICY:
        raise LoadError(f"Invalid ipolicy data: '{line}'")
    owner, standard, bounds, templates, vcpu_ratio, spindle_ratio = columns[:6]
    specs = [parse_spec(part, f"{owner}/minmaxspecs") for part in bounds.split(";")] if bounds else []
    if len(specs) % 2:
        raise LoadError(f"Odd number of min/max specs for {owner or 'the cluster'}")
    return owner, Policy(
        parse_spec(standard, f"{owner}/stdspec"),
        tuple(MinMax(low, high) for low, high in zip(specs[::2], specs[1::2], strict=True)),
        tuple(choice(Template, template) for template in listed(templates)),
        ratio(vcpu_ratio, f"{owner}/vcpu_ratio"), ratio(spindle_ratio, f"{owner}/spindle_ratio"))


def parse_spec(text: str, what: str) -> Spec:
    columns = text.split(",")
    if len(columns) < 6:
        raise LoadError(f"Invalid ispec data for {what}: '{text}'")
    try:
        return Spec(*(size(whole, column) for column in columns[:6]))
    except ValueError as err:
        raise LoadError(f"{what}: {err}") from err


def ratio(text: str, what: str) -> float:
    try:
        return number(text)
    except ValueError as err:
        raise LoadError(f"{what}: {err}") from err


def size(read: Callable[[str], Number], text: str) -> Number:
    """A quantity, which cannot be negative."""
    value = read(text)
    if value < 0:
        raise ValueError(f"negative size '{text}'")
    return value


def choice(kind: type[Choice], text: str, where: str = "") -> Choice:
    try:
        return chosen(kind, text)
    except ValueError as err:
        raise LoadError(f"{where}{err}") from err


def yes_no(text: str, complaint: str) -> bool:
    if text not in ("Y", "N"):
        raise LoadError(complaint)
    return text == "Y"


def listed(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def dump(data: ClusterData) -> str:
    """The text that `parse` reads as the same cluster (each instance's disks as one)."""
    parts: Sequence[Iterable[str]] = (
        map(group_line, data.groups),
        (node_line(node, data) for node in data.nodes),
        (instance_line(instance, data) for instance in data.instances),
        data.tags,
        (policy_line("", data.policy), *(policy_line(group.name, group.policy) for group in data.groups)))
    return "\n".join("".join(f"{line}\n" for line in part) for part in parts)


def save(data: ClusterData, path: str) -> None:
    """Write `dump(data)` to a file; raises Error where that cannot be done."""
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(dump(data))
    except (OSError, ValueError) as err:
        raise Error(f"cannot write {path}: {getattr(err, 'strerror', None) or err}") from err


def group_line(group: Group) -> str:
    return "|".join((group.name, group.uuid, group.alloc_policy, ",".join(group.tags), ",".join(group.networks)))


def node_line(node: Node, data: ClusterData) -> str:
    role = "Y" if node.offline else "M" if node.master else "N"
    return "|".join((
        node.name, rounded(node.total_memory), str(node.node_memory), str(node.free_memory),
        rounded(node.total_disk), str(node.free_disk), rounded(node.total_cpus), role,
        data.groups[node.group].uuid, str(node.spindles), ",".join(node.tags), flag(node.exclusive_storage),
        str(node.free_spindles), str(node.node_cpus), decimal(node.cpu_speed)))


def instance_line(instance: Instance, data: ClusterData) -> str:
    spindles = instance.spindles
    secondary = "" if instance.secondary == NO_NODE else data.nodes[instance.secondary].name
    return "|".join((
        instance.name, str(instance.memory), str(instance.disk), str(instance.vcpus), instance.status,
        flag(instance.auto_balance), data.nodes[instance.primary].name, secondary, instance.template,
        ",".join(instance.tags), str(instance.spindle_use), "-" if spindles is None else str(spindles),
        flag(instance.forthcoming)))


def policy_line(owner: str, policy: Policy) -> str:
    bounds = ";".join(spec_text(spec) for pair in policy.minmax for spec in (pair.min, pair.max))
    return "|".join((owner, spec_text(policy.standard), bounds, ",".join(policy.templates),
                     decimal(policy.vcpu_ratio), decimal(policy.spindle_ratio)))


def spec_text(spec: Spec) -> str:
    return ",".join(map(str, (spec.memory, spec.cpus, spec.disk, spec.disk_count, spec.nic_count, spec.spindle_use)))


def rounded(value: float) -> str:
    """Without decimals, half to even, as all fixed-point output."""
    return str(round(value)) if math.isfinite(value) else "0"


def decimal(value: float) -> str:
    """The shortest form that reads back as the same number."""
    return repr(float(value))


def flag(value: bool) -> str:  # noqa: FBT001  # it is the value
    return "Y" if value else "N"
