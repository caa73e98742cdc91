# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster verify: what is submitted, what is found, how it is said."""

import asyncio
from dataclasses import replace

import pytest

from gantry.cmdlib.cluster_verify import ClusterVerifyUnit
from gantry.cmdlib.cluster_verify_config import ClusterVerifyConfigUnit
from gantry.cmdlib.cluster_verify_group import ClusterVerifyGroupUnit
from gantry.cmdlib.verify_report import Problem, Report
from gantry.constants import DiskTemplate
from gantry.errors import NotFound
from gantry.objects.instance import Disk, Instance
from gantry.objects.node import HookResult, NodeInfo, NodeProblem, NodeReport, Version
from gantry.opcodes.cluster import ClusterVerify, ClusterVerifyConfig, ClusterVerifyGroup
from support.cluster_world import ClusterWorld, config, offline, os_definition
from support.cuts import check_every_cut, run
from support.guest_world import DOWN, OFFLINE, UP, disk, instance
from support.view import FakeView, look, plan_of

CONFIG_TITLES = ["* Verifying cluster config", "* Verifying cluster certificate files",
                 "* Verifying hypervisor parameters", "* Verifying all nodes belong to an existing group"]
GROUP_TITLES = ["* Verifying group 'default'", "* Gathering data (3 nodes)",
                "* Gathering information about nodes (3 nodes)", "* Gathering information about the master node",
                "* Gathering disk information (3 nodes)", "* Verifying configuration file consistency",
                "* Verifying node status", "* Verifying instance status", "* Verifying orphan volumes",
                "* Verifying N+1 Memory redundancy", "* Other Notes", "* Hooks Results"]


def world(*instances, **kwargs):
    return ClusterWorld(config(*instances, **{"cluster": {"candidate_pool_size": 3, **CLEAN}, **kwargs}))


CLEAN = {"file_storage_dir": "/srv/file"}


def guest(**fields):
    """A world with `web1`, which is to run on node1 and does so unless `runs` says otherwise."""
    runs = fields.pop("runs", True)
    here = world(instance(admin_state=fields.pop("admin_state", UP), disks_active=True, **fields), disks=(disk(),))
    return here.run(here.config.instances["i1"]) if runs else here


def verify_group(here, **fields):
    _, good, view = look(ClusterVerifyGroupUnit, ClusterVerifyGroup, here,
                         **{"group_name": "default", "error_codes": True, **fields})
    return good, view.lines


def problems(here, **fields):
    """(verdict, the lines that are problems)."""
    good, lines = verify_group(here, **fields)
    return good, [line for line in lines if line.startswith("  - ")]


# --- the jobs ---


def test_a_job_for_the_configuration_and_one_a_group():
    here = world(more_groups=("g2",))
    assert run(here, plan_of(ClusterVerifyUnit, ClusterVerify, here, verbose=True, ignore_errors=["ENODEN1"])) == {
        "jobs": [[True, 0], [True, 1], [True, 2]]}
    assert [(op["OP_ID"], op.get("group_name"), op.get("depends")) for [op] in here.jobs] == [
        ("OP_CLUSTER_VERIFY_CONFIG", None, None), ("OP_CLUSTER_VERIFY_GROUP", "default", [[-1, []]]),
        ("OP_CLUSTER_VERIFY_GROUP", "rack-g2", [[-2, []]])]
    assert all(op["verbose"] and list(op["ignore_errors"]) == ["ENODEN1"] for [op] in here.jobs)


def test_one_group_only():
    here = world(more_groups=("g2",))
    run(here, plan_of(ClusterVerifyUnit, ClusterVerify, here, group_name="rack-g2", skip_checks=["nplusone_mem"]))
    [[op]] = here.jobs
    assert (op["OP_ID"], list(op["skip_checks"]), op.get("depends")) == (
        "OP_CLUSTER_VERIFY_GROUP", ["nplusone_mem"], None)
    with pytest.raises(NotFound):
        look(ClusterVerifyUnit, ClusterVerify, here, group_name="nono")


