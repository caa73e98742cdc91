# SPDX-License-Identifier: BSD-2-Clause
"""Each resource: what it submits or asks, what it answers, what it refuses."""

import json

import pytest

from gantry.errors import LuxiError, RemoteError
from gantry.luxi.client import NoMaster, NotPermitted, TimedOut
from gantry.luxi.protocol import RequestRefused
from gantry.rapi.objects import FILTER, GROUP, INSTANCE, JOB, JOB_BULK, NETWORK, NODE
from gantry.rapi.of_cluster import OS_BULK
from gantry.rapi.routes import all_endpoints
from support.rapi import ADMIN, PLAIN, READER, FakeDoor, application, ask

CREATE = {"__version__": 1, "mode": "create", "name": "web1", "disk_template": "diskless", "disks": [], "nics": [{}],
          "os": "debian"}
CREATED = {"OP_ID": "OP_INSTANCE_CREATE", "mode": "create", "instance_name": "web1", "disk_template": "diskless",
           "disks": [], "nics": [{}], "os_type": "debian", "dry_run": False}


@pytest.fixture
def door():
    return FakeDoor()


@pytest.fixture
def app(door, tmp_path):
    return application(door, tmp_path)


def op(name, /, **values):
    return {"OP_ID": f"OP_{name}", **values}


def web(name, /, **values):
    return op(name, instance_name="web1", **values)


