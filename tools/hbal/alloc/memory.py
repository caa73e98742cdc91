# SPDX-License-Identifier: BSD-2-Clause
"""Reading the cluster of a request, and keeping what was read for the next one.

Parts are known again by their bytes: a node or instance that is written as before is not read again, and of a cluster
that is written as before the state of the core is kept, too.
"""

import marshal

from hbal.alloc import places
from hbal.core.arrays import State
from hbal.load import iallocator
from hbal.load.fields import Fields
from hbal.load.prepare import Wishes, named, prepare, with_missing
from hbal.model import ClusterData, Instance, Node

NO_REFERENCES = 2
"""The version of the format that writes equal values alike."""
FRAME = ("nodegroups", "cluster_tags", "enabled_hypervisors", "nodes")


class Memory:
    """What is known of the cluster of the last request."""

    def __init__(self) -> None:
        self._frame = self._whole = b""
        """What nodes and instances are read against: names of nodes and groups, tags; and all of the cluster."""
        self._instances: dict[bytes, Instance] = {}
        self._nodes: dict[bytes, Node] = {}
        self._state: State | None = None

    def cluster(self, message: Fields, wishes: Wishes) -> tuple[ClusterData, State]:
        """The cluster, ready, and its state (not to be changed); raises LoadError."""
        try:
            rest = marshal.dumps([message.any(key) for key in FRAME], NO_REFERENCES)
            nodes = {item[0]: marshal.dumps(item, NO_REFERENCES) for item in message.object("nodes").items()}
            groups = [name for name, _ in message.object("nodegroups").items()]
            frame = marshal.dumps([[*nodes], groups, message.any("cluster_tags"), message.any("enabled_hypervisors"),
                                   repr(wishes)], NO_REFERENCES)
            instances = message.object("instances")
            written = [marshal.dumps(item, NO_REFERENCES) for item in instances.items()]
        except ValueError:  # not plain JSON values
            data = prepare(iallocator.cluster(message), wishes)
            return data, places.whole(data)
        whole = b"".join([frame, rest, *written])
        if self._state is None or whole != self._whole:
            data = self._read(message, wishes, written, nodes if frame == self._frame else None)
            self._state, self._frame, self._whole = places.whole(data), frame, whole
            self._instances = dict(zip(written, data.instances, strict=True))
            self._nodes = dict(zip(nodes.values(), data.nodes, strict=True))
        return self._state.data, self._state

    def _read(self, message: Fields, wishes: Wishes, written: list[bytes],
              nodes: dict[str, bytes] | None) -> ClusterData:
        """The cluster; `nodes`: as they are written, where the frame is the one of the last request."""
        if nodes is None or wishes.loads:
            return prepare(iallocator.cluster(message), wishes)
        items = message.object("instances").items()
        fresh = [item for item, text in zip(items, written, strict=True) if text not in self._instances]
        part = Fields({**dict(message.items()), "instances": dict(fresh)}, "invalid iallocator message")
        known = {name: self._nodes[text] for name, text in nodes.items() if text in self._nodes}
        data = named(iallocator.cluster(part, known), wishes)
        read = iter(data.instances)
        instances = tuple(self._instances[text] if text in self._instances else next(read) for text in written)
        return with_missing(data._replace(instances=instances))