def test_submission_cut_off_anywhere():
    def make():
        here = world()
        return here, plan_of(ClusterVerifyUnit, ClusterVerify, here)
    check_every_cut(make)


# --- the configuration ---


def verify_config(here, **fields):
    unit, good, view = look(ClusterVerifyConfigUnit, ClusterVerifyConfig, here, error_codes=True, **fields)
    assert unit.plan(good).result is good
    return good, view.lines


def test_a_configuration_that_holds_together():
    assert verify_config(world()) == (True, CONFIG_TITLES)


def test_what_is_wrong_stands_below_its_title():
    here = world(cluster={"candidate_pool_size": 3, "candidate_certs": {"n1": "AA:01"}})
    here.config.replace("nodes", replace(here.config.nodes["n3"], group="gone", drained=True))
    here.reports["n1"] = NodeReport(time=0.0, problems=(
        NodeProblem(code="ECLUSTERCERT", message="it expires in 20 days", warning=True),
        NodeProblem(code="ENODEHV", message="not of interest here")))
    good, lines = verify_config(here)
    assert not good
    assert lines == [
        CONFIG_TITLES[0], "  - ERROR:ECLUSTERCFG:node:node3:has more than one role: master_candidate, drained",
        CONFIG_TITLES[1], "  - WARNING:ECLUSTERCERT:cluster::it expires in 20 days",
        "  - ERROR:ECLUSTERCLIENTCERT:cluster::the list of the master candidates' certificates is stale: it does not "
        "hold what is recorded of the nodes",
        CONFIG_TITLES[2], CONFIG_TITLES[3],
        "  - ERROR:ECLUSTERDANGLINGNODES:node:node3:refers to the node group 'gone', which does not exist"]


def test_errors_can_be_ignored_and_simulated():
    here = world(cluster={"candidate_certs": {}})
    assert not verify_config(here)[0]
    good, lines = verify_config(here, ignore_errors=["ECLUSTERCLIENTCERT"])
    assert good
    assert any(line.startswith("  - WARNING:ECLUSTERCLIENTCERT:") for line in lines)
    good, lines = verify_config(world(), debug_simulate_errors=True)
    assert not good
    assert "simulated" in lines[1]


def test_a_master_that_cannot_tell_about_its_certificates():
    here = world()
    here.down.add("n1")
    good, lines = verify_config(here)
    assert not good
    assert lines[2].startswith("  - ERROR:ECLUSTERCERT:cluster::the certificates of the master cannot be looked at")


# --- a group ---


def test_the_layout_when_all_is_well():
    good, lines = verify_group(guest())
    assert (good, lines) == (True, GROUP_TITLES)
    titles = [line for line in GROUP_TITLES if "N+1" not in line]
    assert verify_group(guest(), skip_checks=["nplusone_mem"]) == (True, titles)


def test_verbose_names_the_nodes():
    here = world(nodes={"n3": {"master_candidate": False}})
    lines = verify_group(here, verbose=True)[1]
    place = lines.index("* Verifying node status")
    assert lines[place + 1:place + 4] == [
        "* Verifying node node1 (master)", "* Verifying node node2 (master candidate)",
        "* Verifying node node3 (regular)"]


def test_an_empty_group():
    here = world(more_groups=("g2",))
    assert verify_group(here, group_name="rack-g2") == (
        True, ["* Verifying group 'rack-g2'", "* Empty node group, skipping verification"])


def test_a_node_that_does_not_answer():
    here = world()
    here.down.add("n2")
    good, lines = problems(here)
    assert not good
    assert lines[0].startswith("  - ERROR:ENODERPC:node:node2:unable to verify node: ")
    assert lines[1].startswith("  - ERROR:ENODEHOOKS:node:node2:Communication failure")
    assert len(lines) == 2


