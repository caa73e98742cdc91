# SPDX-License-Identifier: BSD-2-Clause
"""Unbalanced clusters of any size, in the text format: DRBD, two thirds of the nodes full, one third empty."""

import random

MEMORY, DISK, CPUS = 131072, 4_000_000, 32
GUEST_MEMORY = (1024, 2048, 2048, 4096, 4096, 8192)
GUEST_DISK = (10240, 20480, 51200, 102400)
GUEST_CPUS = (1, 1, 2, 2, 4)


def cluster(nodes: int, instances: int, seed: int = 1) -> str:
    """The same text for the same arguments."""
    draw = random.Random(seed)  # noqa: S311  # no secret
    used, disk = [0] * nodes, [DISK] * nodes
    full = max(2, nodes * 2 // 3)
    guests = []
    for number in range(instances):
        while True:
            first, second = draw.sample(range(full), 2)
            memory, size = draw.choice(GUEST_MEMORY), draw.choice(GUEST_DISK)
            if used[first] + memory < MEMORY * 0.9 - 1024 and disk[second] > size < disk[first]:
                break
        used[first] += memory
        disk[first] -= size
        disk[second] -= size
        guests.append(f"inst{number:05d}|{memory}|{size}|{draw.choice(GUEST_CPUS)}|running|Y|node{first:04d}"
                      f"|node{second:04d}|drbd||1|-|N")
    hosts = [f"node{index:04d}|{MEMORY}|1024|{MEMORY - 1024 - used[index]}|{DISK}|{disk[index]}|{CPUS}"
             f"|{'N' if index else 'M'}|uuid1|2||N|0|1|1.0" for index in range(nodes)]
    return "\n".join(["group1|uuid1|preferred||", "", *hosts, "", *guests, "", "", ""])
