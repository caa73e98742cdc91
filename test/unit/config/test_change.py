# SPDX-License-Identifier: BSD-2-Clause
"""Changes of the configuration: all or nothing, undone exactly, written down."""

import asyncio
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.config import history
from gantry.config.change import ConfigWriter
from gantry.errors import AlreadyExists, ConfigurationError
from gantry.objects import codec
from gantry.objects.cluster import NodeGroup
from gantry.objects.plan import Delete, Put, Update, put
from support.small_cluster import MemoryStore, small_cluster


def contents(config):
    """All objects, without what counts changes."""
    return {table: {uuid: dataclasses.replace(item, serial_no=0, ctime=0.0, mtime=0.0)
                    for uuid, item in objects.items()} for table, objects in config.tables.items()}


def indexes(config):
    names = {table: found for table, found in config._by_name.items() if table != "disks"}  # theirs are not unique
    return (names, {key: value for key, value in config._by_node.items() if value}, config._owner,
            {key: value for key, value in config._disks_on.items() if value})


def run(config, store, changes, **more):
    async def go():
        return await ConfigWriter(config, store, now=lambda: 1000.0).change(
            changes, who="job 7", why="INSTANCE_SET_PARAMS(web1)", **more)
    return asyncio.run(go())


def test_update_counts_and_stamps(cluster):
    serial = run(cluster.config, cluster.store, [
        Update(table="instances", uuid="i1", fields={"beparams": {"vcpus": 2}})], extra=[("steps", "1", {"a": 1})])
    instance = cluster.config.instance("web1")
    assert (instance.beparams, instance.serial_no, instance.mtime) == ({"vcpus": 2}, 2, 1000.0)
    assert cluster.config.serial == serial == 1
    rows = {(table, key): value for table, key, value in cluster.store.records[0] if table != "history"}
    assert rows == {("instances", "i1"): codec.encode(instance), ("steps", "1"): {"a": 1}}


def test_update_to_the_same_changes_nothing(cluster):
    before = cluster.config.instance("web1")
    run(cluster.config, cluster.store, [Update(table="instances", uuid="i1", fields={"os": before.os})])
    assert cluster.config.instance("web1") is before
    assert cluster.store.records == [[]]


@pytest.mark.parametrize(("changes", "error"), [
    ([Update(table="instances", uuid="i1", fields={"nonsense": 1})], "nonsense"),
    ([Update(table="instances", uuid="i1", fields={"os": 5})], "str is expected"),
    ([Update(table="instances", uuid="i1", fields={"serial_no": 5})], "serial_no"),
    ([Update(table="instances", uuid="i9", fields={"os": "x"})], "i9"),
    ([Update(table="cars", uuid="i9", fields={})], "cars"),
    ([Put(table="cars", value={})], "cars"),
    ([Put(table="nodes", value={"uuid": "n9"})], "missing keys"),
    ([Update(table="instances", uuid="i1", fields={"primary_node": "n9"})], "n9"),
    ([Update(table="instances", uuid="i1", fields={"disks": ["d9"]})], "d9"),
    ([Update(table="nodes", uuid="n2", fields={"group": "g9"})], "g9"),
    ([Update(table="instances", uuid="i1", fields={"disks": ["d1", "d2"]})], "belongs to another"),
    ([Delete(table="disks", uuid="d1")], "web1"),
    ([Delete(table="nodes", uuid="n1")], "web"),
    ([Delete(table="nodes", uuid="n2")], "d2"),
    ([Delete(table="nodegroups", uuid="g1")], "node1"),
    ([Delete(table="networks", uuid="w1")], "web1"),
    ([Delete(table="cluster", uuid="c0")], "cluster"),
    ([Delete(table="instances", uuid="i1"), Update(table="nodes", uuid="n9", fields={})], "n9"),
])
def test_a_wrong_change_changes_nothing(cluster, changes, error):
    before, index = contents(cluster.config), indexes(cluster.config)
    with pytest.raises(ConfigurationError, match=error):
        run(cluster.config, cluster.store, changes)
    assert contents(cluster.config) == before
    assert indexes(cluster.config) == index
    assert cluster.store.records == []


def test_names_are_unique(cluster):
    same = put("nodegroups", NodeGroup(uuid="g2", name="default"))
    with pytest.raises(AlreadyExists, match="'default' already exists"):
        run(cluster.config, cluster.store, [same])
    two = [put("nodegroups", NodeGroup(uuid=uuid, name="rack")) for uuid in ("g2", "g3")]
    with pytest.raises(AlreadyExists):
        run(cluster.config, cluster.store, two)
    with pytest.raises(AlreadyExists):
        run(cluster.config, cluster.store, [Update(table="instances", uuid="i1", fields={"name": "web2.example.org"})])
    # in one transaction a name may change hands
    run(cluster.config, cluster.store, [Update(table="instances", uuid="i1", fields={"name": "web2.example.org"}),
                                        Update(table="instances", uuid="i2", fields={"name": "web1.example.org"})])
    assert cluster.config.instance("web1").uuid == "i2"


