# SPDX-License-Identifier: BSD-2-Clause
"""What queries answer, over a small cluster with nodes that answer as told."""

import asyncio

import pytest

from gantry import opcodes
from gantry.errors import NotFound, ParameterError, WrongInput
from gantry.query import live, query
from gantry.query.world import World
from support import world
from support.world import FakeLocks, FakeNodes, FakeQueue, job, vm


def ask(what, fields, qfilter=None, **parts):
    return asyncio.run(query.query(world.services(**parts), what, fields, qfilter))["data"]


def values(what, field, qfilter=None, **parts):
    return [row[0][1] for row in ask(what, [field], qfilter, **parts)]


def one(what, name, field, **parts):
    (cell,), = ask(what, [field], ["==", "name", name], **parts)
    return cell


# --- rows ---------------------------------------------------------------------------------------------


def test_rows_come_in_nice_order_and_columns_as_asked():
    assert ask("instance", ["name", "name"]) == [
        [[0, "web1.example.org"]] * 2, [[0, "web2.example.org"]] * 2, [[0, "web10.example.org"]] * 2]


def test_names_are_looked_up_in_the_order_asked():
    names = ["|", ["==", "name", "web10"], ["=", "name", "web1.example.org"]]
    assert values("instance", "name", names) == ["web10.example.org", "web1.example.org"]


def test_a_name_that_is_not_there_is_an_error():
    with pytest.raises(NotFound, match=r"Instance 'web3' not known"):
        ask("instance", ["name"], ["|", ["==", "name", "web1"], ["==", "name", "web3"]])


def test_no_row_fits_a_filter():
    assert ask("instance", ["name"], ["=~", "name", "^db"]) == []


def test_an_unknown_field_does_not_fail():
    answer = asyncio.run(query.query(world.services(), "node", ["name", "nope"]))
    assert answer["fields"][1]["kind"] == "unknown"
    assert [row[1] for row in answer["data"]] == [[1, None]] * 4


def test_an_unknown_resource_is_refused():
    with pytest.raises(ParameterError):
        ask("unicorn", ["name"])


# --- classic calls ------------------------------------------------------------------------------------


def classic(what, names, fields, **parts):
    return asyncio.run(query.classic(world.services(**parts), what, names, fields))


def test_classic_calls_leave_out_what_is_not_known_and_have_bare_values():
    assert classic("instance", ["web10", "nobody", "i1", "web1"], ["name", "network_port"]) == [
        ["web1.example.org", 11000], ["web10.example.org", None]]


def test_classic_calls_refuse_unknown_fields():
    with pytest.raises(WrongInput, match="nope"):
        classic("node", [], ["name", "nope"])


# --- instances ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("field", "value"), [
    ("status", "running"), ("oper_state", True), ("oper_ram", 512), ("oper_vcpus", 2),
    ("disk_template", "drbd"), ("disk_usage", 1024 + 512 + 2 * 128), ("disk.sizes", [1024, 512]),
    ("disk.names", ["root", None]), ("disk.spindles", [2, None]), ("disk.size/1", 512), ("disk.name/0", "root"),
    ("nic.modes", ["bridged", "routed"]), ("nic.links", ["br5", "main"]), ("nic.bridges", ["br5", None]),
    ("nic.networks.names", ["office", None]), ("nic.ip/0", "203.0.113.9"), ("nic.network.name/0", "office"),
    ("pnode", "node1.example.org"), ("snodes", ["node2.example.org"]), ("snodes.group", ["default"]),
    ("be/maxmem", 1024), ("be/memory", 1024), ("be/vcpus", 1), ("hv/acpi", False),
    ("hv/kernel_path", "/boot/vmlinuz"), ("admin_up", True), ("tags", ["a", "web"]), ("network_port", 11000),
    ("custom_hvparams", {"acpi": False}), ("hvparams", {"acpi": False, "kernel_path": "/boot/vmlinuz",
                                                        "user_shutdown": False}),
])
def test_fields_of_a_running_instance(field, value):
    nodes = FakeNodes(vms={"n1": [vm("i1")]})
    assert one("instance", "web1", field, nodes=nodes) == [0, value]


@pytest.mark.parametrize("field", [
    "oper_ram", "oper_vcpus", "console", "disk.size/1", "disk.name/0", "nic.mac/0", "network_port", "hv/cpu_cap"])
def test_what_an_instance_does_not_have_is_unavailable(field):
    assert one("instance", "web2", field) == [3, None]


