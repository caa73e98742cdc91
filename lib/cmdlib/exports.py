# SPDX-License-Identifier: BSD-2-Clause
"""Exports that jobs read and write: who has one, and that nobody exchanges one while it is read."""

from gantry.cmdlib.view import View
from gantry.errors import Error, WrongState
from gantry.objects.cluster import Node
from gantry.rpc import calls

UNPACKED = "none"
NO_REMOTE = ("Exports to another cluster (mode remote) are not offered by this release; export to a node of this "
             "cluster, copy the folder, and import it there")
WRITTEN, READ = "export-written", "export-read"
"""Kinds of reservations: the name of an export; that name, a slash, and the instance that it becomes."""


async def holders(view: View, name: str) -> tuple[Node, ...]:
    """Nodes with an export of this name, in the order of their names; those that cannot tell are warnings."""
    nodes = sorted(view.config.nodes.values(), key=lambda node: node.name)
    asked = [node.uuid for node in nodes if not node.offline]
    answers = await view.nodes.call_many(asked, calls.export_list)
    found = []
    for node in nodes:
        answer = answers.get(node.uuid)
        if node.offline or isinstance(answer, Error):
            why = "it is marked offline" if node.offline else str(answer)
            view.warn(f"Node {node.name} cannot tell whether it has an export of {name}: {why}")
        elif name in (answer or ()):
            found.append(node)
    return tuple(found)


def reserve_write(view: View, name: str) -> None:
    """For whoever replaces or removes exports of this name; raises WrongState while a job reads one."""
    reading = [value for value in view.reservations.taken(READ) if value.rpartition("/")[0] == name]
    if reading:
        raise WrongState(detail=f"The export {name} is being imported as {reading[0].rpartition('/')[2]}; wait until "
                                "that job has ended")
    view.reservations.reserve(*writes(name))


def reserve_read(view: View, name: str, instance: str) -> None:
    """For who makes `instance` from an export; raises WrongState while a job writes or removes one of this name."""
    if name in view.reservations.taken(WRITTEN):
        raise WrongState(detail=f"The export {name} is being written or removed; wait until that job has ended")
    view.reservations.reserve(*reads(name, instance))


def writes(name: str) -> tuple[str, str]:
    """The reservation of whoever replaces or removes exports of this name."""
    return (WRITTEN, name)


def reads(name: str, instance: str) -> tuple[str, str]:
    """The reservation of who makes `instance` from an export."""
    return (READ, f"{name}/{instance}")
