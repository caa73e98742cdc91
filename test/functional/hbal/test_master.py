# SPDX-License-Identifier: BSD-2-Clause
"""The LUXI loader against the master daemon's own methods: every field that is asked for is there."""

import asyncio
import json
from typing import Any

from gantry.luxi.methods import methods
from hbal.load import luxi, text
from hbal.model import Status, Template
from support import world


class Master:
    """Calls the methods directly and sends the answers through JSON."""

    def call(self, method: str, args: list[Any]) -> Any:
        async def run() -> Any:
            return await methods(world.services())[method].run(list(args))
        return json.loads(json.dumps(asyncio.run(run())))


def test_the_cluster_behind_the_socket() -> None:
    data = luxi.read(Master())
    assert [node.offline for node in data.nodes] == [False, False, True, True]
    assert data.nodes[0].master
    assert data.nodes[0].free_memory == 6000
    assert [(one.template, one.status) for one in data.instances] == [
        (Template.DRBD, Status.ERROR_DOWN), (Template.FILE, Status.ADMIN_DOWN),
        (Template.DISKLESS, Status.ADMIN_OFFLINE)]
    assert data.tags == ("prod",)
    assert text.parse(text.dump(data)).groups == data.groups
