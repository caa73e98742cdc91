# SPDX-License-Identifier: BSD-2-Clause
"""Texts of whole instances: the values of the query, made again only when something has changed."""

import asyncio
import dataclasses
import json

import pytest

from gantry.errors import WrongInput
from gantry.query import query
from gantry.query.objects import InstanceObjects
from gantry.query.world import World
from support.world import FakeNodes, config, vm

FIELDS = ("name", "uuid", "pnode", "hvparams", "beparams", "disk.sizes", "nic.links", "status", "oper_ram", "tags")


def run(*steps, settings=None, nodes=None):
    """(version, objects) after each step; a step may change the world before it asks."""
    async def all_of():
        world = World(config=settings or config(), nodes=nodes or FakeNodes())
        objects, found = InstanceObjects(), []
        for step in steps:
            version = step(world, found) if step else None
            answer, text = await objects.all(world, FIELDS, version)
            found.append((answer, None if text is None else json.loads(text)))
        return found
    return asyncio.run(all_of())


def forget(world):
    """As if a second had passed."""
    world.live._asked.clear()


def test_the_values_are_those_of_the_query():
    (_, objects), = run(None)

    async def rows():
        return await query.classic(World(config=config(), nodes=FakeNodes()), "instance", None, FIELDS)
    wanted = [dict(zip(FIELDS, row, strict=True)) for row in asyncio.run(rows())]
    for item in wanted:
        item["beparams"] = {**item["beparams"], "memory": item["beparams"]["maxmem"]}
    assert objects == json.loads(json.dumps(wanted))
    assert objects


def test_who_has_the_version_is_not_sent_it_again():
    first, second, third = run(None, lambda world, found: found[0][0], lambda world, found: "another")
    assert second == (first[0], None)
    assert third == first


def test_a_changed_instance_is_shown(monkeypatch):
    def change(world, found):
        item = next(iter(world.config.instances.values()))
        world.config.replace("instances", dataclasses.replace(item, tags=frozenset({"new"})))
        world.config.serial += 1
        return found[0][0]
    (old, _), (new, objects) = run(None, change)
    assert new != old
    assert [item for item in objects if item["tags"] == ["new"]]


def test_what_is_around_an_instance_counts():
    def change(world, found):
        cluster = world.config.cluster
        world.config.replace("cluster", dataclasses.replace(
            cluster, beparams={"default": {**cluster.beparams.get("default", {}), "spindle_use": 7}}))
        world.config.serial += 1
        return found[0][0]
    (old, _), (new, objects) = run(None, change)
    assert new != old
    assert all(item["beparams"]["spindle_use"] == 7 for item in objects)


def test_a_removed_instance_is_gone():
    def change(world, found):
        world.config.remove("instances", next(iter(world.config.instances)))
        world.config.serial += 1
        return found[0][0]
    (_, before), (_, after) = run(None, change)
    assert len(after) == len(before) - 1


def test_a_job_that_changed_no_instance_makes_no_new_version():
    def change(world, found):
        world.config.serial += 1
        return found[0][0]
    first, second = run(None, change)
    assert second == (first[0], None)


def test_what_the_nodes_say_counts():
    settings = config()
    item = next(iter(settings.instances.values()))
    nodes = FakeNodes()

    def start(world, found):
        nodes.vms = {item.primary_node: [vm(item.uuid, memory=333)]}
        forget(world)
        return found[-1][0]

    def same(world, found):
        nodes.vms = {item.primary_node: [dataclasses.replace(vm(item.uuid, memory=333), cpu_seconds=5.0)]}
        forget(world)
        return found[-1][0]

    def lose(world, found):
        nodes.down = {item.primary_node}
        forget(world)
        return found[-1][0]
    first, started, still, lost = run(None, start, same, lose, settings=settings, nodes=nodes)
    assert started[0] != first[0]
    assert [shown["oper_ram"] for shown in started[1] if shown["uuid"] == item.uuid] == [333]
    assert still == (started[0], None)
    assert [shown["oper_ram"] for shown in lost[1] if shown["uuid"] == item.uuid] == [None]


def test_some_by_name():
    async def some():
        world = World(config=config(), nodes=FakeNodes())
        name = next(iter(world.config.instances.values())).name
        return name, json.loads(await InstanceObjects().some(world, ["name"], [name, "nosuch"]))
    name, objects = asyncio.run(some())
    assert objects == [{"name": name}]


def test_unknown_fields_are_refused():
    async def ask():
        await InstanceObjects().all(World(config=config(), nodes=FakeNodes()), ["nosuch"], None)
    with pytest.raises(WrongInput):
        asyncio.run(ask())