def test_disk_template_of_no_disks():
    assert one("instance", "web10", "disk_template") == [0, "diskless"]


STATUS = [
    ("web1", {"n1": [vm("i1")]}, {}, "running"),
    ("web1", {"n2": [vm("i1")]}, {}, "ERROR_wrongnode"),
    ("web1", {"n1": [vm("i1")], "n2": [vm("i1", state="paused")]}, {}, "running"),
    ("web1", {}, {}, "ERROR_down"),
    ("web2", {"n2": [vm("i2")]}, {}, "ERROR_up"),
    ("web2", {}, {}, "ADMIN_down"),
    ("web10", {}, {}, "ADMIN_offline"),
    ("web1", {"n1": [vm("i1", state="user_down")]}, {}, "ERROR_down"),
    ("web1", {"n1": [vm("i1", state="user_down")]},
     {"enabled_user_shutdown": True, "hvparams": {"kvm": {"user_shutdown": True}}}, "USER_down"),
    ("web1", {"n1": [vm("i1", state="user_down")]}, {"enabled_user_shutdown": True}, "ERROR_down"),
]


@pytest.mark.parametrize(("name", "vms", "cluster", "wanted"), STATUS)
def test_status(name, vms, cluster, wanted):
    settings = world.config(cluster_changes=cluster)
    assert one("instance", name, "status", nodes=FakeNodes(vms=vms), settings=settings) == [0, wanted]


def test_a_dead_primary_costs_its_own_instances_only():
    nodes = FakeNodes(vms={"n2": [vm("i2")]}, down={"n1"})
    assert ask("instance", ["status", "oper_state", "oper_ram"], nodes=nodes) == [
        [[0, "ERROR_nodedown"], [2, None], [2, None]],
        [[0, "ERROR_up"], [0, True], [0, 512]],
        [[0, "ADMIN_offline"], [0, False], [3, None]]]


def test_an_offline_primary_is_not_asked():
    nodes = FakeNodes()
    settings = world.config(nodes={"n1": {"offline": True}})
    (row,) = ask("instance", ["status", "oper_state", "oper_ram"], ["==", "name", "web1"], nodes=nodes,
                 settings=settings)
    assert row == [[0, "ERROR_nodeoffline"], [4, None], [4, None]]
    assert "n1" not in {node for node, _ in nodes.asked}


def test_static_fields_ask_nobody():
    nodes = FakeNodes()
    ask("instance", ["name", "pnode", "beparams"], nodes=nodes)
    ask("node", ["name", "pinst_list"], nodes=nodes)
    assert nodes.asked == []


def test_a_static_filter_decides_who_is_asked():
    nodes = FakeNodes()
    ask("node", ["mfree"], ["==", "group", "other"], nodes=nodes)
    assert {node for node, _ in nodes.asked} == {"n10"}


def test_a_live_filter_sees_live_data():
    nodes = FakeNodes(vms={"n1": [vm("i1")]})
    assert values("instance", "name", ["==", "status", "running"], nodes=nodes) == ["web1.example.org"]


def test_the_console_of_a_running_instance_only():
    nodes = FakeNodes(vms={"n1": [vm("i1")]})
    assert ask("instance", ["console"], nodes=nodes) == [
        [[0, {"instance": "web1.example.org", "kind": "ssh", "host": "node1.example.org",
              "command": ["socat", "web1.example.org"]}]], [[3, None]], [[3, None]]]
    assert [name for _, name in nodes.asked].count("instance_console") == 1


# --- nodes --------------------------------------------------------------------------------------------


def test_live_fields_of_nodes():
    nodes = FakeNodes(down={"n2"})
    assert ask("node", ["name", "dtotal", "dfree", "mtotal", "cnos", "bootid", "spfree"], nodes=nodes) == [
        [[0, "node1.example.org"], [0, 10000], [0, 4000], [0, 8192], [0, 1], [0, "boot-1"], [3, None]],
        [[0, "node2.example.org"], [2, None], [2, None], [2, None], [2, None], [2, None], [3, None]],
        [[0, "node4.example.org"], *[[4, None]] * 6],
        [[0, "node10.example.org"], [0, 10000], [0, 4000], [0, 8192], [0, 1], [0, "boot-1"], [3, None]]]


def test_space_is_unavailable_without_storage_on_the_node():
    settings = world.config(cluster_changes={"enabled_disk_templates": ("diskless",)})
    assert one("node", "node1", "dtotal", settings=settings) == [3, None]