SUBMITS = [
    ("PUT", "/2/redistribute-config", None, op("CLUSTER_REDIST_CONF")),
    ("PUT", "/2/modify", {"mac_prefix": "aa:bb:cc"}, op("CLUSTER_SET_PARAMS", mac_prefix="aa:bb:cc")),
    ("PUT", "/2/tags?tag=a&tag=b&dry-run=1", None,
     op("TAGS_SET", kind="cluster", name="", tags=["a", "b"], dry_run=True)),
    ("DELETE", "/2/tags?tag=a", None, op("TAGS_DEL", kind="cluster", name="", tags=["a"], dry_run=False)),
    ("POST", "/2/groups", {"name": "g", "alloc_policy": None},
     op("GROUP_ADD", group_name="g", alloc_policy=None, dry_run=False)),
    ("POST", "/2/groups?dry-run=1", {"group_name": "g"}, op("GROUP_ADD", group_name="g", dry_run=True)),
    ("DELETE", "/2/groups/g", {"ignored": 1}, op("GROUP_REMOVE", group_name="g", dry_run=False)),
    ("PUT", "/2/groups/g/modify", {"custom_ndparams": {"a": 1}, "custom_ipolicy": {}, "custom_diskparams": {}},
     op("GROUP_SET_PARAMS", group_name="g", ndparams={"a": 1}, ipolicy={}, diskparams={})),
    ("PUT", "/2/groups/g/rename", {"new_name": "h"}, op("GROUP_RENAME", group_name="g", new_name="h", dry_run=False)),
    ("PUT", "/2/groups/g/assign-nodes?force=1", {"nodes": ["n1"]},
     op("GROUP_ASSIGN_NODES", group_name="g", nodes=["n1"], force=True, dry_run=False)),
    ("PUT", "/2/groups/g/tags?tag=x", None,
     op("TAGS_SET", kind="nodegroup", name="g", tags=["x"], dry_run=False)),
    ("POST", "/2/networks", {"network_name": "n", "network": "10.0.0.0/24", "gateway": None, "tags": None},
     op("NETWORK_ADD", network_name="n", network="10.0.0.0/24", dry_run=False)),
    ("DELETE", "/2/networks/n", {"force": True}, op("NETWORK_REMOVE", network_name="n", force=True, dry_run=False)),
    ("PUT", "/2/networks/n/connect", {"group_name": "g", "network_mode": "bridged", "network_link": "br0"},
     op("NETWORK_CONNECT", network_name="n", group_name="g", network_mode="bridged", network_link="br0",
        dry_run=False)),
    ("PUT", "/2/networks/n/disconnect", {"group_name": "g"},
     op("NETWORK_DISCONNECT", network_name="n", group_name="g", dry_run=False)),
    ("PUT", "/2/networks/n/modify", {"gateway": "none"}, op("NETWORK_SET_PARAMS", network_name="n", gateway="none")),
    ("PUT", "/2/networks/n/rename", {"new_name": "m"},
     op("NETWORK_RENAME", network_name="n", new_name="m", dry_run=False)),
    ("POST", "/2/nodes/n1/powercycle?force=1", None, op("NODE_POWERCYCLE", node_name="n1", force=True)),
    ("PUT", "/2/nodes/n1/role?auto-promote=1", "offline",
     op("NODE_SET_PARAMS", node_name="n1", offline=True, force=False, auto_promote=True)),
    ("PUT", "/2/nodes/n1/role", "regular",
     op("NODE_SET_PARAMS", node_name="n1", master_candidate=False, offline=False, drained=False, force=False,
        auto_promote=False)),
    ("POST", "/2/nodes/n1/evacuate?dry-run=1", {"mode": "all", "iallocator": "hail"},
     op("NODE_EVACUATE", node_name="n1", mode="all", iallocator="hail", dry_run=True)),
    ("POST", "/2/nodes/n1/migrate", {"mode": "live"}, op("NODE_MIGRATE", node_name="n1", mode="live")),
    ("POST", "/2/nodes/n1/migrate?reason=x", {"mode": "live"}, op("NODE_MIGRATE", node_name="n1", mode="live")),
    ("POST", "/2/nodes/n1/migrate?live=0", None, op("NODE_MIGRATE", node_name="n1", mode="non-live")),
    ("POST", "/2/nodes/n1/migrate?mode=live", {"iallocator": "x"}, op("NODE_MIGRATE", node_name="n1", mode="live")),
    ("POST", "/2/nodes/n1/modify", {"drained": True}, op("NODE_SET_PARAMS", node_name="n1", drained=True)),
    ("GET", "/2/nodes/n1/storage?storage_type=file&output_fields=name,size", None,
     op("NODE_QUERY_STORAGE", nodes=["n1"], storage_type="file", output_fields=["name", "size"])),
    ("PUT", "/2/nodes/n1/storage/modify?storage_type=lvm-pv&name=sda&allocatable=0", None,
     op("NODE_MODIFY_STORAGE", node_name="n1", storage_type="lvm-pv", name="sda", changes={"allocatable": False})),
    ("PUT", "/2/nodes/n1/storage/repair?storage_type=lvm-vg&name=vg", None,
     op("REPAIR_NODE_STORAGE", node_name="n1", storage_type="lvm-vg", name="vg")),
    ("DELETE", "/2/nodes/n1/tags?tag=x", ["x"], op("TAGS_DEL", kind="node", name="n1", tags=["x"], dry_run=False)),
    ("POST", "/2/instances", CREATE, CREATED),
    ("POST", "/2/instances?dry-run=1", CREATE | {"hvparams": {"usb_devices": "a b"}},
     CREATED | {"dry_run": True, "hvparams": {"usb_devices": "a,b"}}),
    ("POST", "/2/instances-multi-alloc",
     {"iallocator": "hail", "instances": [{key: CREATE[key] for key in CREATE if key != "__version__"}]},
     op("INSTANCE_MULTI_ALLOC", iallocator="hail", dry_run=False,
        instances=[{key: CREATED[key] for key in CREATED if key != "dry_run"}])),
    ("DELETE", "/2/instances/web1", {}, web("INSTANCE_REMOVE", ignore_failures=False, dry_run=False)),
    ("DELETE", "/2/instances/web1", {"shutdown_timeout": 5},
     web("INSTANCE_REMOVE", ignore_failures=False, dry_run=False, shutdown_timeout=5)),
    ("GET", "/2/instances/web1/info?static=1", None, op("INSTANCE_QUERY_DATA", instances=["web1"], static=True)),
    ("POST", "/2/instances/web1/reboot", None,
     web("INSTANCE_REBOOT", reboot_type="hard", ignore_secondaries=False, dry_run=False)),
    ("POST", "/2/instances/web1/reboot?type=soft&ignore_secondaries=1", {"shutdown_timeout": 3},
     web("INSTANCE_REBOOT", reboot_type="soft", ignore_secondaries=True, dry_run=False, shutdown_timeout=3)),
    ("PUT", "/2/instances/web1/shutdown?no_remember=1", {"timeout": 9, "force": True},
     web("INSTANCE_SHUTDOWN", no_remember=True, dry_run=False, timeout=9, force=True)),
    ("PUT", "/2/instances/web1/startup?force=1", {"ignored": True},
     web("INSTANCE_STARTUP", force=True, no_remember=False, dry_run=False)),
    ("POST", "/2/instances/web1/replace-disks?mode=replace_auto&disks=0,2&iallocator=hail&early_release=1", None,
     web("INSTANCE_REPLACE_DISKS", mode="replace_auto", disks=[0, 2], iallocator="hail")),
    ("POST", "/2/instances/web1/replace-disks", {"mode": "replace_on_primary", "disks": "1"},
     web("INSTANCE_REPLACE_DISKS", mode="replace_on_primary", disks=[1])),
    ("POST", "/2/instances/web1/replace-disks", {"mode": "replace_on_primary", "disks": [0], "early_release": True},
     web("INSTANCE_REPLACE_DISKS", mode="replace_on_primary", disks=[0], early_release=True)),
    ("PUT", "/2/instances/web1/activate-disks?ignore_size=1", None, web("INSTANCE_ACTIVATE_DISKS", ignore_size=True)),
    ("PUT", "/2/instances/web1/deactivate-disks", {"force": True}, web("INSTANCE_DEACTIVATE_DISKS", force=True)),
    ("POST", "/2/instances/web1/recreate-disks", {"disks": [0], "nodes": ["n1"]},
     web("INSTANCE_RECREATE_DISKS", disks=[0], nodes=["n1"])),
    ("POST", "/2/instances/web1/disk/1/grow", {"amount": 100, "wait_for_sync": False},
     web("INSTANCE_GROW_DISK", disk=1, amount=100, wait_for_sync=False)),
    ("PUT", "/2/instances/web1/prepare-export?mode=remote", None, web("BACKUP_PREPARE", mode="remote")),
    ("PUT", "/2/instances/web1/export", {"destination": "n2", "mode": "local"},
     web("BACKUP_EXPORT", target_node="n2", mode="local")),
    ("DELETE", "/2/instances/web1/export", None, web("BACKUP_REMOVE")),
    ("PUT", "/2/instances/web1/migrate", {"mode": "live", "cleanup": False},
     web("INSTANCE_MIGRATE", mode="live", cleanup=False)),
    ("PUT", "/2/instances/web1/failover", {"ignore_consistency": True},
     web("INSTANCE_FAILOVER", ignore_consistency=True)),
    ("PUT", "/2/instances/web1/rename", {"new_name": "web2", "ip_check": False},
     web("INSTANCE_RENAME", new_name="web2", ip_check=False)),
    ("PUT", "/2/instances/web1/modify", {"custom_beparams": {"vcpus": 2}, "custom_hvparams": {"usb_devices": "a b"}},
     web("INSTANCE_SET_PARAMS", beparams={"vcpus": 2}, hvparams={"usb_devices": "a,b"})),
    ("PUT", "/2/instances/web1/modify", {"depends": [[-1, []]], "osparams": {}},
     web("INSTANCE_SET_PARAMS", depends=[[-1, []]], osparams={})),
]


