# SPDX-License-Identifier: BSD-2-Clause
"""Cluster data from the master daemon: what is asked, and how the answers are read."""

import json
from pathlib import Path
from typing import Any

import pytest

from hbal.errors import LoadError
from hbal.load import luxi, rapi

DATA = Path(__file__).parents[2] / "data" / "hbal" / "rapi"
NORMAL, UNAVAILABLE, OFFLINE = 0, 3, 4


def value(record: dict[str, Any], field: str) -> Any:
    family, slash, name = field.partition("/")
    if not slash:
        return record.get(field, False)
    return record[luxi.NESTED[family]].get(name, 1.0)


class Master:
    """Answers as the master daemon of the cluster in DATA would; `spoil` may change rows."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.rows: dict[str, list[list[Any]]] = {}
        for resource, fields in (("node", luxi.NODE_FIELDS), ("instance", luxi.INSTANCE_FIELDS),
                                 ("group", luxi.GROUP_FIELDS)):
            records = json.loads((DATA / f"{resource}s.json").read_text())
            self.rows[resource] = [[self.cell(value(record, field)) for field in fields] for record in records]

    @staticmethod
    def cell(content: Any) -> list[Any]:
        return [UNAVAILABLE, None] if content is None else [NORMAL, content]

    def spoil(self, resource: str, row: int, field: str, cell: Any) -> None:
        fields = {"node": luxi.NODE_FIELDS, "instance": luxi.INSTANCE_FIELDS}[resource]
        self.rows[resource][row][fields.index(field)] = cell

    def call(self, method: str, args: list[Any]) -> Any:
        self.asked.append([method, args])
        if method == "QueryClusterInfo":
            return json.loads((DATA / "info.json").read_text())
        return {"fields": [], "data": self.rows[args[0]]}


def test_four_requests_as_ever() -> None:
    master = Master()
    luxi.read(master)
    assert json.dumps(master.asked[0], separators=(",", ":")) == (
        '["Query",["node",["name","mtotal","mnode","mfree","dtotal","dfree","ctotal","cnos","offline","drained",'
        '"vm_capable","ndp/spindle_count","group.uuid","tags","ndp/exclusive_storage","sptotal","spfree",'
        '"ndp/cpu_speed"],null]]')
    assert [request[1][0] if request[1] else request[0] for request in master.asked] == [
        "node", "instance", "QueryClusterInfo", "group"]


def test_the_same_cluster_as_over_rapi() -> None:
    over_rapi, over_luxi = rapi.load(f"file://{DATA}"), luxi.read(Master())
    assert over_luxi.groups == over_rapi.groups
    assert over_luxi.nodes[0].cpu_speed == 1.5
    assert [node.free_memory for node in over_luxi.nodes] == [node.free_memory for node in over_rapi.nodes]
    assert [node.offline for node in over_luxi.nodes] == [node.offline for node in over_rapi.nodes]
    assert over_luxi.nodes[2].tags == ("a",)
    assert [one.memory for one in over_luxi.instances] == [1024, 1024, 1024]
    assert over_luxi.instances[2].spindles == 7


@pytest.mark.parametrize(("field", "cell"), [
    ("dtotal", [UNAVAILABLE, None]), ("dfree", [UNAVAILABLE, None]), ("spfree", [UNAVAILABLE, None]),
    ("sptotal", [UNAVAILABLE, None])])
def test_what_a_live_node_need_not_say(field: str, cell: Any) -> None:
    master = Master()
    master.spoil("node", 0, field, cell)
    assert not luxi.read(master).nodes[0].offline


@pytest.mark.parametrize(("resource", "row", "field", "cell", "complaint"), [
    ("node", 0, "mtotal", [OFFLINE, None], "node 'n1.x' has no value for mtotal"),
    ("node", 5, "sptotal", [UNAVAILABLE, None], "node 'n6.x' has no value for sptotal"),
    ("node", 0, "mtotal", [NORMAL, "x"], "invalid data for node 'n1.x': key 'mtotal': Unable to read Double"),
    ("node", 0, "tags", 5, "invalid answer about nodes: a row does not have 18 fields"),
    ("instance", 0, "be/memory", [UNAVAILABLE, None], "instance 'i1.x' has no value for be/memory"),
    ("instance", 0, "status", [NORMAL, "odd"], 'Invalid string value for type InstanceStatus: "odd"'),
])
def test_what_the_master_should_not_say(resource: str, row: int, field: str, cell: Any, complaint: str) -> None:
    master = Master()
    master.spoil(resource, row, field, cell)
    with pytest.raises(LoadError, match=complaint):
        luxi.read(master)


def test_no_master_daemon(tmp_path: Path) -> None:
    with pytest.raises(LoadError) as caught:
        luxi.load(str(tmp_path / "nothing"))
    assert "nothing" in caught.value.detail
