# SPDX-License-Identifier: BSD-2-Clause
"""The parts of the master daemon: the distribution of ssconf, the units."""

import asyncio

import pytest

from gantry.config.change import ConfigWriter
from gantry.errors import ExecError
from gantry.objects.plan import Update
from gantry.server.masterd import load_units
from gantry.server.ssconf_push import SsconfPusher
from support.fakes import FakeNodes, MemoryStore, make_config


def test_ssconf_goes_where_it_is_missing():
    async def main():
        config, store, nodes = make_config(3), MemoryStore(), FakeNodes()
        told = []
        nodes.script["ssconf_write"] = lambda node, values, serial: told.append((node, values["name"]))
        pusher = SsconfPusher(config, nodes, lambda now: {"name": now.cluster.file_storage_dir})
        nodes.down.add("node-2")
        assert await pusher.push() == ["node2.example.org"]
        assert await pusher.push() == ["node2.example.org"]
        assert told == [("node-1", ""), ("node-3", "")]
        nodes.down.clear()
        assert await pusher.push() == []
        await ConfigWriter(config, store).change(
            [Update(table="cluster", uuid="cluster-1", fields={"file_storage_dir": "/srv"})], who="t", why="t")
        assert await pusher.push() == []
        assert told[2:] == [("node-2", ""), ("node-1", "/srv"), ("node-2", "/srv"), ("node-3", "/srv")]
        pusher.came_back("node-3")
        await pusher.push()
        assert told[-1] == ("node-3", "/srv")
    asyncio.run(main())


def test_ssconf_is_told_again_to_all_when_asked():
    async def main():
        config, nodes = make_config(3), FakeNodes()
        told = []
        nodes.script["ssconf_write"] = lambda node, values, serial: told.append(node)
        pusher = SsconfPusher(config, nodes, lambda now: {"name": now.cluster.name})
        await pusher.push()
        await pusher.redistribute()
        assert told == ["node-1", "node-2", "node-3"] * 2
        nodes.down.add("node-3")
        with pytest.raises(ExecError, match=r"node3\.example\.org"):
            await pusher.redistribute()
    asyncio.run(main())


def test_every_unit_can_be_imported():
    load_units()
