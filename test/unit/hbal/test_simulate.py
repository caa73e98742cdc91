# SPDX-License-Identifier: BSD-2-Clause
"""Clusters that do not exist."""

import pytest

from hbal.errors import LoadError
from hbal.load import simulate
from hbal.model import AllocPolicy


def test_groups_and_their_nodes() -> None:
    data = simulate.load(["a,1,1t,3g,8", "p,2,1T,3G,4,2,True"])
    assert [(group.name, group.uuid, group.alloc_policy) for group in data.groups] == [
        ("group-01", "fake-uuid-01", AllocPolicy.PREFERRED), ("group-02", "fake-uuid-02", AllocPolicy.LAST_RESORT)]
    assert [node.name for node in data.nodes] == ["node-01-001", "node-01-002", "node-02-001"]
    first, second, third = data.nodes
    assert (first.master, second.master, third.master) == (True, False, False)
    assert (first.total_memory, first.free_memory, first.total_disk, first.free_disk) == (2861, 2861, 953674, 953674)
    assert (first.spindles, first.free_spindles, first.exclusive_storage) == (2, 0, True)
    assert (third.group, third.total_cpus, third.node_cpus, third.node_memory, third.spindles) == (1, 8, 1, 0, 1)


def test_an_empty_group_takes_no_master() -> None:
    assert [node.master for node in simulate.load(["preferred,1,1,1,1", "u,0,1,1,1"]).nodes] == [True]


@pytest.mark.parametrize(("spec", "complaint"), [
    ("foo", "Invalid cluster specification, expected 6 comma-separated sections (allocation policy, node count, disk "
     "size, memory size, number of CPUs, spindles) but got 1: 'foo'"),
    ("x,1,2,3,4", "Invalid string value for type AllocPolicy: \"x\"; Cannot parse AllocPolicy abbreviation 'x'"),
    ("p,x,2,3,4", "node count: cannot parse string 'x'"), ("p,1,2q,3,4", "disk size: Unknown unit 'q'"),
    ("p,-1,2,3,4", "node count: negative size '-1'"),
    ("p,1,2,3,4,5,Tru", "exclusive storage: cannot parse string 'Tru'"),
    ("p,99999999,2,3,4", "node count: 99999999 is more than 1000000"),
])
def test_specs_that_make_no_sense(spec: str, complaint: str) -> None:
    with pytest.raises(LoadError) as caught:
        simulate.load([spec])
    assert caught.value.detail == complaint
