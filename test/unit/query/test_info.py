# SPDX-License-Identifier: BSD-2-Clause
"""Everything about an instance."""

import asyncio

import pytest

from gantry.errors import NotFound
from gantry.query.info import instance_info
from support import world
from support.world import FakeNodes, vm

KEYS = (
    "name uuid config_state run_state pnode pnode_group_uuid pnode_group_name snodes snodes_group_uuids "
    "snodes_group_names os nics disk_template disks hypervisor network_port hv_instance hv_actual be_instance "
    "be_actual os_instance os_actual serial_no ctime mtime")


def info(*names, static=False, nodes=None, settings=None):
    return asyncio.run(instance_info(settings or world.config(), nodes or FakeNodes(vms={"n1": [vm("i1")]}), names,
                                     static=static, warn=lambda line: None))


def test_a_running_instance():
    found = info("web1")["web1.example.org"]
    assert found.keys() == set(KEYS.split())
    assert (found["config_state"], found["run_state"]) == ("up", "up")
    assert found["nics"][0] == ["front", "c1", "203.0.113.9", "aa:00:00:00:00:01", "bridged", "br5", "", "w1", {
        "uuid": "w1", "name": "office", "network": "203.0.113.0/28", "gateway": "203.0.113.1", "network6": None,
        "gateway6": None, "mac_prefix": None, "tags": []}]
    assert found["be_instance"] == {"maxmem": 1024}
    assert found["be_actual"]["minmem"] == 128
    assert "migration_port" not in found["hv_actual"]
    disk = found["disks"][0]
    assert disk["pstatus"] == ["/dev/d1", None, None, None, None, False, 1]
    assert disk["sstatus"] == disk["pstatus"]
    assert (disk["iv_name"], disk["dev_type"], disk["size"], disk["name"]) == ("disk/0", "drbd", 1024, "root")


def test_static_data_ask_nobody():
    nodes = FakeNodes()
    found = info(static=True, nodes=nodes)
    assert list(found) == ["web1.example.org", "web2.example.org", "web10.example.org"]
    assert nodes.asked == []
    assert {item["run_state"] for item in found.values()} == {None}
    assert found["web2.example.org"]["disks"][0]["pstatus"] is None
    assert found["web2.example.org"]["disks"][0]["logical_id"] == ["loop", f"{world.FILES}/web2/d3"]


@pytest.mark.parametrize(("name", "parts", "state"), [
    ("web1", {"nodes": FakeNodes()}, "down"), ("web10", {}, "offline"), ("web2", {}, "down"),
    ("web1", {"nodes": FakeNodes(down={"n1"})}, None),
    ("web1", {"settings": world.config(nodes={"n1": {"offline": True}}), "nodes": FakeNodes()}, None),
    ("web1", {"nodes": FakeNodes(vms={"n1": [vm("i1", state="user_down")]}), "settings": world.config(cluster_changes={
        "enabled_user_shutdown": True, "hvparams": {"kvm": {"user_shutdown": True}}})}, "user down"),
])
def test_how_it_is(name, parts, state):
    (found,) = info(name, **parts).values()
    assert found["run_state"] == state


def test_an_instance_that_is_not_there():
    with pytest.raises(NotFound):
        info("nobody")


class Slow:
    """Nodes that take their time, and have neither guests nor disks."""

    async def call(self, node, call, /, **args):
        await asyncio.sleep(0.05)
        return [{"path": "", "exists": False} for _ in args.get("disks", ())]


def test_it_waits_as_long_as_a_job_may(monkeypatch):
    assert info("web1", nodes=Slow())["web1.example.org"]["run_state"] == "down"
    monkeypatch.setattr("gantry.query.info.JOB_SECONDS", 0.0)
    assert info("web1", nodes=Slow())["web1.example.org"]["run_state"] is None
