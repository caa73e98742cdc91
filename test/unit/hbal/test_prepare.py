# SPDX-License-Identifier: BSD-2-Clause
"""From what a source says to what the tools work on."""

from pathlib import Path

import pytest

from hbal.errors import Error, LoadError
from hbal.load import text
from hbal.load.check import warnings
from hbal.load.names import lookup
from hbal.load.prepare import Overrides, Wishes, override, prepare
from hbal.model import FULL_LOAD, NO_LOAD, ClusterData, Load, common_suffix

RAW = text.load(str(Path(__file__).parents[2] / "data" / "hbal" / "two-groups.data"))


def tagged(cluster: tuple[str, ...], node: tuple[str, ...] = (), instance: tuple[str, ...] = ()) -> ClusterData:
    """The cluster with these tags on itself, its first node and its first instance."""
    return prepare(RAW._replace(tags=cluster, nodes=(RAW.nodes[0]._replace(tags=node), *RAW.nodes[1:]),
                                instances=(RAW.instances[0]._replace(tags=instance), *RAW.instances[1:])))


def test_aliases_lose_what_all_names_share() -> None:
    data = prepare(RAW)
    assert [node.alias for node in data.nodes] == ["node1", "node2", "node3", "node4"]
    assert data.instances[0].alias == "inst1"
    assert common_suffix(["a.b.c", "x.b.c"]) == ".b.c"
    assert common_suffix(["a.b.c", "x.d.c"]) == ".c"
    assert common_suffix(["a.b", "xb"]) == ""
    assert common_suffix([]) == ""


@pytest.mark.parametrize(("cluster", "expected"), [
    (("htools:iextags:t",), ("t:1", "tx")), (("htools:iextags:t:",), ("t:1",)), (("htools:iextags:",), ()),
    (("htools:iextags",), ()), ((), ())])
def test_exclusion_tags(cluster: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert tagged(cluster, instance=("t:1", "u:1", "tx")).instances[0].exclusion_tags == expected


def test_exclusion_prefixes_of_the_command_line_end_in_a_colon() -> None:
    raw = RAW._replace(tags=(), instances=(RAW.instances[0]._replace(tags=("t:1", "tx", "u:1")),))
    assert prepare(raw, Wishes(exclusion_tags=("t", "u"))).instances[0].exclusion_tags == ("t:1", "u:1")


def test_tags_of_places() -> None:
    cluster = ("htools:nlocation:dc", "htools:desiredlocation:dc", "htools:migration:hv",
               "htools:allowmigration:hv:1::hv:2", "htools:allowmigration:hv:3::hv:9", "htools:allowmigration:odd",
               "htools:allowmigration:a::b::c")
    data = tagged(cluster, node=("dc:a", "dcx", "hv:2"), instance=("dc:a", "dc:b", "x"))
    node = data.nodes[0]
    assert node.location_tags == {"dc:a"}
    assert (node.migration_tags, node.receives) == ({"hv:2"}, {"hv:1", "hv:2"})
    assert data.instances[0].desired_locations == {"dc:a", "dc:b"}


def test_permissions_to_migrate_in_a_circle() -> None:
    data = tagged(("htools:migration:hv", "htools:allowmigration:hv:1::hv:2", "htools:allowmigration:hv:2::hv:1"),
                  node=("hv:1",))
    assert data.nodes[0].receives == {"hv:1", "hv:2"}


def test_selections() -> None:
    def movable(wishes: Wishes) -> list[bool]:
        return [one.movable for one in prepare(RAW, wishes).instances]

    assert movable(Wishes()) == [True, False, True]
    assert movable(Wishes(selected=("inst1",))) == [True, False, False]
    assert movable(Wishes(selected=())) == [False, False, False]
    assert movable(Wishes(excluded=("inst1.example.com",))) == [False, False, True]
    with pytest.raises(LoadError) as caught:
        prepare(RAW, Wishes(selected=("foo", "inst1", "bar")))
    assert caught.value.detail == 'Unknown instance(s): ["foo","bar"]'


def test_split_instances_do_not_move() -> None:
    raw = RAW._replace(instances=(RAW.instances[0]._replace(secondary=2),))
    assert not prepare(raw).instances[0].movable


def test_loads() -> None:
    loads = {"inst1.example.com": Load(1, 2, 3, 4), "unknown": NO_LOAD}
    assert [one.load for one in prepare(RAW, Wishes(loads)).instances] == [Load(1, 2, 3, 4), FULL_LOAD, FULL_LOAD]
    assert {one.load for one in prepare(RAW, Wishes(loads, ignore_loads=True)).instances} == {NO_LOAD}


@pytest.mark.parametrize(("hypervisor", "memory", "expected"), [
    ("kvm", 4096, 4096), ("kvm", 0, 1024), ("xen-pvm", 4096, 1024), (None, 4096, 1024)])
def test_memory_of_kvm_nodes(hypervisor: str | None, memory: int, expected: int) -> None:
    data = prepare(RAW._replace(hypervisor=hypervisor), Wishes(kvm_memory=memory))
    assert data.nodes[0].node_memory == expected
    assert data.nodes[0].missing_memory == 16384 - expected - 4096 - 11264


def test_overrides() -> None:
    data = override(prepare(RAW), Overrides(("node2",), 2.5, 0.1))
    assert [node.offline for node in data.nodes] == [False, True, True, True]
    assert (data.max_cpu, data.min_disk) == (2.5, 0.1)
    assert data.vcpu_ratio(data.nodes[0]) == 2.5
    with pytest.raises(Error, match=r"^wrong node name\(s\) set as offline: node,x$"):
        override(data, Overrides(("node", "node1", "x")))


def test_names() -> None:
    names = ["a.x", "b.x", "b.y", "a"]
    assert lookup("a", names) == 3
    assert lookup("a.x", names) == 0
    assert lookup("b", names) is None
    assert lookup("b.y", names) == 2
    assert lookup("", names) is None


def test_what_is_missing_on_nodes() -> None:
    def free(memory: int, disk: int) -> list[str]:
        node = RAW.nodes[0]._replace(free_memory=memory, free_disk=disk)
        return warnings(prepare(RAW._replace(nodes=(node, *RAW.nodes[1:]))))

    assert free(11264 - 512, 400000 - 1024) == []
    assert free(11264 - 513, 400000) == ["node node1.example.com is missing 513 MB ram and 0 GB disk"]
    assert free(11264, 400000 - 1025) == ["node node1.example.com is missing 0 MB ram and 1 GB disk"]
    both = RAW._replace(nodes=tuple(node._replace(free_memory=0) for node in RAW.nodes))
    assert [line.split()[1] for line in warnings(prepare(both))] == [
        "node3.example.com", "node2.example.com", "node1.example.com"]
