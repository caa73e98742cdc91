# SPDX-License-Identifier: BSD-2-Clause
"""Keeping the ssconf files of all nodes as the configuration is."""

from collections.abc import Callable, Mapping

from gantry.cmdlib.view import Nodes
from gantry.config.config import Config
from gantry.rpc import calls
from gantry.server.pusher import Pusher

Values = Callable[[Config], Mapping[str, str]]


class SsconfPusher(Pusher):
    """`values` makes the files' contents from the configuration (`lib/config/ssconf.py`)."""

    what = "the ssconf files"

    def __init__(self, config: Config, nodes: Nodes, values: Values) -> None:
        super().__init__()
        self._config, self._nodes, self._values = config, nodes, values

    def came_back(self, node: str) -> None:
        """The node may have missed something, or was put up anew."""
        self._have.pop(node, None)
        self.changed()

    async def push(self) -> list[str]:
        values = dict(self._values(self._config))
        online = {node.uuid: node.name for node in self._config.online_nodes()}
        for gone in self._have.keys() - online.keys():
            del self._have[gone]
        wanting = [uuid for uuid in online if self._have.get(uuid) != values]
        if not wanting:
            return []
        answers = await self._nodes.call_many(wanting, calls.ssconf_write, values=values, serial=self._config.serial)
        return self.note(dict.fromkeys(wanting, values), answers, online)
