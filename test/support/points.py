# SPDX-License-Identifier: BSD-2-Clause
"""Which points of `gantry.utils.faults` an operation reaches, and where: so that tests need no list of them."""

from collections.abc import Callable
from dataclasses import dataclass

from gantry.rpc.registry import CALLS
from support.harness import Harness


@dataclass(frozen=True)
class Reached:
    """A node call that came in on `node`.  `as_task`: it ran in the process of a task, not in the node daemon."""

    node: str
    call: str

    @property
    def as_task(self) -> bool:
        return bool(CALLS[self.call].task)

    def point(self, moment: str) -> str:
        return f"call:{self.call}:{moment}"


def calls_of(cluster: Harness, work: Callable[[], object]) -> list[Reached]:
    """All calls that come in on the nodes while `work` runs, each once for a node, in the order of its first time
    there; without those by which the master and the nodes watch each other."""
    files = {node: cluster.paths(node).run / "faults/trace" for node in cluster.layout.nodes}
    for file in files.values():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    try:
        work()
        found = {Reached(node, line.split(":")[1]): None for node, file in files.items()
                 for line in file.read_text().splitlines() if line.startswith("call:")}
    finally:
        for file in files.values():
            file.unlink()
    return [item for item in found if not item.call.startswith("leader_") and item.call != "version"]