def test_versions_clocks_and_what_nodes_find_themselves(monkeypatch):
    here = world()
    here.reports["n2"] = NodeReport(time=here.now() - 1000, problems=(
        NodeProblem(code="ENODEHV", message="no QEMU"), NodeProblem(code="ECLUSTERCERT", message="soon", warning=True)))
    monkeypatch.setattr(here, "_version", lambda node: Version(
        protocol=4 if node == "n3" else 5, release="1.2" if node == "n1" else "3.0", node=node, term=1, master="n1"))
    good, lines = problems(here)
    codes = [line.split(":")[1:4] for line in lines]
    assert not good
    assert ["ENODETIME", "node", "node2"] in codes
    assert ["ENODEHV", "node", "node2"] in codes
    assert "  - WARNING:ECLUSTERCERT:node:node2:soon" in lines
    assert {code for code, _, node in codes if node in ("node1", "node3")} == {"ENODEVERSION"}


@pytest.mark.parametrize(("make", "code", "text"), [
    (lambda: guest(runs=False), "EINSTANCEDOWN", "not running on its primary node node1"),
    (lambda: guest(runs=False, admin_state=DOWN).run(instance(), node="n2"), "EINSTANCEWRONGNODE",
     "running on node node2"),
    (lambda: world().run(instance(disks=())), "ENODEORPHANINSTANCE", "the cluster does not know it"),
])
def test_guests_that_are_not_where_they_should_be(make, code, text):
    good, [line] = problems(make())
    assert not good
    assert f":{code}:" in line
    assert text in line


def test_guests_on_nodes_that_cannot_run_them():
    here = guest()
    offline(here.config, "n1")
    good, lines = problems(here)
    assert not good
    assert lines[0] == "  - ERROR:EINSTANCEBADNODE:instance:web1:its primary node node1 is offline"
    assert lines[1:] == ["  - NOTICE: 1 offline node(s) found."]


def test_missing_and_orphaned_disks():
    here = guest()
    path = here.config.disks["d1"].file.path
    here.files.clear()
    here.reports["n2"] = here.reports["n3"] = NodeReport(time=here.now(), disk_files=(path, "/srv/shared/old/disk0"))
    good, lines = problems(here)
    assert not good
    assert lines == [f"  - ERROR:EINSTANCEMISSINGDISK:instance:web1:disk {path} is missing on node1",
                     "  - WARNING:ENODEORPHANLV:node:node2:disk file /srv/shared/old/disk0 belongs to no instance"]


def test_copies_that_a_job_makes_are_no_orphans():
    here = guest()
    here.reports["n2"] = NodeReport(time=here.now(), disk_files=("/srv/shared/web9/copy",))
    view = FakeView(here)
    view.reservations.of_others["snapshot"] = {"/srv/shared/web9/copy"}
    assert asyncio.run(ClusterVerifyGroupUnit(ClusterVerifyGroup(group_name="default")).check(view))
    assert not any("copy" in line for line in view.lines)


def test_os_definitions_that_are_broken_or_differ():
    here = world()
    here.oses["n2"] = [os_definition(variants=("large",)), os_definition("bad", problem="no create script")]
    here.oses["n3"] = []
    assert problems(here) == (False, [
        "  - ERROR:ENODEOS:node:node2:invalid OS bad: no create script (path /srv/os/bad)",
        "  - ERROR:ENODEOS:node:node2:OS tiny differs from that on node node1 in its variants"])


def test_nodes_are_asked_for_the_bridges_that_guests_use(monkeypatch):
    here, asked = guest(), []
    known = here._node_verify
    monkeypatch.setattr(here, "_node_verify", lambda node, what: asked.append(what) or known(node, what))
    verify_group(here)
    assert asked[0]["links"] == [["bridged", "br0"]]
    assert asked[0]["hosts"] == {"node1": "192.0.2.1", "node2": "192.0.2.2", "node3": "192.0.2.3"}


def test_policy_is_a_warning():
    good, [line] = problems(guest(beparams={"maxmem": 65536, "minmem": 128}))
    assert good
    assert line.startswith("  - WARNING:EINSTANCEPOLICY:instance:web1:")


