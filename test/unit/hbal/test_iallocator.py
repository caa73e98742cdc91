# SPDX-License-Identifier: BSD-2-Clause
"""Requests of the iallocator protocol."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hbal.errors import LoadError
from hbal.load import iallocator
from hbal.load.iallocator import (
    Allocate,
    AllocateSecondary,
    ChangeGroup,
    EvacMode,
    MultiAllocate,
    NodeEvacuate,
    Relocate,
)
from hbal.model import NO_NODE, Status

MESSAGE = json.loads((Path(__file__).parents[2] / "data" / "hbal" / "allocate.json").read_text())


def understood(document: Any) -> iallocator.Request:
    message = iallocator.parse(json.dumps(document))
    return iallocator.request(message, iallocator.cluster(message))


def asking(**request: Any) -> Any:
    return {**MESSAGE, "request": request}


def test_the_cluster_of_a_message_keeps_its_order() -> None:
    data = iallocator.cluster(iallocator.parse(MESSAGE))
    assert [node.name for node in data.nodes] == ["node2", "node1"]
    assert (data.hypervisor, data.tags) == ("kvm", ("htools:iextags:t",))
    instance = data.instances[0]
    assert (instance.primary, instance.secondary, instance.status) == (1, 0, Status.RUNNING)
    assert (instance.auto_balance, instance.forthcoming) == (True, False)
    assert (data.nodes[0].spindles, data.nodes[0].cpu_speed, data.nodes[0].offline) == (2, 1.0, False)


def test_nodes_that_are_not_live() -> None:
    message = copy.deepcopy(MESSAGE)
    known = message["nodes"]["node1"]
    message["nodes"]["node1"] = {"offline": True} | {key: known[key] for key in ("drained", "group", "ndparams")}
    message["nodes"]["node2"]["drained"] = True
    drained, offline = iallocator.cluster(iallocator.parse(message)).nodes
    assert (drained.offline, drained.free_memory) == (True, 15360)
    assert (offline.offline, offline.free_memory) == (True, 0)


def test_allocate() -> None:
    found = understood({**MESSAGE, "request": {**MESSAGE["request"], "group_name": "g1", "restrict-to-nodes": ["node1"],
                                               "nics": [{"network": "n"}, {}]}})
    assert isinstance(found, Allocate)
    assert (found.required_nodes, found.group_name, found.restrict_to) == (2, "g1", ("node1",))
    assert (found.instance.name, found.instance.primary, found.instance.memory) == ("new", NO_NODE, 1024)
    assert [nic.network for nic in found.instance.nics] == ["n", None]


def test_multi_allocate_reads_the_group_outside() -> None:
    found = understood(asking(type="multi-allocate", group_name="g", instances=[MESSAGE["request"]] * 2))
    assert isinstance(found, MultiAllocate)
    assert [one.group_name for one in found.requests] == ["g", "g"]


@pytest.mark.parametrize(("request_", "expected"), [
    ({"type": "allocate-secondary", "name": "i1"}, AllocateSecondary(0)),
    ({"type": "relocate", "name": "i1", "required_nodes": 1, "relocate_from": ["node2"]}, Relocate(0, 1, (0,))),
    ({"type": "node-evacuate", "instances": ["i1"], "evac_mode": "all"}, NodeEvacuate((0,), EvacMode.ALL)),
    ({"type": "change-group", "instances": ["i1"], "target_groups": ["g1", "uuid-01"]}, ChangeGroup((0,), (0, 0))),
    ({"type": "change-group", "instances": [], "target_groups": []}, ChangeGroup((), ())),
])
def test_requests_about_instances(request_: dict[str, Any], expected: iallocator.Request) -> None:
    assert understood({**MESSAGE, "request": request_}) == expected


def without(*path: str) -> Callable[[], Any]:
    def change() -> Any:
        message = copy.deepcopy(MESSAGE)
        inner = message
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        return message
    return change


def having(value: Any, *path: str) -> Callable[[], Any]:
    def change() -> Any:
        message = copy.deepcopy(MESSAGE)
        inner = message
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return message
    return change


@pytest.mark.parametrize(("change", "complaint"), [
    (without("request"), "invalid iallocator message: key 'request' not found, object contains only "
     '["version","cluster_name","cluster_tags","enabled_hypervisors","nodegroups","nodes","instances"]'),
    (without("request", "type"), "invalid request dict: key 'type' not found, object contains only "),
    (without("request", "memory"), "invalid data for instance 'new': key 'memory' not found"),
    (without("nodegroups", "uuid-01", "name"), "invalid data for group 'uuid-01': key 'name' not found"),
    (without("nodes", "node1", "offline"), "invalid data for node 'node1': key 'offline' not found"),
    (without("instances", "i1", "nodes"), "invalid data for instance 'i1': key 'nodes' not found"),
    (having(3, "request", "name"), "invalid request dict: key 'name': Unable to read String"),
    (having("foo", "request", "type"), "Invalid request type 'foo'"),
    (having([], "request"), "invalid iallocator message: key 'request': Unable to read JSObject"),
    (having("3", "request", "memory"), "invalid data for instance 'new': key 'memory': Unable to read Int"),
    (having(-3, "request", "memory"), "invalid data for instance 'new': key 'memory': negative size '-3'"),
    (having("x", "nodes", "node1", "group"), "Unknown group 'x' for node node1"),
    (having([], "instances", "i1", "nodes"), "empty node list for instance i1"),
    (having(["zz"], "instances", "i1", "nodes"), "Unknown node 'zz' for instance i1"),
    (having(["node1", "node1"], "instances", "i1", "nodes"), "Instance i1 has same primary and secondary node"),
    (having("foo", "request", "disk_template"), "invalid data for instance 'new': key 'disk_template': Invalid string "
     'value for type DiskTemplate: "foo"'),
    (lambda: asking(type="relocate", name="i9", required_nodes=1, relocate_from=[]), "Unknown instance 'i9'"),
    (lambda: asking(type="relocate", name="i1", required_nodes=1, relocate_from=["n9"]),
     "Wrong number of elems found with name n9"),
    (lambda: asking(type="node-evacuate", instances=["i9"], evac_mode="all"),
     "Wrong number of elems found with name i9"),
    (lambda: asking(type="node-evacuate", instances=["i1"], evac_mode="some"), "invalid request dict: key 'evac_mode': "
     'Invalid string value for type EvacMode: "some"'),
    (lambda: asking(type="change-group", instances=[], target_groups=["g9"]),
     "Wrong number of elems found with name g9"),
    (list, "Parsing input IAllocator message: Unable to read JSObject"),
])
def test_what_is_wrong_is_said_in_one_sentence(change: Callable[[], Any], complaint: str) -> None:
    with pytest.raises(LoadError) as caught:
        understood(change())
    assert caught.value.detail.startswith(complaint)


def test_what_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="Parsing input IAllocator message: Invalid JSON"):
        iallocator.parse("{")
    with pytest.raises(LoadError, match="No such file"):
        iallocator.read(str(tmp_path / "nothing"))
