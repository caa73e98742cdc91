# SPDX-License-Identifier: BSD-2-Clause
"""Random clusters to balance: consistent in what nodes report, most instances on a part of the nodes, and with the
features that are asked for or drawn.  Each comes with options for hbal that suit it.
"""

import random
from dataclasses import dataclass, field
from typing import Any

FEATURES = ("different", "tight", "down", "offline", "tags", "locations", "migration", "desired", "exclusive", "loads",
            "external", "split", "forthcoming", "policy", "not-balanced", "groups", "options", "speed", "missing")
OPTIONS: tuple[tuple[str, ...], ...] = (
    ("--no-disk-moves",), ("--no-instance-moves",), ("--restricted-migration",), ("-E",),
    ("-E", "--restricted-migration"), ("--ignore-soft-errors",), ("--max-cpu", "1.2"), ("--min-disk", "0.5"),
    ("--ignore-dynu",), ("-g", "0.5", "--min-gain-limit", "100"), ("-e", "1.5"), ("-l", "3"),
    ("--exclusion-tags", "svc,app"), ("-O", "node1"), ("--exclude-instances", "inst0,inst1"),
    ("--select-instances", "inst0,inst1"))
EXTERNAL = ("drbd", "drbd", "ext", "rbd", "plain", "diskless", "sharedfile", "file", "blockdev")
RUNNING = ("running", "ERROR_up", "ERROR_nodedown")


@dataclass(frozen=True)
class Case:
    text: str
    options: tuple[str, ...]
    loads: str | None
    """The content of a file for -U."""
    features: frozenset[str]


@dataclass
class _Node:
    name: str
    group: int
    memory: int
    overhead: int
    disk: int
    cpus: int
    spindles: int
    exclusive: bool
    speed: float
    role: str = "N"
    tags: list[str] = field(default_factory=list)
    used: int = 0
    free_disk: int = 0
    free_spindles: int = 0


def case(seed: int, *, on: frozenset[str] = frozenset(), off: frozenset[str] = frozenset()) -> Case:
    """The cluster of a seed; features `on` are there for certain, those `off` are not."""
    draw = random.Random(seed)
    features = (frozenset(name for name in FEATURES if draw.random() < 0.22) | on) - off
    groups = draw.choice((1, 2)) if features & {"groups", "split"} else 1
    nodes = _nodes(draw, features, groups)
    rows = [row for number in range(draw.choice((8, 15, 20, 30)))
            if (row := _instance(draw, features, nodes, number)) is not None]
    tags = _cluster_tags(draw, features)
    for node in nodes:
        _tag(draw, features, node)
    if "offline" in features:
        for node in draw.sample(nodes, draw.choice((1, 1, 2)) if len(nodes) > 3 else 1):
            node.role = "Y"
    lines = [*(f"group{index}|uuid{index}|preferred||" for index in range(groups)), "",
             *(_node_line(draw, features, node) for node in nodes), "",
             *("|".join(map(str, row)) for row in rows), "", *tags, ""]
    if "policy" in features:
        limits = f"{draw.choice((1.0, 1.5, 2.5, 4.0))}|{draw.choice((2.0, 4.0, 32.0, 3.3))}"
        lines += [f"{owner}|128,1,1024,1,1,1|128,1,1024,1,1,1;32768,8,1048576,16,8,12|drbd,plain,ext|{limits}"
                  for owner in ("", *(f"group{index}" for index in range(groups)))]
    options = ("-G", f"group{draw.randrange(groups)}") if groups > 1 else ()
    if "options" in features and len(rows) > 2:
        options = (*options, *draw.choice(OPTIONS))
    loads = None
    if "loads" in features:
        loads = "".join(f"{row[0]} {' '.join(str(round(draw.random() * 3, 2)) for _ in range(4))}\n" for row in rows)
    return Case("\n".join(lines) + "\n", options, loads, features)


def _nodes(draw: random.Random, features: frozenset[str], groups: int) -> list[_Node]:
    different = "different" in features
    memory = draw.choice((16384, 24576, 32768)) if "tight" in features else 65536
    nodes = []
    for index in range(draw.choice((3, 4, 5, 6, 8)) * groups):
        exclusive = "exclusive" in features and draw.random() < 0.6
        spindles = draw.choice((8, 12, 20)) if exclusive else draw.choice((1, 2, 4)) if different else 2
        disk = draw.choice((300000, 500000)) if different else 400000
        nodes.append(_Node(
            f"node{index}", index % groups, memory * (draw.choice((1, 1, 2)) if different else 1),
            draw.choice((512, 1024)), disk, draw.choice((4, 8, 16)) if different else 8, spindles, exclusive,
            draw.choice((0.5, 1.0, 1.0, 2.0)) if "speed" in features else 1.0, free_disk=disk,
            free_spindles=spindles if exclusive else 0))
    nodes[0].role = "M"
    return nodes


