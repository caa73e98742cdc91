# SPDX-License-Identifier: BSD-2-Clause
"""The parts of the master daemon: what is distributed, the units."""

import asyncio

import pytest

from gantry import paths
from gantry.config.change import ConfigWriter
from gantry.errors import ExecError
from gantry.objects.plan import Update
from gantry.server.masterd import WatchedWriter, load_units, redistribute_all
from gantry.server.rapi_push import RapiFilesPusher
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


def test_who_follows_the_configuration_is_told_what_has_changed():
    async def main():
        writer, told = WatchedWriter(make_config(3), MemoryStore()), []
        writer.listeners.append(lambda: told.append("something"))
        writer.followers.append(told.append)
        changes = [Update(table="nodes", uuid="node-2", fields={"offline": True})]
        pending = writer.change(changes, who="t", why="t")
        assert told == [], "before it is durable"
        await pending
        await asyncio.sleep(0)
        assert told == ["something", changes]
    asyncio.run(main())


@pytest.fixture
def rapi_files(tmp_path, monkeypatch):
    """The master's own; a certificate, and no users yet."""
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    files = paths.here().rapi_files()
    paths.here().rapi.mkdir(parents=True)
    files["rapi.pem"].write_text("pem")
    return files


def candidates(nodes):
    """A pusher on node-1 of three candidates, and what the others have."""
    copies = {}

    def take(node, files):
        for name, text in files.items():
            copies.setdefault(node, {})[name] = text
    nodes.script["rapi_files_write"] = take
    return RapiFilesPusher(make_config(3), nodes, "node-1"), copies


def test_candidates_have_what_gnt_rapi_works_with(rapi_files):
    async def main():
        nodes = FakeNodes()
        pusher, copies = candidates(nodes)
        nodes.down.add("node-3")
        assert await pusher.push() == ["node3.example.org"]
        nodes.down.clear()
        rapi_files["users"].write_text("admin x write")
        assert await pusher.push() == []
        assert copies["node-2"] == copies["node-3"] == {"rapi.pem": "pem", "users": "admin x write"}
        copies.clear()
        assert await pusher.push() == []
        assert copies == {}
        rapi_files["users"].unlink()
        assert await pusher.push() == []
        assert copies["node-2"]["users"] is None
    asyncio.run(main())


def test_a_master_that_never_had_users_takes_them_from_nobody(rapi_files):
    async def main():
        pusher, copies = candidates(FakeNodes())
        await pusher.push()
        assert copies["node-2"] == {"rapi.pem": "pem"}
    asyncio.run(main())


def test_a_change_of_the_users_is_noticed(rapi_files):
    async def main():
        pusher, copies = candidates(FakeNodes())
        pusher.start()
        try:
            async with asyncio.timeout(30):
                while "node-2" not in copies:
                    await asyncio.sleep(0.01)
                rapi_files["users"].write_text("admin y")
                while copies["node-2"].get("users") != "admin y":
                    await asyncio.sleep(0.01)
        finally:
            await pusher.close()
    asyncio.run(main())


def test_a_distribution_to_all_tells_what_failed(rapi_files):
    async def main():
        nodes = FakeNodes()
        pusher, copies = candidates(nodes)
        nodes.script["ssconf_write"] = lambda node, values, serial: None
        ssconf = SsconfPusher(make_config(3), nodes, lambda now: {"name": now.cluster.name})
        await redistribute_all(ssconf, pusher)
        assert copies["node-3"]["rapi.pem"] == "pem"
        nodes.down.add("node-3")
        with pytest.raises(ExecError, match=r"(?s)ssconf.*node3.*gnt-rapi.*node3"):
            await redistribute_all(ssconf, pusher)
    asyncio.run(main())


def test_every_unit_can_be_imported():
    load_units()
