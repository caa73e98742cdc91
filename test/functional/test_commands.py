# SPDX-License-Identifier: BSD-2-Clause
"""Commands that change something: each does it, `--dry-run` only says what it would do."""

import pytest

DRY_RUNS = {
    "cluster modify": "gnt-cluster modify --dry-run -C 5",
    "cluster verify": "gnt-cluster verify --dry-run",
    "cluster redist-conf": "gnt-cluster redist-conf --dry-run",
    "node remove": "gnt-node remove --dry-run node3",
    "node modify": "gnt-node modify --dry-run --drained=yes node3",
    "group add": "gnt-group add --dry-run other",
    "group rename": "gnt-group rename --dry-run default other",
    "group modify": "gnt-group modify --dry-run --alloc-policy=last_resort default",
    "group assign-nodes": "gnt-group assign-nodes --dry-run empty node3",
    "group remove": "gnt-group remove --dry-run empty",
    "os modify": "gnt-os modify --dry-run --hidden=yes gantry-guest",
    "debug delay": "gnt-debug delay --dry-run 1",
    "instance add": "gnt-instance add --dry-run -t file --disk 0:size=8m -o gantry-guest -n node1 other",
    "instance remove": "gnt-instance remove --dry-run -f up",
    "instance startup": "gnt-instance startup --dry-run down",
    "instance shutdown": "gnt-instance shutdown --dry-run up",
    "instance reboot": "gnt-instance reboot --dry-run up",
    "instance modify": "gnt-instance modify --dry-run -B memory=256 up",
    "instance grow-disk": "gnt-instance grow-disk --dry-run up 0 8m",
    "instance migrate": "gnt-instance migrate --dry-run -f up",
    "instance failover": "gnt-instance failover --dry-run -f up",
    "instance deactivate-disks": "gnt-instance deactivate-disks --dry-run down",
    "instance reinstall": "gnt-instance reinstall --dry-run -f down",
    "instance rename": "gnt-instance rename --dry-run down other",
    "instance activate-disks": "gnt-instance activate-disks --dry-run down",
    "instance add-tags": "gnt-instance add-tags --dry-run down dry",
    "node migrate": "gnt-node migrate --dry-run -f node1",
    "node failover": "gnt-node failover --dry-run -f node1",
    "node evacuate": "gnt-node evacuate --dry-run -f -p node1",
    "node powercycle": "gnt-node powercycle --dry-run --yes node3",
    "node restricted-command": "gnt-node restricted-command --dry-run free node2 node3",
    "cluster add-tags": "gnt-cluster add-tags --dry-run dry",
    "cluster activate-master-ip": "gnt-cluster activate-master-ip --dry-run",
    "network add": "gnt-network add --dry-run --network=192.0.2.0/28 dry",
}
CHECKED_ONLY = "dry-run mode requested, not actually executing the operation"
REMINDER = ("Please don't forget that most parameters take effect only at the next (re)start of the instance initiated "
            "by ganeti; restarting from within the instance will not be enough.")


@pytest.fixture(scope="module")
def cluster(shared_cluster):
    shared_cluster.gnt("gnt-group", "add", "empty")
    shared_cluster.add("up", "node1")
    shared_cluster.add("down", "node2", start=False)
    yield shared_cluster
    for name in ("up", "down"):
        shared_cluster.remove(name)
    shared_cluster.gnt("gnt-group", "remove", "empty")


@pytest.fixture
def unchanged(cluster):
    """The test leaves no trace."""
    before = cluster.snapshot()
    yield
    assert cluster.snapshot() == before


def instance(cluster, fields, name):
    return cluster.gnt("gnt-instance", "list", "--no-headers", "--separator=|", "-o", fields, name).strip()


# --- dry runs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", DRY_RUNS.values(), ids=DRY_RUNS)
def test_a_dry_run_prints_the_plan_and_changes_nothing(cluster, unchanged, command):
    text = cluster.gnt(*command.split())
    assert CHECKED_ONLY in text
    steps = [line.split(None, 5)[5] for line in text.splitlines() if line[24:26].strip(". ").isdigit()]
    assert steps[0].startswith("1. "), text
    assert "expected time: " in text