@pytest.mark.parametrize(("method", "target", "body", "wanted"), SUBMITS, ids=[f"{m} {t}" for m, t, _, _ in SUBMITS])
def test_what_is_submitted(app, door, method, target, body, wanted):
    answer = ask(app, method, target, body, user=ADMIN)
    assert (answer.status, answer.body) == (200, 101)
    assert door.ops == [wanted]


def test_every_resource_that_submits_one_opcode_is_in_the_table():
    tried = {(method, target.partition("?")[0].replace("/web1", "/{name}").replace("/n1", "/{name}")
              .replace("/g/", "/{name}/").replace("/n/", "/{name}/").replace("/disk/1/", "/disk/{disk:int}/"))
             for method, target, _, _ in SUBMITS}
    tried = {(method, path.removesuffix("/g").removesuffix("/n") + "/{name}" if path.endswith(("/g", "/n")) else path)
             for method, path in tried}
    wanted = {(item.method, item.path) for item in all_endpoints() if item.job and not item.path.endswith("/tags")}
    assert wanted <= tried


@pytest.mark.parametrize("target", ["/2/instances/web1/migrate", "/2/instances/web1/failover"])
def test_a_body_may_be_null(app, door, target):
    assert ask(app, "PUT", target, raw=b"null", user=ADMIN).status == 200


