# SPDX-License-Identifier: BSD-2-Clause
"""Keeping a copy of gnt-rapi's certificate, users and tokens on every master candidate: whoever is master next
serves the same clients.
"""

import asyncio
import logging

from gantry import paths
from gantry.cmdlib.view import Nodes
from gantry.config.config import Config
from gantry.rpc import calls
from gantry.server.pusher import Pusher
from gantry.utils.files import Stamp, stamp

log = logging.getLogger(__name__)
LOOK_SECONDS = 2.0


class RapiFilesPusher(Pusher):
    """From `own`, the master.

    A file that was here and was removed is removed elsewhere.  One that this master never had is let be: it may have
    become master before its copy came, and the others' must not be lost for that.
    """

    what = "the certificate, users and tokens of gnt-rapi"

    def __init__(self, config: Config, nodes: Nodes, own: str) -> None:
        super().__init__()
        self._config, self._nodes, self._own = config, nodes, own
        self._stamps: dict[str, Stamp | None] = {}
        self._files: dict[str, str | None] = {}

    def start(self) -> None:
        super().start()
        self.run(self._look())

    async def push(self) -> list[str]:
        self._read()
        names = {node.uuid: node.name for node in self._config.candidates()
                 if node.uuid != self._own and not node.offline}
        for gone in self._have.keys() - names.keys():
            del self._have[gone]
        # A node that was put up anew has a new certificate, and has lost the files.
        wanted = {uuid: (dict(self._files), self._config.nodes[uuid].certificate) for uuid in names}
        wanting = [uuid for uuid in names if self._have.get(uuid) != wanted[uuid]]
        if not wanting or not self._files:
            return []
        answers = await self._nodes.call_many(wanting, calls.rapi_files_write, files=dict(self._files))
        return self.note(wanted, answers, names)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if any(stamp(path) != self._stamps.get(name) for name, path in paths.here().rapi_files().items()):
                self.changed()

    def _read(self) -> None:
        """Take over what has changed; what cannot be read stays as it was."""
        for name, path in paths.here().rapi_files().items():
            now: Stamp | None = None
            try:
                now = stamp(path)
                if now != self._stamps.get(name):
                    text = None if now is None else path.read_text()
                    self._stamps[name] = now
                    self._files[name] = text
            except (OSError, UnicodeDecodeError) as err:
                self._stamps[name] = now
                log.warning("%s cannot be read, and is not copied to the master candidates: %s", path, err)