@pytest.mark.parametrize(("field", "wanted"), [
    ("role", ["M", "C", "O", "D"]), ("master", [True, False, False, False]),
    ("pinst_list", [["web1.example.org"], ["web2.example.org", "web10.example.org"], [], []]),
    ("sinst_list", [[], ["web1.example.org"], [], []]), ("sinst_cnt", [0, 1, 0, 0]),
    ("group", ["default", "default", "default", "other"]), ("powered", [None] * 4),
    ("ndp/spindle_count", [1, 1, 1, 4]), ("hv_state", [None] * 4),
])
def test_fields_of_nodes(field, wanted):
    assert values("node", field) == wanted


# --- live answers -------------------------------------------------------------------------------------


class Clock:
    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


def hung_world(nodes, clock, *, patience=0.01):
    found = World(config=world.config(), nodes=nodes)
    answers = live.LiveNodes(nodes, lambda: found.config.serial, clock=clock, patience=patience)
    object.__setattr__(found, "live", answers)
    return found


def test_a_node_that_hangs_is_waited_for_once():
    nodes, clock = FakeNodes(hung={"n2"}), Clock()

    async def run():
        found = hung_world(nodes, clock)
        for _ in range(3):
            answer = await query.query(found, "node", ["mtotal"], ["==", "group", "default"])
            assert [row[0][0] for row in answer["data"]] == [0, 2, 4]
            clock.time += 0.02
        await asyncio.sleep(0)
    asyncio.run(run())
    assert nodes.asked.count(("n2", "node_info")) == 1


def test_answers_are_used_again_until_something_happens():
    nodes, clock = FakeNodes(), Clock()

    async def run():
        found = hung_world(nodes, clock)
        counts = []
        for serial, time in ((0, 0.0), (0, 0.5), (1, 0.6), (1, 2.0)):
            found.config.serial, clock.time = serial, time
            await query.query(found, "node", ["mtotal"], ["==", "name", "node1"])
            counts.append(len(nodes.asked))
        return counts
    assert asyncio.run(run()) == [1, 1, 2, 3]


def test_what_is_removed_while_nodes_are_asked_does_not_disturb():
    class Slow(FakeNodes):
        def instances_info(self, node, hypervisors):
            for table, uuid in (("instances", "i1"), ("disks", "d1"), ("disks", "d2")):
                settings.remove(table, uuid)
            return []
    settings = world.config()
    rows = ask("instance", ["name", "status", "disk.sizes", "snodes"], nodes=Slow(), settings=settings)
    assert rows[0][2] == [0, [1024, 512]]
    assert len(settings.instances) == 2


# --- the other resources ------------------------------------------------------------------------------


@pytest.mark.parametrize(("field", "wanted"), [
    ("node_cnt", [3, 1]), ("pinst_list", [["web1.example.org", "web2.example.org", "web10.example.org"], []]),
    ("alloc_policy", ["preferred", "last_resort"]), ("custom_ndparams", [{}, {"spindle_count": 4}]),
    ("ndp/spindle_count", [1, 4]), ("tags", [["row-a"], []]),
])
def test_fields_of_groups(field, wanted):
    assert values("group", field) == wanted


def test_the_policy_of_a_group_is_complete():
    assert values("group", "ipolicy")[0].keys() == {
        "minmax", "std", "disk-templates", "vcpu-ratio", "spindle-ratio"}


@pytest.mark.parametrize(("field", "wanted"), [
    ("map", "XX.X.....X.....X"), ("free_count", 11), ("reserved_count", 5),
    ("external_reservations", "203.0.113.0, 203.0.113.1, 203.0.113.3, 203.0.113.15"),
    ("group_list", [["default", "bridged", "br5", "-"]]), ("inst_list", ["web1.example.org"]),
    ("mac_prefix", None), ("gateway", "203.0.113.1"), ("network", "203.0.113.0/28"),
])
def test_fields_of_networks(field, wanted):
    assert values("network", field) == [wanted]