@pytest.mark.parametrize(("method", "target", "body"), [
    ("GET", "/2/query/node?fields=name", None), ("GET", "/2/instances/web1/console", None),
    *((method, target, body) for method, target, body, _ in SUBMITS if method != "GET" or "storage" in target),
    ("DELETE", "/2/jobs/1", None), ("GET", "/2/jobs/1/wait", {"fields": ["status"]}),
    ("POST", "/2/filters", {}), ("PUT", "/2/filters/u", {}), ("DELETE", "/2/filters/u", None),
    ("POST", "/2/instances/web1/reinstall", {})])
def test_without_the_right_nothing_is_asked(app, door, method, target, body):
    readers = "/query/" in target or target.endswith("console")
    assert ask(app, method, target, body).status == 401
    assert ask(app, method, target, body, user=PLAIN).status == 403
    if not readers:
        assert ask(app, method, target, body, user=READER).status == 403
    assert door.calls == []


REFUSED = [
    ("POST", "/2/instances", {}, "version 0"), ("POST", "/2/instances", CREATE | {"__version__": 2}, "version 2"),
    ("POST", "/2/instances", CREATE | {"nosuch": 1}, "nosuch"), ("POST", "/2/instances", CREATE | {"mode": 5}, "mode"),
    ("POST", "/2/instances", CREATE | {"instance_name": "x"}, "only one"),
    ("POST", "/2/instances", CREATE | {"dry_run": True}, "overridden"),
    ("POST", "/2/instances", [], "dict"), ("POST", "/2/instances", "text", "dict"),
    ("POST", "/2/instances?dry-run=true", CREATE, "dry-run"), ("POST", "/2/instances?dry-run=2", CREATE, "dry-run"),
    ("POST", "/2/instances-multi-alloc", {"instances": {}}, "list"),
    ("POST", "/2/instances-multi-alloc", {"instances": [1]}, "list"),
    ("POST", "/2/instances-multi-alloc", {"instances": [{"name": "x"}]}, "required"),
    ("PUT", "/2/instances/web1/modify", {"instance_name": "x"}, "overridden"),
    ("PUT", "/2/instances/web1/modify", {"instance_uuid": "x"}, "overridden"),
    ("PUT", "/2/instances/web1/modify", {"OP_ID": "OP_CLUSTER_DESTROY"}, "overridden"),
    ("PUT", "/2/instances/web1/rename", {}, "new_name"), ("PUT", "/2/instances/web1/rename", None, "new_name"),
    ("PUT", "/2/instances/web1/prepare-export", None, "mode"),
    ("POST", "/2/instances/web1/replace-disks?mode=replace_auto&disks=a", None, "disk index"),
    ("POST", "/2/instances/web1/replace-disks", {"mode": "replace_auto", "disks": {}}, "disks"),
    ("POST", "/2/instances/web1/reboot?type=warm", None, "reboot_type"),
    ("POST", "/2/instances/web1/reinstall", {"nosuch": 1}, "nosuch"),
    ("POST", "/2/instances/web1/reinstall", {"start": "yes"}, "start"),
    ("POST", "/2/instances/web1/reinstall", {"os": 5}, "os_type"),
    ("PUT", "/2/tags", None, "tag"), ("PUT", "/2/tags?tag=", None, "tag"), ("PUT", "/2/tags?tag=%C3%A4", None, "tags"),
    ("PUT", "/2/nodes/n1/role", {}, "string"), ("PUT", "/2/nodes/n1/role", None, "string"),
    ("PUT", "/2/nodes/n1/role", "master", "master"), ("PUT", "/2/nodes/n1/role", "nosuch", "nosuch"),
    ("POST", "/2/nodes/n1/migrate?live=1&mode=live", None, "Only one"),
    ("GET", "/2/nodes/n1/storage", None, "output_fields|storage_type"),
    ("GET", "/2/nodes/n1/storage?storage_type=file", None, "output_fields"),
    ("PUT", "/2/nodes/n1/storage/modify?storage_type=file", None, "name"),
    ("GET", "/2/jobs/1/wait", None, "fields"), ("GET", "/2/jobs/1/wait", {"fields": [1]}, "fields"),
    ("GET", "/2/jobs/1/wait", {"fields": [], "previous_job_info": "x"}, "previous_job_info"),
    ("GET", "/2/jobs/1/wait", {"fields": [], "previous_log_serial": "x"}, "previous_log_serial"),
    ("GET", "/2/query/node", None, "fields"), ("PUT", "/2/query/node", {}, "fields"),
    ("PUT", "/2/query/node", {"fields": "name"}, "fields"),
    ("PUT", "/2/query/node", {"fields": [], "qfilter": "x"}, "qfilter"),
    ("POST", "/2/filters", {"nosuch": 1}, "nosuch"), ("POST", "/2/filters", {"priority": "1"}, "priority"),
    ("POST", "/2/filters", {"action": "MAYBE"}, "action"), ("POST", "/2/filters", {"reason": "x"}, "reason"),
    ("GET", "/2/instances?bulk=yes", None, "bulk"),
]