def test_a_dry_run_refuses_what_would_be_refused(cluster, unchanged):
    assert "Instance 'up' is already in the cluster" in cluster.fails(
        "gnt-instance", "add", "--dry-run", "-t", "diskless", "-o", "gantry-guest", "-n", "node1", "up")


# --- one instance through its life -------------------------------------------------------------------------------


def test_an_instance_is_made_used_and_removed(cluster, unchanged):
    text = cluster.gnt("gnt-instance", "add", "-t", "sharedfile", "--disk", "0:size=16m", "-o", "gantry-guest",
                       "-n", "node1", "-B", "vcpus=2,memory=64m", "--net", "0:ip=10.0.0.5", "one")
    assert "* running the instance OS create scripts..." in text
    assert instance(cluster, "status,pnode,be/memory,be/vcpus,nic.ips", "one") == "running|node1|64|2|10.0.0.5"
    assert "Modified instance one\n - be/memory -> 128\n" + REMINDER in cluster.gnt(
        "gnt-instance", "modify", "-B", "memory=128", "one")
    assert " for one ...\n" in cluster.gnt("gnt-instance", "shutdown", "one")
    assert instance(cluster, "status,admin_state", "one") == "ADMIN_down|down"
    assert cluster.gnt("gnt-instance", "rename", "one", "two") .endswith("Instance 'one' renamed to 'two'\n")
    cluster.gnt("gnt-instance", "reinstall", "-f", "two")
    active = cluster.gnt("gnt-instance", "activate-disks", "two")
    assert f"node1:disk/0:{cluster.layout.shared}/" in active
    assert instance(cluster, "disks_active", "two") == "Y"
    cluster.gnt("gnt-instance", "deactivate-disks", "two")
    assert instance(cluster, "disks_active", "two") == "N"
    cluster.gnt("gnt-instance", "startup", "two")
    for kind in ("soft", "hard", "full"):
        cluster.gnt("gnt-instance", "reboot", "-t", kind, "two")
        assert instance(cluster, "status,oper_ram", "two") == "running|128"
    cluster.gnt("gnt-instance", "migrate", "-f", "-n", "node3", "two")
    assert cluster.guests()["two"] == ["node3"]
    cluster.gnt("gnt-instance", "failover", "-f", "-n", "node2", "two")
    assert cluster.guests()["two"] == ["node2"]
    cluster.matches()
    cluster.gnt("gnt-instance", "remove", "-f", "two")
    assert "two" not in cluster.guests()


def test_disks_and_nics_of_an_instance_change(cluster, unchanged):
    cluster.add("one", start=False)
    assert " - disk/1 -> add:size=8,mode=rw\n" in cluster.gnt("gnt-instance", "modify", "--disk", "add:size=8m", "one")
    assert " - nic.1 -> add:" in cluster.gnt("gnt-instance", "modify", "--net", "add:", "one")
    assert instance(cluster, "disk.sizes,nic.count", "one") == "16,8|2"
    cluster.gnt("gnt-instance", "grow-disk", "one", "1", "8m")
    assert instance(cluster, "disk.sizes", "one") == "16,16"
    cluster.matches()
    assert " - disk/1 -> remove\n" in cluster.gnt("gnt-instance", "modify", "--disk", "1:remove", "one")
    cluster.gnt("gnt-instance", "modify", "--net", "1:remove", "one")
    assert instance(cluster, "disk.sizes,nic.count", "one") == "16|1"
    cluster.matches()
    cluster.remove("one")


def test_shutting_down_what_is_down_and_starting_what_runs_is_no_error(cluster):
    before = cluster.guests()
    cluster.gnt("gnt-instance", "shutdown", "down")
    cluster.gnt("gnt-instance", "startup", "up")
    assert cluster.guests() == before


def test_without_a_terminal_a_question_is_answered_with_no(cluster, unchanged):
    for command in ("remove up", "migrate up", "failover up", "shutdown --all", "reboot --primary node1 node2"):
        assert cluster.fails("gnt-instance", *command.split())


# --- several at once -------------------------------------------------------------------------------------------