def test_a_store_that_failed_leaves_memory_as_it_was(cluster):
    before = contents(cluster.config)
    cluster.store.failure = ConfigurationError(detail="disk full")
    with pytest.raises(ConfigurationError, match="disk full"):
        run(cluster.config, cluster.store, [Update(table="instances", uuid="i1", fields={"os": "other"})])
    assert contents(cluster.config) == before


def test_history_tells_who_what_and_why(cluster):
    run(cluster.config, cluster.store, [
        Update(table="instances", uuid="i1", fields={"beparams": {"vcpus": 2}, "osparams_private": {"key": "hush"}})])
    run(cluster.config, cluster.store, [Delete(table="instances", uuid="i1"), Delete(table="disks", uuid="d1")])
    young, old = asyncio.run(history.read(cluster.store))
    assert (old.who, old.why, old.time) == ("job 7", "INSTANCE_SET_PARAMS(web1)", 1000.0)
    assert old.objects[0].fields == {"beparams": ("{}", '{"vcpus": 2}'), "osparams_private": ("(private)", "(private)")}
    assert [(item.table, item.action, item.name) for item in young.objects] == [
        ("instances", "remove", "web1.example.org"), ("disks", "remove", "")]
    assert asyncio.run(history.read(cluster.store, uuid="d1")) == [young]


# --- properties ---------------------------------------------------------------------------------------------

UUIDS = {"instances": ("i1", "i2", "i3"), "disks": ("d1", "d2", "d3"), "nodes": ("n1", "n2", "n3", "n4"),
         "nodegroups": ("g1", "g2"), "networks": ("w1",)}
FIELDS = {
    "instances": [{"os": "other"}, {"primary_node": "n2"}, {"disks": []}, {"disks": ["d1", "d2"]}, {"nics": []},
                  {"name": "web2.example.org"}, {"name": "fresh"}, {"beparams": {"vcpus": 3}}, {"bad": 1}],
    "disks": [{"size": 4096}, {"nodes": ["n2", "n3"]}, {"nodes": ["n4"]}, {"name": "data"}],
    "nodes": [{"offline": True}, {"group": "g2"}, {"name": "node9"}, {"tags": ["a", "b"]}],
    "nodegroups": [{"alloc_policy": "last_resort"}, {"networks": {}}, {"name": "rack"}],
    "networks": [{"gateway": "198.51.100.1"}],
}


def new_object(table, uuid):
    values = {"instances": {"primary_node": "n3", "os": "x", "hypervisor": "kvm"},
              "disks": {"dev_type": "plain", "size": 8, "nodes": ["n3"]},
              "nodes": {"primary_ip": "192.0.2.9", "secondary_ip": "192.0.2.9", "group": "g1"},
              "nodegroups": {}, "networks": {"network": "203.0.113.0/24"}}
    return {"uuid": uuid, "name": f"{table}-{uuid}"} | values[table]


@st.composite
def changes(draw):
    table = draw(st.sampled_from(sorted(UUIDS)))
    uuid = draw(st.sampled_from(UUIDS[table]))
    kind = draw(st.sampled_from(("put", "update", "update", "delete")))
    if kind == "put":
        return Put(table=table, value=new_object(table, uuid))
    if kind == "update":
        return Update(table=table, uuid=uuid, fields=draw(st.sampled_from(FIELDS[table])))
    return Delete(table=table, uuid=uuid)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(changes(), min_size=1, max_size=5), max_size=6))
def test_inverse_undoes_and_indexes_hold(transactions):
    async def go():
        config, store = small_cluster(), MemoryStore()
        writer = ConfigWriter(config, store)
        for transaction in transactions:
            before, records = contents(config), len(store.records)
            try:
                undo = writer.inverse(transaction)
                await writer.change(transaction, who="x", why="y")
            except (ConfigurationError, AlreadyExists):
                assert contents(config) == before
                assert len(store.records) == records
                continue
            after = contents(config)
            again = type(config)(config.tables)
            assert indexes(config) == indexes(again)
            await writer.change(undo, who="x", why="undo")
            assert contents(config) == before
            await writer.change(transaction, who="x", why="again")
            assert contents(config) == after
    asyncio.run(go())