@pytest.mark.parametrize(("method", "target", "body", "words"), REFUSED)
def test_requests_that_cannot_be(app, door, method, target, body, words):
    answer = ask(app, method, target, body, user=ADMIN)
    assert answer.status == 400
    assert answer.body.keys() == {"code", "message", "explain"}
    assert any(word in answer.body["message"] for word in words.split("|")), answer.body
    assert door.calls == []


def test_what_may_not_be_changed_from_afar(app, door):
    assert ask(app, "PUT", "/2/modify", {"compression_tools": ["gzip"]}, user=ADMIN).status == 403
    assert door.calls == []


@pytest.mark.parametrize(("raw", "content", "status"), [
    (b"{", "application/json", 400), (b"\xff", "application/json", 400), (b"NaN", "application/json", 400),
    (b"[" * 100_000, "application/json", 400), (b'{"a": Infinity}', "application/json", 400),
    (b"{}", "text/plain", 415), (b"{}", "", 415), (b"{}", "application/json; charset=utf-8", 415),
    (b'{"new_name": "x"}', "APPLICATION/JSON", 200)])
def test_bodies_that_cannot_be_read(app, raw, content, status):
    assert ask(app, "PUT", "/2/instances/web1/rename", raw=raw, content=content, user=ADMIN).status == status


@pytest.mark.parametrize(("method", "target", "status"), [
    ("GET", "/nosuch", 404), ("GET", "/2/", 404), ("GET", "/2/nodes/", 404), ("GET", "/3", 404), ("GET", "", 404),
    ("GET", "/2/nodes/a%20b", 404), ("GET", "/2/nodes/a b", 404), ("GET", "/2/jobs/x", 404), ("GET", "/2/nodes/*", 404),
    ("GET", "//2", 404), ("GET", "/2/instances/web1/nosuch", 404), ("GET", "/2/instances/w\u0661", 404),
    ("HEAD", "/version", 501), ("OPTIONS", "/2/nodes", 501), ("POST", "/2/jobs/1", 501), ("PATCH", "/2/nodes/n1", 501),
    ("TRACE", "/2/nodes/n1", 405), ("DELETE", "/2/nodes/n1", 501), ("GET", "/2/modify", 501)])
def test_paths_and_methods_that_are_not_there(app, door, method, target, status):
    answer = ask(app, method, target)
    assert answer.status == status
    assert answer.body["code"] == status
    assert door.calls == []


def test_the_shape_of_errors(app):
    assert ask(app, "GET", "/nosuch").body == {
        "code": 404, "message": "Not Found", "explain": "Nothing matches the given URI"}
    assert ask(app, "PUT", "/2/nodes/n/role", "<b>", user=ADMIN).body["message"].startswith("Invalid role '&lt;b&gt;'")


@pytest.mark.parametrize(("error", "status"), [
    (NoMaster(whom="the master daemon"), 502), (LuxiError(detail="x"), 502), (RequestRefused(detail="x"), 502),
    (TimedOut(detail="x"), 504), (NotPermitted(), 500), (RemoteError(name="GenericError", args=["x"]), 500),
    (RemoteError(name="JobQueueDrainError", args=["x"]), 503), (RemoteError(name="JobQueueFull", args=[]), 503),
    (RemoteError(name="OpPrereqError", args=["x", "unknown_entity"]), 404),
    (RemoteError(name="OpPrereqError", args=["x", "wrong_state"]), 500),
    (RemoteError(name="JobQueueError", args=["x"]), 500), (RemoteError(name="JobLost", args=["x"]), 404)])
def test_what_the_master_daemon_says_against_it(app, door, error, status):
    door.answers["SubmitJob"] = error
    answer = ask(app, "PUT", "/2/redistribute-config", user=ADMIN)
    assert answer.status == status
    assert answer.body["message"]