def test_instances_are_selected_by_name_node_and_tag(cluster):
    cluster.gnt("gnt-instance", "add-tags", "down", "batch")
    cluster.gnt("gnt-node", "add-tags", "node1", "rack1")
    for names, options in (("up down", ["--instance", "up", "down"]), ("up", ["--primary", "node1"]),
                           ("down", ["--tags", "batch"]), ("down", ["--node", "node2"]),
                           ("up", ["--pri-node-tags", "rack1"]), ("down up", ["--all"])):
        text = cluster.gnt("gnt-instance", "startup", "--dry-run", "--force-multiple", *options)
        waited = [line.split(" for ")[-1].removesuffix(" ...") for line in text.splitlines() if " for " in line]
        assert sorted(waited) == sorted(names.split()), options
    for options in (["--tags", "nosuch"], ["--primary", "node3"]):
        assert cluster.fails("gnt-instance", "shutdown", "--force-multiple", *options)
    cluster.gnt("gnt-instance", "remove-tags", "down", "batch")
    cluster.gnt("gnt-node", "remove-tags", "node1", "rack1")


def test_several_jobs_are_handed_over_a_line_each(cluster):
    text = cluster.gnt("gnt-instance", "startup", "--dry-run", "--submit", "--force-multiple", "up", "down")
    jobs = dict(line.split(": ") for line in text.splitlines())
    assert sorted(jobs.values()) == ["down", "up"]
    for job in jobs:
        assert cluster.wait_job(int(job))["status"] == "success"


# --- tags, groups, nodes, the cluster -----------------------------------------------------------------------------


@pytest.mark.parametrize(("program", "name"), [("gnt-cluster", []), ("gnt-node", ["node2"]), ("gnt-group", ["empty"]),
                                               ("gnt-instance", ["up"])])
def test_tags(cluster, program, name):
    cluster.gnt(program, "add-tags", *name, "b", "a:1", "b")
    assert cluster.gnt(program, "list-tags", *name) == "a:1\nb\n"
    found = cluster.gnt("gnt-cluster", "search-tags", "^a:")
    kinds = {"gnt-cluster": "/cluster", "gnt-node": "/nodes/node2", "gnt-group": "/nodegroup/empty",
             "gnt-instance": "/instances/up"}
    assert found == f"{kinds[program]} a:1\n"
    assert "Tag(s) 'nosuch' not found" in cluster.fails(program, "remove-tags", *name, "a:1", "nosuch")
    cluster.gnt(program, "remove-tags", *name, "a:1", "b")
    assert cluster.gnt(program, "list-tags", *name) == ""
    assert cluster.run("gnt-cluster", "search-tags", "^a:").returncode == 1


def test_changes_of_one_record_at_once_are_all_kept(cluster):
    """Each computes the new value from the one it sees."""
    tags = [f"t{number:02}" for number in range(12)]
    jobs = [{"OP_ID": "OP_TAGS_SET", "kind": "cluster", "name": None, "tags": [tag]} for tag in tags]
    keys = ["kernel_args", "root_path", "vga", "keymap", "soundhw", "cpu_type"]
    jobs += [{"OP_ID": "OP_CLUSTER_SET_PARAMS", "hvparams": {"kvm": {key: "odd"}}} for key in keys]
    with cluster.client() as client:
        ids = [job for _, job in client.call("SubmitManyJobs", [[[job] for job in jobs]])]
        for job in ids:
            assert cluster.wait_job(job)["status"] == "success"
        info = client.call("QueryClusterInfo")
    assert set(tags) <= set(info["tags"])
    assert {key: info["hvparams"]["kvm"][key] for key in keys} == dict.fromkeys(keys, "odd")
    cluster.gnt("gnt-cluster", "remove-tags", *tags)
    cluster.gnt("gnt-cluster", "modify", "-H", "kvm:kernel_args=ro,root_path=/dev/vda1,vga=,keymap=,soundhw=,cpu_type=")