def test_jobs():
    opcodes.load_all()  # as the master daemon does: summaries name what an opcode is about
    queue = FakeQueue(job(12), job(3, "running", end=None), archived=[job(1, archived=True)])
    assert ask("job", ["id", "status", "end_ts", "summary", "priority"], queue=queue) == [
        [[0, 3], [0, "running"], [3, None], [0, ["TEST_DELAY(1.0)"]], [0, 0]],
        [[0, 12], [0, "success"], [0, [1700000009, 5]], [0, ["TEST_DELAY(1.0)"]], [0, 0]]]
    assert values("job", "id", queue=queue) == [3, 12]
    assert ask("job", ["id", "archived"], queue=queue) == [
        [[0, 1], [0, True]], [[0, 3], [0, False]], [[0, 12], [0, False]]]


def test_jobs_by_id_also_from_the_archive_or_not_there():
    queue = FakeQueue(job(12), archived=[job(1, archived=True)])
    ids = ["|", ["==", "id", 99], ["==", "id", 1], ["==", "id", "12"]]
    assert ask("job", ["id", "status", "ops"], ids, queue=queue)[0] == [[0, 99], [3, None], [3, None]]
    assert values("job", "status", ids, queue=queue) == [None, "success", "success"]


def test_a_filter_on_time_compares_seconds():
    queue = FakeQueue(job(12), job(13, end=(1800000000, 0)))
    assert values("job", "id", [">", "end_ts", 1700000009], queue=queue) == [13]
    assert values("job", "id", ["==", "status", "success"], queue=queue) == [12, 13]


def test_locks():
    locks = FakeLocks({"name": "node/n10", "mode": None, "owner": [], "pending": [["exclusive", [8]]]},
                      {"name": "cluster/BGL", "mode": "shared", "owner": [7, 8], "pending": []})
    assert ask("lock", ["name", "mode", "owner", "pending"], locks=locks) == [
        [[0, "cluster/BGL"], [0, "shared"], [0, ["7", "8"]], [0, []]],
        [[0, "node/n10"], [0, None], [0, []], [0, [["exclusive", ["8"]]]]]]


def test_filter_rules():
    assert ask("filter", ["uuid", "priority", "action", "predicates"]) == [
        [[0, "f1"], [0, 1], [0, "PAUSE"], [0, [["jobid", ["<", "id", 9]]]]]]


def test_each_export_is_a_row():
    nodes = FakeNodes(exports={"n1": ["web10", "web9"]}, down={"n2"})
    assert ask("export", ["node", "export"], nodes=nodes) == [
        [[0, "node1.example.org"], [0, "web9"]], [[0, "node1.example.org"], [0, "web10"]],
        [[0, "node2.example.org"], [2, None]], [[0, "node4.example.org"], [4, None]]]
    assert ask("export", ["export"], ["==", "node", "node1"], nodes=nodes) == [[[0, "web9"]], [[0, "web10"]]]


def test_the_cluster_is_one_row():
    assert ask("cluster", ["name", "master_node", "tags", "volume_group_name"]) == [
        [[0, "cluster.example.org"], [0, "node1.example.org"], [0, ["prod"]], [3, None]]]


def test_operating_systems():
    small = world.os_definition("debian", variants=("small",))
    nodes = FakeNodes(os={"n1": [world.os_definition("debian"), world.os_definition("broken", problem="no create")],
                          "n2": [small], "n10": [small]})
    rows = ask("os", ["name", "valid", "variants", "api_versions"], nodes=nodes)
    assert rows == [[[0, "broken"], [0, False], [0, ["small", "big"]], [0, [15, 20]]],
                    [[0, "debian"], [0, True], [0, ["small"]], [0, [15, 20]]]]
    status = one("os", "debian", "node_status", nodes=nodes)[1]
    assert status["node2.example.org"] == [
        ["/srv/ganeti/os/debian", True, "", ["small"], [["size", "how big"]], [20, 15], True]]


def test_jobs_and_locks_are_not_asked_for_by_jobs():
    async def run(what):
        await query.query(World(config=world.config(), nodes=FakeNodes()), what, ["id"])
    for what in ("job", "lock"):
        with pytest.raises(WrongInput):
            asyncio.run(run(what))


def test_every_field_of_every_resource_has_a_value_that_json_can_hold():
    import json

    nodes = FakeNodes(vms={"n1": [vm("i1")]}, os={"n1": [world.os_definition("debian")]})
    for what, resource in query.RESOURCES.items():
        rows = ask(what, list(resource.fields), nodes=nodes, queue=FakeQueue(job(1)),
                   locks=FakeLocks({"name": "cluster/BGL", "mode": "shared", "owner": [7], "pending": []}))
        json.dumps(rows, allow_nan=False)
        for row in rows:
            assert all(value is None or status == 0 for status, value in row)