def test_n_plus_one():
    here = world()
    here.config.replace("disks", Disk(uuid="d9", name="", dev_type=DiskTemplate.DRBD, size=9, nodes=("n1", "n2")))
    here.config.replace("instances", Instance(
        uuid="i9", name="mail", primary_node="n1", os="", hypervisor="fake", disk_template=DiskTemplate.DRBD,
        disks=("d9",), admin_state=UP, beparams={"minmem": 3000, "maxmem": 3000}))
    here.memory_free = 2000

    def disks_status(node, disks):
        return [{"path": "/dev/drbd0", "exists": True, "size": 9, "open": True, "used": True} for _ in disks]
    here._disks_status = disks_status
    here.run(replace(here.config.instances["i9"], disks=()))
    lines = [line for line in problems(here)[1] if "ENODEN1" in line]
    assert lines == ["  - ERROR:ENODEN1:node:node2:not enough memory to accommodate instance failovers should node "
                     "node1 fail (3000 MiB needed, 2000 MiB available)"]
    assert not [line for line in problems(here, skip_checks=["nplusone_mem"])[1] if "ENODEN1" in line]


def test_notes():
    here = world(instance("a", "i1", disks=(), template=DiskTemplate.FILE, admin_state=OFFLINE),
                 instance("b", "i22", disks=(), beparams={"auto_balance": False}),
                 nodes={"n2": {"drained": True, "master_candidate": False}})
    assert problems(here) == (True, ["  - NOTICE: 1 non-redundant instance(s) found.",
                                     "  - NOTICE: 1 non-auto-balanced instance(s) found.",
                                     "  - NOTICE: 1 offline instance(s) found.",
                                     "  - NOTICE: 1 drained node(s) found."])


def test_hooks_are_a_part_of_the_check():
    here = world(nodes={"n3": {"tags": frozenset({"red"})}})
    here.hook_results["n2"] = [HookResult(script="cluster-verify-post.d/look", code=1, output="broken"),
                               HookResult(script="cluster-verify-post.d/fine", code=2, output="")]
    good, lines = verify_group(here)
    assert not good
    assert lines[-2:] == [
        "* Hooks Results", "  - ERROR:ENODEHOOKS:node:node2:Script cluster-verify-post.d/look failed, output: broken"]
    assert sorted(node for node, *_ in here.ran_hooks) == ["n1", "n2", "n3"]
    _, phase, path, env = here.ran_hooks[0]
    assert (phase, path) == ("post", "cluster-verify")
    assert env["GANETI_NODE_TAGS_node3"] == "red"
    assert (env["GANETI_OP_CODE"], env["GANETI_CLUSTER"], env["GANETI_MASTER"]) == (
        "OP_CLUSTER_VERIFY_GROUP", "cluster", "node1")


def test_simulated_errors_and_what_is_locked():
    unit, good, view = look(ClusterVerifyGroupUnit, ClusterVerifyGroup, guest(), group_name="default",
                            debug_simulate_errors=True)
    assert not good
    assert unit.locks(view).shared == {"instance": {"web1"}, "nodegroup": {"g1"}, "node": {"n1", "n2", "n3"}}


# --- the report ---


def test_lines_with_and_without_codes():
    lines = []
    for codes in (False, True):
        report = Report(lines.append, error_codes=codes, ignore=["ENODEN1"])
        report.add(Problem("ENODEN1", "node", "node1", "no memory"))
        assert not report.failed
        report.add(Problem("ECLUSTERCFG", "cluster", "", "bad"))
        assert report.failed
    assert lines == ["  - WARNING: node node1: no memory", "  - ERROR: cluster: bad",
                     "  - WARNING:ENODEN1:node:node1:no memory", "  - ERROR:ECLUSTERCFG:cluster::bad"]


def test_memory_is_only_compared_with_what_is_known():
    assert isinstance(world()._node_info("n1", []), NodeInfo)
