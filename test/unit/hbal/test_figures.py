# SPDX-License-Identifier: BSD-2-Clause
"""Quantities of nodes and the score, in plain Python; and that the numpy core comes to the same."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hbal import figures
from hbal.core import arrays
from hbal.core import score as core
from hbal.load import text
from hbal.load.prepare import Overrides, override, prepare
from support import hbal_random

DATA = prepare(text.load(str(Path(__file__).parents[2] / "data" / "hbal" / "two-groups.data")))


def test_quantities_of_a_node() -> None:
    first, second, _, fourth = figures.figures(DATA)
    assert (first.primaries, first.secondaries, first.instance_memory, first.unallocated) == ([0], [], 4096, 11264)
    assert (second.primaries, second.secondaries, second.reserved, second.peers) == ([1], [0], 4096, {0: 4096})
    assert (second.cpus, second.cpus_forth, second.spindles, second.spindles_forth) == (3, 5, 3, 3)
    assert second.free_memory_forth == 15360 - 1024 - 1024
    assert first.exclusion == {"t:1": 1, "t:2": 1}
    assert math.isnan(fourth.free_memory_part)
    assert fourth.free_disk_part == 1.0


def test_the_score_of_a_known_cluster() -> None:
    values = figures.metrics(DATA, figures.figures(DATA))
    assert figures.score(values) == pytest.approx(0.90852259, abs=5e-9)
    assert len(values) == len(figures.METRICS) == 20


def test_a_cluster_without_online_nodes_scores_nothing() -> None:
    off = override(DATA, Overrides(("node1", "node2")))
    assert figures.score(figures.metrics(off, figures.figures(off))) == 0.0
    assert figures.metrics(off, []) == ()


def test_a_node_without_spindles_makes_the_score_no_number() -> None:
    bare = DATA._replace(nodes=(DATA.nodes[0]._replace(spindles=0), *DATA.nodes[1:]))
    assert math.isnan(figures.score(figures.metrics(bare, figures.figures(bare))))


def test_what_reservations_cost_at_best() -> None:
    nodes = figures.figures(DATA)[:2]
    assert figures.n1_optimum(nodes) == pytest.approx(0.25 * (4096 / 16384 - 4096 / 32768.5))
    assert figures.n1_optimum(nodes[:1]) == 0.0
    assert figures.n1_optimum([]) == 0.0


@pytest.mark.parametrize(("numerator", "denominator", "expected"), [(1, 2, 0.5), (1, 0, math.inf), (-1, 0, -math.inf)])
def test_division(numerator: float, denominator: float, expected: float) -> None:
    assert figures.divided(numerator, denominator) == expected
    assert math.isnan(figures.divided(0, 0))


@settings(deadline=None)
@given(st.integers(0, 100_000), st.integers(2, 9), st.integers(0, 25))
def test_plain_python_and_numpy_agree(seed: int, nodes: int, instances: int) -> None:
    data = prepare(hbal_random.cluster(seed, nodes=nodes, instances=instances, groups=1))
    own = figures.metrics(data, figures.figures(data))
    other = core.components(arrays.build(data, 0))
    assert own == pytest.approx(other, abs=1e-9, nan_ok=True)
