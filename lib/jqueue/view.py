# SPDX-License-Identifier: BSD-2-Clause
"""What a logical unit sees of the cluster, for one run of a job's opcode."""

import uuid

from gantry.cmdlib.view import Nodes, Reservations
from gantry.config.config import Config
from gantry.jqueue.job import Job
from gantry.jqueue.services import Services
from gantry.locking.manager import Claim


class JobView:
    """Implements `gantry.cmdlib.view.View`."""

    def __init__(self, services: Services, job: Job, index: int) -> None:
        self.config: Config = services.config
        self.nodes: Nodes = services.nodes
        self.reservations: Reservations = services.reservations.of(job.id)
        self.claim: Claim | None = None
        self._job, self._index = job, index

    @property
    def job(self) -> int:
        return self._job.id

    def locked(self, level: str) -> frozenset[str]:
        """Names whose locks are held at a level; of an opportunistic level, those that were free."""
        return self.claim.names(level) if self.claim else frozenset()

    def say(self, line: str) -> None:
        self._job.say(self._index, line)

    def warn(self, line: str) -> None:
        self._job.say(self._index, f" - WARNING: {line}")

    def new_uuid(self) -> str:
        return str(uuid.uuid4())