def test_an_unknown_field_in_a_filter_is_a_fault_of_the_server(app, door):
    door.answers["Query"] = RemoteError(name="ParameterError", args=["Invalid filter: unknown field 'x'"])
    assert ask(app, "PUT", "/2/query/node", {"fields": ["name"], "qfilter": ["?", "x"]}, user=ADMIN).status == 500
    door.answers["Query"] = RemoteError(name="ParameterError", args=["Invalid filter: unknown operator 'x'"])
    assert ask(app, "PUT", "/2/query/node", {"fields": ["name"], "qfilter": ["x"]}, user=ADMIN).status == 400


def test_a_bug_costs_its_own_request(app, door, caplog):
    door.answers["QueryClusterInfo"] = ZeroDivisionError("x")
    assert ask(app, "GET", "/2/info").status == 500
    assert "Traceback" in caplog.text
    assert ask(app, "GET", "/version").status == 200


def test_what_needs_no_master(app, door):
    assert ask(app, "GET", "/version").raw == b"2\n"
    assert ask(app, "GET", "/").raw == ask(app, "GET", "/2").raw == b"null\n"
    assert sorted(ask(app, "GET", "/2/features").body) == [
        "instance-create-reqv1", "instance-reinstall-reqv1", "node-evac-res1", "node-migrate-reqv1"]
    assert door.calls == []


def test_info_has_two_names_more(app, door):
    door.answers["QueryClusterInfo"] = {"volume_group_name": "vg", "drbd_usermode_helper": None, "name": "c"}
    assert ask(app, "GET", "/2/info").body == {
        "volume_group_name": "vg", "drbd_usermode_helper": None, "name": "c", "vg_name": "vg", "drbd_helper": None}


@pytest.mark.parametrize(("folder", "method", "fields", "key"), [
    ("nodes", "QueryNodes", NODE, "id"), ("groups", "QueryGroups", GROUP, "name"),
    ("networks", "QueryNetworks", NETWORK, "name"), ("filters", "QueryFilters", FILTER, "uuid")])
def test_lists_and_objects(app, door, folder, method, fields, key):
    def rows(names, wanted, *locking):
        assert locking in ((), (False,))
        assert set(wanted) <= set(fields)
        known = [name for name in ("a", "b") if not names or name in names]
        return [[name if field in ("name", "uuid") else f"{field} of {name}" for field in wanted] for name in known]
    door.answers[method] = rows
    assert ask(app, "GET", f"/2/{folder}").body == [{key: "a", "uri": f"/2/{folder}/a"},
                                                    {key: "b", "uri": f"/2/{folder}/b"}]
    bulk = ask(app, "GET", f"/2/{folder}?bulk=1").body
    assert [item.keys() for item in bulk] == [set(fields)] * 2
    one = ask(app, "GET", f"/2/{folder}/b")
    extra = {"secondary_ip": "sip of b"} if folder == "nodes" else {}
    assert one.body == bulk[1] | extra
    assert ask(app, "GET", f"/2/{folder}/c").status == 404


@pytest.mark.parametrize("target", ["/2/nodes", "/2/instances", "/2/instances/web1", "/2/groups/g", "/2/nodes/n1",
                                    "/2/nodes/n1/role", "/2/networks/n"])
def test_queries_never_lock(app, door, target):
    assert ask(app, "GET", f"{target}?lock=1").status == 500
    assert door.calls == []


def test_instances_are_passed_on_as_they_come(app, door):
    told = []

    def objects(names, fields, version):
        told.append((names, version))
        assert tuple(fields) == INSTANCE
        if version == "v1":
            return b'{"version": "v1", "objects": null}'
        return b'{"version": "v1", "objects": [{"name": "a"}, {"name": "b"}]}'
    door.answers["QueryInstanceObjects"] = objects
    for _ in range(2):
        assert ask(app, "GET", "/2/instances?bulk=1").raw == b'[{"name": "a"}, {"name": "b"}]\n'
    assert told[1] == (None, "v1")
    door.answers["QueryInstanceObjects"] = lambda names, fields, version: {"version": "", "objects": [
        {"name": name} for name in names if name == "a"]}
    assert ask(app, "GET", "/2/instances/a").body == {"name": "a"}
    assert ask(app, "GET", "/2/instances/b").status == 404
    door.answers["QueryInstances"] = [["a"]]
    assert ask(app, "GET", "/2/instances").body == [{"id": "a", "uri": "/2/instances/a"}]


