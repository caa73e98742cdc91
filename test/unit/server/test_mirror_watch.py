# SPDX-License-Identifier: BSD-2-Clause
"""What is remembered of mirrored disks when their primary nodes tell that they have changed."""

import asyncio
from dataclasses import replace

import pytest

from gantry.config.change import ConfigWriter
from gantry.constants import DiskTemplate
from gantry.objects.plan import Delete, Update
from gantry.server.mirror_watch import MirrorWatch
from support.fakes import FakeNodes, MemoryStore
from support.guest_world import UP, cluster_config, instance
from support.mirror_world import mirrored

OK, SYNC, APART, DOWN = ["ok", ""], ["sync", ""], ["degraded", "it has no connection to its peer"], ["down", ""]


class Told:
    """A watched cluster: `web1` on node n1, mirrored on n2; what n1 tells is `say`."""

    def __init__(self, *, active=True, since=None):
        disks = (replace(mirrored(), degraded_since=since), mirrored("d2", port=11002, minor=1, pci=14, index=1))
        web = instance(template=DiskTemplate.DRBD, disks=("d1", "d2"), admin_state=UP, disks_active=active)
        self.config = cluster_config(web, disks=disks)
        self.nodes = FakeNodes({"drbd_watch": self._answer})
        self.barred = ""
        self._said, self._heard = asyncio.Queue(), asyncio.Queue()
        self.watch = MirrorWatch(self.config, ConfigWriter(self.config, MemoryStore()), self.nodes,
                                 lambda: self.barred)

    async def _answer(self, node, *, minors, seen, wait):
        await self._heard.put((node, minors, seen))
        return await self._said.get()

    async def say(self, *states):
        """The next answer; what was asked after it was dealt with."""
        await self._said.put(list(states))
        return await self._heard.get()

    def since(self):
        return [self.config.disks[uuid].degraded_since is not None for uuid in ("d1", "d2")]


def told(story, **facts):
    async def main():
        one = Told(**facts)
        one.watch.changed()
        assert await one._heard.get() == ("n1", [0, 1], [[], []])
        await story(one)
        await one.watch.close()
    asyncio.run(main())


def test_a_loss_and_its_mending_are_remembered():
    async def story(one):
        assert await one.say(OK, OK) == ("n1", [0, 1], [OK, OK])
        assert one.since() == [False, False]
        await one.say(OK, APART)
        assert one.since() == [False, True]
        when = one.config.disks["d2"].degraded_since
        await one.say(OK, SYNC)
        assert one.config.disks["d2"].degraded_since == when, "since the loss"
        await one.say(OK, OK)
        assert one.since() == [False, False]
    told(story)


@pytest.mark.parametrize("since", [None, 900.0])
def test_what_is_down_says_nothing(since):
    async def story(one):
        await one.say(DOWN, OK)
        assert one.config.disks["d1"].degraded_since == since
    told(story, since=since)


def test_a_disk_that_moved_meanwhile_is_left_alone():
    async def story(one):
        one.config.replace("instances", replace(one.config.instance("web1"), primary_node="n2"))
        one.watch.changed()
        assert await one._heard.get() == ("n2", [0, 1], [[], []])
        await one._said.put([APART, APART])
        await one._said.put([OK, OK])
        assert await one._heard.get() == ("n2", [0, 1], [OK, OK])
        assert one.since() == [False, False], "what the former primary node says does not count"
    told(story)


def test_a_master_that_may_not_change_anything_does_not():
    async def story(one):
        one.barred = "another node is master"
        await one.say(APART, OK)
        assert one.since() == [False, False]
        one.barred = ""
        await one.say(APART, OK)
        assert one.since() == [True, False]
    told(story)


def test_what_nobody_uses_is_not_watched():
    async def main():
        one = Told(active=False)
        one.watch.changed()
        await asyncio.sleep(0)
        assert one.nodes.asked == []
        await one.watch.close()
    asyncio.run(main())


@pytest.mark.parametrize("change", [
    Update(table="instances", uuid="web1", fields={"disks_active": True}), Update(table="disks", uuid="d1", fields={}),
    Update(table="nodes", uuid="n1", fields={"offline": False})])
def test_only_what_a_change_concerns_is_looked_at(change, monkeypatch):
    """The cluster may be large."""
    async def main():
        one, looked = Told(), []
        change_of = replace(change, uuid=one.config.instance("web1").uuid) if change.table == "instances" else change
        primaries_of = one.config.primaries_of
        monkeypatch.setattr(one.config, "primaries_of", lambda node: looked.append(node) or primaries_of(node))
        one.watch.changed([Update(table="cluster", uuid="c", fields={}), Delete(table="instances", uuid="gone"),
                           Delete(table="disks", uuid="gone"), Delete(table="nodes", uuid="gone")])
        assert looked == []
        one.watch.changed([change_of])
        assert set(looked) == {"n1"}
        assert await one._heard.get() == ("n1", [0, 1], [[], []])
        await one.watch.close()
    asyncio.run(main())


def test_a_node_is_not_asked_any_more_once_its_disks_are_closed():
    async def story(one):
        one.config.replace("instances", replace(one.config.instance("web1"), disks_active=False))
        await one._said.put([OK, OK])
        await asyncio.sleep(0.01)
        assert len(one.nodes.asked) == 1
        one.config.replace("instances", replace(one.config.instance("web1"), disks_active=True))
        one.watch.changed()
        assert await one._heard.get() == ("n1", [0, 1], [[], []])
    told(story)
