# SPDX-License-Identifier: BSD-2-Clause
import pytest

from gantry.utils import counting
from gantry.utils.counting import BOUNDS, Counter, Gauge, Histogram


@pytest.fixture(autouse=True)
def no_new_metrics(monkeypatch):
    monkeypatch.setattr(counting, "_ALL", dict(counting._ALL))


def test_counters():
    counter = Counter("c", "help", "node")
    for node in ("a", "b", "a"):
        counter.add(node)
    assert counter.values() == [[["a"], 2], [["b"], 1]]


def test_histograms_count_what_is_not_above_each_bound():
    histogram = Histogram("h", "help")
    for seconds in (0.0005, 0.001, 0.3, 10000):
        histogram.observe(seconds)
    (_, (count, total, buckets)), = histogram.values()
    assert count == 4
    assert total == pytest.approx(10000.3015)
    assert buckets[0] == 2
    assert buckets[BOUNDS.index(0.25)] == 2
    assert buckets[BOUNDS.index(0.5)] == buckets[-1] == 3


def test_the_time_of_a_block_counts_however_it_ends():
    histogram = Histogram("h", "help")
    with pytest.raises(KeyError), histogram.time():
        raise KeyError
    assert histogram.values()[0][1][0] == 1


def test_gauges_are_read_when_asked():
    gauge, value = Gauge("g", "help"), [1]
    assert gauge.values() == []
    gauge.read_with(lambda: value[0])
    value[0] = 5
    assert gauge.values() == [[[], 5]]


def test_series_are_bounded(monkeypatch):
    monkeypatch.setattr(counting, "MOST_SERIES", 2)
    counter = Counter("c", "help", "node")
    for node in "abcde":
        counter.add(node)
    assert counter.values() == [[["a"], 1], [["b"], 1], [[""], 3]]


def test_the_snapshot_is_plain_data():
    Counter("c", "help", "node").add("a")
    assert counting.snapshot()["c"] == {"kind": "counter", "help": "help", "labels": ["node"], "values": [[["a"], 1]]}