def _instance(draw: random.Random, features: frozenset[str], nodes: list[_Node], number: int) -> list[Any] | None:
    """A row of the text format, with its share taken from the nodes; None where it fits nowhere."""
    full = nodes[:max(2, len(nodes) * 2 // 3)]
    for _ in range(60):
        primary, template = draw.choice(full), draw.choice(EXTERNAL) if "external" in features else "drbd"
        others = [node for node in nodes if node is not primary and (
            node.group == primary.group or ("split" in features and draw.random() < 0.2))]
        if not others:
            continue
        secondary = draw.choice(others)
        memory = draw.choice((256, 512, 1024, 2048, 1536, 4096)) + draw.choice((0, 1, 37))
        disk = 0 if template == "diskless" else draw.choice((1024, 10240, 20480, 51200))
        spindles = draw.choice((1, 2, 3)) if "exclusive" in features else None
        holders = {"drbd": [primary, secondary], "plain": [primary]}.get(template, [])
        if primary.used + memory + primary.overhead < primary.memory * 0.97 and all(
                node.free_disk > disk and (not node.exclusive or node.free_spindles >= (spindles or 0))
                for node in holders):
            break
    else:
        return None
    down = "down" in features and draw.random() < 0.3
    status = draw.choice(("ADMIN_down", "ADMIN_offline", "ERROR_down", "ERROR_up", "ERROR_nodedown")) if down else (
        "running")
    coming = "forthcoming" in features and draw.random() < 0.25
    if not coming:
        primary.used += memory if status in RUNNING else 0
        for node in holders:
            node.free_disk -= disk
            node.free_spindles -= spindles or 0 if node.exclusive else 0
    return [f"inst{number}", memory, disk, draw.choice((1, 2, 4)), status,
            "N" if "not-balanced" in features and draw.random() < 0.2 else "Y", primary.name,
            secondary.name if template == "drbd" else "", template, ",".join(_instance_tags(draw, features)),
            draw.choice((1, 1, 2, 3)), "-" if spindles is None else spindles, "Y" if coming else "N"]


def _instance_tags(draw: random.Random, features: frozenset[str]) -> list[str]:
    tags = []
    if features & {"tags", "locations"} and draw.random() < 0.7:
        tags.append(f"svc:{draw.choice('abc')}")
    if "tags" in features and draw.random() < 0.4:
        tags.append(f"app:{draw.choice('ab')}")
    if "desired" in features and draw.random() < 0.6:
        tags.append(f"dc:{draw.choice('xyz')}")
    return tags


def _tag(draw: random.Random, features: frozenset[str], node: _Node) -> None:
    if "locations" in features:
        node.tags.append(f"rack:{draw.choice('rs')}")
    if features & {"locations", "desired"}:
        node.tags.append(f"dc:{draw.choice('xyz')}")
    if "migration" in features:
        node.tags.append(f"hv:{draw.choice('abc')}")


def _cluster_tags(draw: random.Random, features: frozenset[str]) -> list[str]:
    tags = []
    if "tags" in features or ("locations" in features and draw.random() < 0.5):
        tags += ["htools:iextags:svc", "htools:iextags:app"][:draw.choice((1, 2))]
    if "locations" in features:
        tags.append("htools:nlocation:rack")
    if features & {"locations", "desired"}:
        tags.append("htools:nlocation:dc")
    if "desired" in features:
        tags.append("htools:desiredlocation:dc")
    if "migration" in features:
        tags += ["htools:migration:hv", "htools:allowmigration:hv:a::hv:b"]
    return tags


def _node_line(draw: random.Random, features: frozenset[str], node: _Node) -> str:
    missing = draw.choice((0, 100, 400)) if "missing" in features else 0
    return "|".join(map(str, (
        node.name, node.memory, node.overhead, node.memory - node.overhead - node.used - missing, node.disk,
        node.free_disk, node.cpus, node.role, f"uuid{node.group}", node.spindles, ",".join(node.tags),
        "Y" if node.exclusive else "N", node.free_spindles, 1, node.speed)))
