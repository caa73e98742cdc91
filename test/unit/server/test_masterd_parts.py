# SPDX-License-Identifier: BSD-2-Clause
"""Votes for the master, and the distribution of ssconf."""

import asyncio

import pytest

from gantry.config.change import ConfigWriter
from gantry.errors import NodeUnreachable
from gantry.objects.node import Version
from gantry.objects.plan import Update
from gantry.server import standing
from gantry.server.daemon import NotMaster
from gantry.server.masterd import load_units
from gantry.server.ssconf_push import SsconfPusher
from gantry.server.standing import Standing
from support.fakes import FakeNodes, MemoryStore, make_config

OWN = Standing(own="node-1", term=5)


def vote(term, master):
    return Version(protocol=1, release="x", node="node-2", term=term, master=master)


@pytest.mark.parametrize(("answers", "agreed"), [
    ([vote(5, "node-1"), vote(5, "node-1")], 2),
    ([vote(3, "node-9"), vote(0, "")], 2),
    ([vote(5, "node-2")], 0),
    ([NodeUnreachable(node="node-2", call="version", detail="x")], 0),
])
def test_votes(answers, agreed):
    assert standing.count(OWN, answers) == agreed


def test_a_newer_term_ends_the_matter():
    with pytest.raises(NotMaster, match="node-2 obeys node-3 in term 6, ours is 5"):
        standing.count(OWN, [vote(5, "node-1"), vote(6, "node-3")])


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


def test_every_unit_can_be_imported():
    load_units()
