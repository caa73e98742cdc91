# SPDX-License-Identifier: BSD-2-Clause
"""The cluster as an operator has it: `gnt-*` commands on the master, and what they say."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from qa.machines.lab import Lab
from qa.machines.machine import Machine
from qa.machines.shell import Outcome
from qa.work import QaError

SECONDS = 900.0
"""A command that waits for its job; nothing here takes longer but by a fault."""


@dataclass
class Cluster:
    """`lab`'s machines as a cluster; `master` is the node that commands run on."""

    lab: Lab
    master: str = "node1"
    ended: dict[str, float] = field(default_factory=dict)

    def __getitem__(self, node: str) -> Machine:
        return self.lab[node.removesuffix(".qa")]

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(machine.name for machine in self.lab)

    def gnt(self, program: str, *argv: str, seconds: float = SECONDS) -> str:
        """Output of `gnt-PROGRAM ...`; raises QaError when it fails."""
        return self.try_gnt(program, *argv, seconds=seconds).stdout

    def try_gnt(self, program: str, *argv: str, seconds: float = SECONDS, may_fail: bool = False) -> Outcome:
        return self[self.master].run(f"gnt-{program}", *argv, seconds=seconds, may_fail=may_fail)

    def refused(self, program: str, *argv: str, seconds: float = SECONDS) -> str:
        """What a command says that must fail."""
        done = self.try_gnt(program, *argv, seconds=seconds, may_fail=True)
        if done.status == 0:
            raise QaError(f"`gnt-{program} {' '.join(argv)}` succeeded, it should have been refused:\n{done.stdout}")
        return done.stderr + done.stdout

    def instance(self, name: str, *fields: str) -> list[str]:
        """Fields of an instance as `gnt-instance list` prints them."""
        text = self.gnt("instance", "list", "--no-headers", "--separator=\t", "-o", ",".join(fields), name)
        return text.rstrip("\n").split("\t")

    def wait_for_nodes(self, *, seconds: float = 180) -> float:
        """Until all node daemons answer; seconds it took."""
        return wait_until(lambda: "?" not in self.try_gnt("node", "list", "--no-headers", may_fail=True).stdout,
                          "all node daemons answer", seconds=seconds, pause=1)

    def verify(self) -> None:
        """`gnt-cluster verify` finds nothing; raises QaError with what it says otherwise."""
        done = self.try_gnt("cluster", "verify", may_fail=True)
        said = done.stdout + done.stderr
        bad = [line for line in said.splitlines() if re.search(r"\b(ERROR|WARNING)\b", line)]
        if done.status != 0 or bad:
            raise QaError(f"gnt-cluster verify ended with {done.status}:\n" + ("\n".join(bad) or said))


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float, pause: float = 0.5) -> float:
    """Seconds it took until `condition` held; raises QaError when it does not within `seconds`."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise QaError(f"{what}: not within {seconds:g} seconds")
        time.sleep(pause)
    return time.monotonic() - begin