def test_groups(cluster):
    cluster.gnt("gnt-group", "add", "--alloc-policy=last_resort", "one")
    cluster.gnt("gnt-group", "rename", "one", "two")
    cluster.gnt("gnt-group", "modify", "--alloc-policy=preferred", "two")
    cluster.gnt("gnt-group", "assign-nodes", "two", "node3")
    fields = ["--no-headers", "--separator=|", "-o", "name,node_list,alloc_policy"]
    assert cluster.gnt("gnt-group", "list", *fields, "two") == "two|node3|preferred\n"
    assert "node3" in cluster.fails("gnt-group", "remove", "two")
    assert "already exists" in cluster.fails("gnt-group", "rename", "two", "default")
    cluster.gnt("gnt-group", "assign-nodes", "default", "node3")
    cluster.gnt("gnt-group", "remove", "two")
    assert cluster.gnt("gnt-group", "list", "--no-headers", "-o", "name").split() == ["default", "empty"]


def test_a_node_is_drained_set_offline_and_brought_back(cluster):
    def role():
        return cluster.gnt("gnt-node", "list", "--no-headers", "-o", "role", "node3").strip()
    assert role() == "C"
    text = cluster.gnt("gnt-node", "modify", "--drained=yes", "node3")
    assert text.startswith("Modified node node3\n")
    assert " - drained -> True\n" in text
    assert role() == "D"
    assert cluster.fails("gnt-instance", "add", "-t", "diskless", "-o", "gantry-guest", "-n", "node3", "no")
    cluster.gnt("gnt-node", "modify", "--drained=no", "node3")
    cluster.gnt("gnt-node", "modify", "-O", "yes", "node3")
    assert role() == "O"
    done = cluster.run("gnt-node", "list", "--no-headers", "-o", "name,mfree", "node3")
    assert done.stdout.split() == ["node3", "*"]
    assert cluster.fails("gnt-node", "modify", "-O", "no", "node3")
    cluster.gnt("gnt-node", "modify", "-f", "-O", "no", "node3")
    assert role() == "C"
    assert cluster.fails("gnt-node", "modify", "node3")
    for options in (["-O", "yes"], ["--drained=yes"], ["-C", "no"]):
        assert cluster.fails("gnt-node", "modify", *options, "node1")
    cluster.verify()


def test_the_cluster_is_modified_and_its_files_are_sent_again(cluster):
    cluster.gnt("gnt-cluster", "modify", "-B", "vcpus=2", "-H", "kvm:acpi=false")
    text = cluster.gnt("gnt-cluster", "info")
    assert "    vcpus: 2\n" in text
    assert "    acpi: False\n" in text
    assert instance(cluster, "be/vcpus", "up") == "2"
    cluster.gnt("gnt-cluster", "modify", "-B", "vcpus=1", "-H", "kvm:acpi=true")
    file = cluster.paths("node2").ssconf("cluster_name")
    file.unlink()
    cluster.gnt("gnt-cluster", "redist-conf")
    assert file.read_text() == "cluster.vcluster\n"
    assert "at least one of the parameters" in cluster.fails("gnt-cluster", "modify")
    assert "--yes-do-it" in cluster.fails("gnt-cluster", "destroy")
    assert "node2, node3" in cluster.fails("gnt-cluster", "destroy", "--yes-do-it")


def test_verify_speaks_of_every_part_and_finds_nothing(cluster):
    text = cluster.gnt("gnt-cluster", "verify")
    for line in ("* Verifying cluster config", "* Verifying group 'default'", "* Verifying node status",
                 "* Verifying instance status", "* Verifying orphan volumes", "* Hooks Results"):
        assert line in text
    assert "ERROR" not in text


def test_verify_finds_what_is_wrong(cluster):
    stray = cluster.layout.shared / "stray" / "x.sharedfile.disk0"
    stray.parent.mkdir()
    stray.write_text("")
    guest = next(cluster.paths("node1").fake_vms.glob("*.json"))
    there = guest.read_text()
    guest.unlink()
    try:
        text = cluster.run("gnt-cluster", "verify", "--error-codes")
        assert "instance:up:" in text.stdout
        assert str(stray) in text.stdout
        assert text.returncode == 1
    finally:
        guest.write_text(there)
        stray.unlink()
        stray.parent.rmdir()
    cluster.verify()


def test_console_of_a_guest_that_is_not_there(cluster):
    assert "Console not available" in cluster.gnt("gnt-instance", "console", "up")
    assert "Instance down is not running, can't get console" in cluster.fails("gnt-instance", "console", "down")