@pytest.mark.parametrize(("letter", "word"), [("M", "master"), ("C", "master-candidate"), ("R", "regular"),
                                              ("D", "drained"), ("O", "offline")])
def test_roles(app, door, letter, word):
    door.answers["QueryNodes"] = lambda names, fields, locking: [[letter]] if names == ["n1"] else []
    assert ask(app, "GET", "/2/nodes/n1/role").body == word
    assert ask(app, "GET", "/2/nodes/n2/role").status == 404


def test_tags(app, door):
    door.answers["QueryTags"] = lambda kind, name: [kind, name]
    assert ask(app, "GET", "/2/tags").body == ["cluster", ""]
    assert ask(app, "GET", "/2/instances/web1/tags").body == ["instance", "web1"]
    assert ask(app, "GET", "/2/groups/g/tags").body == ["nodegroup", "g"]
    assert ask(app, "GET", "/2/networks/n/tags").body == ["network", "n"]


def test_a_reinstallation_is_one_job(app, door):
    ask(app, "POST", "/2/instances/web1/reinstall?reason=x", {"os": "debian", "osparams": {"a": "b"}}, user=ADMIN)
    stop, install, start = door.jobs[0]
    assert [item["OP_ID"] for item in (stop, install, start)] == [
        "OP_INSTANCE_SHUTDOWN", "OP_INSTANCE_REINSTALL", "OP_INSTANCE_STARTUP"]
    assert (install["os_type"], install["osparams"]) == ("debian", {"a": "b"})
    ask(app, "POST", "/2/instances/web1/reinstall?os=debian&nostartup=1", user=ADMIN)
    assert len(door.jobs[1]) == 2
    assert door.jobs[1][1]["os_type"] == "debian"
    ask(app, "POST", "/2/instances/web1/reinstall", user=ADMIN)
    assert "os_type" not in door.jobs[2][1]


def test_the_console(app, door):
    console = {"instance": "web1", "kind": "ssh", "host": "n1", "user": "root", "command": ["x"], "port": None,
               "display": None, "message": ""}
    answers = {"on": [[0, console], [0, True]], "off": [[3, None], [0, False]], "away": [[2, None], [2, None]]}
    door.answers["Query"] = lambda what, fields, qfilter: {"data": [answers[qfilter[1][2]]]}
    assert ask(app, "GET", "/2/instances/on/console", user=READER).body == {
        "instance": "web1", "kind": "ssh", "host": "n1", "user": "root", "command": ["x"]}
    assert ask(app, "GET", "/2/instances/off/console", user=READER).status == 503
    assert ask(app, "GET", "/2/instances/away/console", user=READER).status == 503
    door.answers["Query"] = RemoteError(name="OpPrereqError", args=["Instance 'x' not known", "unknown_entity"])
    assert ask(app, "GET", "/2/instances/x/console", user=READER).status == 404


def test_jobs(app, door):
    def rows(ids, fields):
        return [[id if field == "id" else None if id == 9 else f"{field} of {id}" for field in fields]
                for id in (ids or [1, 2])]
    door.answers["QueryJobs"] = rows
    assert ask(app, "GET", "/2/jobs").body == [{"id": 1, "uri": "/2/jobs/1"}, {"id": 2, "uri": "/2/jobs/2"}]
    assert [item.keys() for item in ask(app, "GET", "/2/jobs?bulk=1").body] == [set(JOB_BULK)] * 2
    assert ask(app, "GET", "/2/jobs/2").body.keys() == set(JOB)
    assert ask(app, "GET", "/2/jobs/9").status == 404
    assert ask(app, "GET", f"/2/jobs/{'9' * 5000}").status == 404


def test_a_job_is_canceled(app, door):
    door.answers["CancelJob"] = lambda id: [True, f"Dequeued job {id}"]
    assert ask(app, "DELETE", "/2/jobs/7?dry-run=1", user=ADMIN).body == [True, "Dequeued job 7"]


def test_waiting_for_a_job(app, door):
    door.answers["WaitForJobChange"] = lambda *args: [["running"], [[1, [2, 3], "message", "hi"]]]
    body = {"fields": ["status"], "previous_job_info": ["queued"], "previous_log_serial": 0}
    assert ask(app, "GET", "/2/jobs/7/wait", body, user=ADMIN).body == {
        "job_info": ["running"], "log_entries": [[1, [2, 3], "message", "hi"]]}
    assert door.calls == [("WaitForJobChange", [7, ["status"], ["queued"], 0, 10])]
    door.answers["WaitForJobChange"] = "nochange"
    assert ask(app, "GET", "/2/jobs/7/wait", body, user=ADMIN).raw == b"null\n"


def test_queries(app, door):
    door.answers |= {"Query": lambda *args: list(args), "QueryFields": lambda *args: list(args)}
    assert ask(app, "GET", "/2/query/node?fields=name,role", user=READER).body == ["node", ["name", "role"], None]
    assert ask(app, "PUT", "/2/query/node?fields=name", {"filter": ["?", "x"]}, user=READER).body == [
        "node", ["name"], ["?", "x"]]
    both = {"fields": ["name"], "qfilter": ["?", "a"], "filter": ["?", "b"]}
    assert ask(app, "PUT", "/2/query/node", both, user=READER).body == ["node", ["name"], ["?", "a"]]
    assert ask(app, "GET", "/2/query/lock/fields").body == ["lock", None]
    assert ask(app, "GET", "/2/query/lock/fields?fields=name,mode").body == ["lock", ["name", "mode"]]


def test_filters_are_made_replaced_and_removed(app, door):
    door.answers |= {"ReplaceFilter": "new", "DeleteFilter": None}
    assert ask(app, "POST", "/2/filters", {}, user=ADMIN).body == "new"
    ask(app, "PUT", "/2/filters/u", {"priority": 3, "predicates": [["jobid", [">", "id", 5]]],
                                     "action": ["RATE_LIMIT", 2], "reason": [["a", "b", 1]]}, user=ADMIN)
    assert ask(app, "DELETE", "/2/filters/u", user=ADMIN).raw == b"null\n"
    assert door.calls == [
        ("ReplaceFilter", [None, 0, [], "CONTINUE", []]),
        ("ReplaceFilter", ["u", 3, [["jobid", [">", "id", 5]]], ["RATE_LIMIT", 2], [["a", "b", 1]]]),
        ("DeleteFilter", ["u"])]


@pytest.mark.parametrize(("target", "name"), [
    ("/2/redistribute-config", "redist_config"), ("/2/modify", "cluster_modify"),
    ("/2/instances/web1/startup", "instances_name_startup"), ("/2/groups/g/assign-nodes", "groups_name_assign_nodes")])
def test_the_reason_trail_says_who_asked(app, door, target, name):
    body = {"nodes": []} if "assign" in target else None
    ask(app, "PUT", f"{target}?reason=maintenance+night", body, user=ADMIN)
    trail = door.jobs[0][0]["reason"]
    assert [entry[:2] for entry in trail] == [["gnt:user", "maintenance night"], [f"gnt:library:rlib2:{name}", ""]]
    assert all(type(entry[2]) is int for entry in trail)


def test_a_trail_in_the_body_comes_first(app, door):
    ask(app, "PUT", "/2/instances/web1/modify", {"reason": [["me", "why", 5]]}, user=ADMIN)
    assert door.jobs[0][0]["reason"][0] == ["me", "why", 5]


def test_operating_systems(app, door):
    rows = {("name", "variants"): [["debian", ["small", "large"]], ["empty", []]],
            OS_BULK: [["debian", True, [], [["x", "help"]], [20], False, False, True]]}
    door.answers["QueryOperatingSystems"] = lambda fields: rows[tuple(fields)]
    assert ask(app, "GET", "/2/os").body == ["debian+small", "debian+large", "empty"]
    found, = ask(app, "GET", "/2/os?bulk=1").body
    assert found["parameters"] == [{"name": "x", "description": "help"}]
    assert found.keys() == set(OS_BULK)


def test_requests_are_noted_without_their_secrets(app, caplog):
    caplog.set_level("INFO")
    ask(app, "GET", "/2/features?x=1\n", user=ADMIN)
    line = next(record.getMessage() for record in caplog.records if record.name == "gantry.rapi.requests")
    assert line.startswith('127.0.0.1 admin "GET /2/features?x=1\\n" 200 ')
    assert "secret" not in caplog.text


def test_answers_are_json_with_a_newline(app):
    answer = ask(app, "GET", "/2/features")
    assert answer.raw.endswith(b"]\n")
    assert answer.headers["Content-Type"] == "application/json"
    assert int(answer.headers["Content-Length"]) == len(answer.raw)
    assert json.loads(answer.raw)
