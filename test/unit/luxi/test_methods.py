# SPDX-License-Identifier: BSD-2-Clause
"""What each method of the socket does with the arguments that clients send."""

import asyncio
import dataclasses

import pytest

from gantry.errors import Error, JobLost, NotFound, ParameterError, QueueDrained, WrongInput
from gantry.jqueue.states import Event
from gantry.luxi.methods import METHODS, methods
from gantry.luxi.protocol import BadRequest
from gantry.objects.plan import Delete, Update
from support import world
from support.world import FakeQueue, FakeWriter, job

OP = {"OP_ID": "OP_TEST_DELAY", "duration": 1}
UUID = "0f9e2c8c-6f5a-4f1e-9a51-3b1c3f3b9c01"


def call(method, *args, **parts):
    async def run():
        return await methods(world.services(**parts))[method].run(list(args))
    return asyncio.run(run())


def test_every_method_is_there():
    names = (
        "SubmitJob SubmitJobToDrainedQueue SubmitManyJobs PickupJob WaitForJobChange CancelJob ChangeJobPriority "
        "ArchiveJob AutoArchiveJobs Query QueryFields QueryJobs QueryInstances QueryNodes QueryGroups QueryNetworks "
        "QueryExports QueryFilters QueryConfigValues QueryClusterInfo QueryTags ReplaceFilter DeleteFilter "
        "SetDrainFlag SetWatcherPause "
        "QueryInstanceObjects QueryMetrics QueryOperatingSystems WaitForRecord")
    assert METHODS.keys() == set(names.split())


# --- jobs -------------------------------------------------------------------------------------------------


def test_submitting():
    queue = FakeQueue(job(7))
    assert call("SubmitJob", [OP], queue=queue) == 8
    assert call("SubmitJobToDrainedQueue", [OP], queue=queue) == 8
    assert call("SubmitManyJobs", [[OP], [OP, OP]], queue=queue) == [[True, 8], [True, 9]]
    assert queue.submitted == [([[OP]], False), ([[OP]], True), ([[OP], [OP, OP]], False)]


def test_opcodes_that_cannot_be_parsed():
    queue = FakeQueue()
    queue.accept = [(False, "OP_TEST_DELAY: unknown parameters nope")]
    with pytest.raises(BadRequest, match="Failed to parse request: OP_TEST_DELAY: unknown parameters nope"):
        call("SubmitJob", [OP], queue=queue)
    broken = OP | {"priority": 3}
    with pytest.raises(BadRequest, match="Failed to parse request: OP_TEST_DELAY: parameter priority"):
        call("SubmitManyJobs", [[OP], [OP, broken]], queue=queue)
    assert queue.submitted == [([[OP]], False)]
    queue.accept = [(False, "a job cannot depend on itself")]
    assert call("SubmitManyJobs", [[OP]], queue=queue) == [[False, "a job cannot depend on itself"]]


def test_a_drained_queue():
    queue = FakeQueue()
    queue.accept = QueueDrained()
    with pytest.raises(QueueDrained):
        call("SubmitManyJobs", [[OP]], queue=queue)


@pytest.mark.parametrize(("method", "args", "result"), [
    ("CancelJob", [12], [False, "Job 12 not found in queue"]),
    ("CancelJob", ["12"], [False, "Job 12 not found in queue"]),
    ("CancelJob", [12, True], [False, "Job 12 not found in queue (kill)"]),
    ("ChangeJobPriority", [12, -20], [True, "12 to -20"]), ("ArchiveJob", ["12"], False),
    ("AutoArchiveJobs", [-1, 89], [3, 0]), ("SetDrainFlag", [True], True),
])
def test_the_life_of_jobs(method, args, result):
    assert call(method, *args) == result


@pytest.mark.parametrize(("method", "args"), [
    ("CancelJob", ["x"]), ("CancelJob", [12, "yes"]), ("ChangeJobPriority", [12, 20]), ("ChangeJobPriority", [12]),
    ("SetDrainFlag", ["yes"]), ("SubmitJob", [OP]), ("SubmitManyJobs", [[OP]]), ("QueryJobs", [["x"], ["id"]]),
    ("Query", ["node", "name", None]), ("Query", ["node", ["name"], "x"]), ("Query", ["nope", ["name"], None]),
    ("QueryTags", ["cluster", "", 1]), ("QueryTags", ["planet", ""]), ("WaitForJobChange", [1, ["id"], None, None]),
])
def test_arguments_that_do_not_fit(method, args):
    with pytest.raises(BadRequest):
        call(method, *args)


def test_picking_up_is_refused():
    with pytest.raises(WrongInput, match="internal use only"):
        call("PickupJob", 5)


# --- waiting for a change -----------------------------------------------------------------------------------


LOG = [1, [1700000001, 0], "message", "hello"]


def test_a_finished_job_is_answered_at_once():
    queue = FakeQueue(job(12))
    assert call("WaitForJobChange", 12, ["status"], ["success"], 1, 60, queue=queue) == [["success"], []]
    assert call("WaitForJobChange", "12", ["status", "end_ts"], None, None, 60, queue=queue) == [
        ["success", [1700000009, 5]], [LOG]]


def test_an_unfinished_job_is_waited_for():
    found = job(12, "waiting", end=None)
    queue = FakeQueue(found)

    async def run():
        method = methods(world.services(queue=queue))["WaitForJobChange"]
        waiting = [asyncio.ensure_future(method.run([12, ["status"], ["waiting"], 1, 60])) for _ in range(500)]
        while queue.waiters < 500:
            await asyncio.sleep(0)
        found.move(0, Event.LOCKED)
        answers = await asyncio.gather(*waiting)
        last = await method.run([12, ["status"], ["running"], 1, 0])
        return answers, last
    answers, last = asyncio.run(run())
    assert answers == [[["running"], []]] * 500
    assert last == [["running"], []]


def test_a_job_that_is_not_there_is_lost():
    with pytest.raises(JobLost):
        call("WaitForJobChange", 5, ["status"], None, None, 10)
    with pytest.raises(JobLost):
        call("WaitForJobChange", 5, ["status"], None, None, 10, queue=FakeQueue(archived=[job(5, archived=True)]))


def test_watching_a_field_that_is_not_there():
    with pytest.raises(WrongInput, match="nope"):
        call("WaitForJobChange", 12, ["nope"], None, None, 10, queue=FakeQueue(job(12)))


# --- queries ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["cluster", "os"])
def test_what_only_jobs_may_ask(what):
    with pytest.raises(Error, match="not supported"):
        call("Query", what, ["name"], None)


def test_fields():
    assert [field["name"] for field in call("QueryFields", "export", None)["fields"]] == ["export", "node"]
    assert [field["name"] for field in call("QueryFields", "job", ["id"])["fields"]] == ["id"]


@pytest.mark.parametrize(("method", "args", "result"), [
    ("QueryInstances", [[], ["name"], False], [["web1.example.org"], ["web2.example.org"], ["web10.example.org"]]),
    ("QueryInstances", [["web2", "nobody"], ["name"]], [["web2.example.org"]]),
    ("QueryInstances", [["nobody"], ["name"], False], []),
    ("QueryNodes", [["n10", "node1"], ["name", "offline"], False],
     [["node1.example.org", False], ["node10.example.org", False]]),
    ("QueryGroups", [None, ["name"], False], [["default"], ["other"]]),
    ("QueryNetworks", [[], ["name"], False], [["office"]]),
    ("QueryExports", [[], False], [["node4.example.org", None]]),
    ("QueryFilters", [None, ["uuid"]], [["f1"]]), ("QueryFilters", [["nope"], ["uuid"]], []),
    ("QueryJobs", [None, ["id", "status"]], [[12, "success"]]), ("QueryJobs", [[], ["id"]], [[12]]),
    ("QueryJobs", [["12", 99], ["id", "status"]], [[12, "success"], [99, None]]),
    ("QueryConfigValues", [["cluster_name", "master_node", "drain_flag", "watcher_pause", "nope"]],
     ["cluster.example.org", "node1.example.org", False, None, None]),
    ("QueryTags", ["cluster", ""], ["prod"]), ("QueryTags", ["cluster", None], ["prod"]),
    ("QueryTags", ["instance", "web1"], ["a", "web"]), ("QueryTags", ["nodegroup", "default"], ["row-a"]),
])
def test_classic_queries(method, args, result):
    assert call(method, *args, queue=FakeQueue(job(12))) == result


def test_locking_is_refused():
    with pytest.raises(WrongInput, match="Sync queries"):
        call("QueryNodes", [], ["name"], True)


def test_the_cluster():
    info = call("QueryClusterInfo")
    assert info["master"] == "node1.example.org"
    assert info["default_hypervisor"] == "kvm"
    assert info["beparams"]["default"]["maxmem"] == 256
    assert info["ipolicy"].keys() == {"minmax", "std", "disk-templates", "vcpu-ratio", "spindle-ratio"}
    assert not {"vg_name", "drbd_helper"} & info.keys()
    keys = (
        "software_version protocol_version config_version os_api_version export_version vcs_version architecture name "
        "uuid master default_hypervisor enabled_hypervisors hvparams os_hvp beparams nicparams osparams ndparams "
        "diskparams ipolicy candidate_pool_size max_running_jobs max_tracked_jobs mac_prefix master_netdev "
        "master_netmask use_external_mip_script maintain_node_health prealloc_wipe_disks enabled_user_shutdown "
        "modify_ssh_setup volume_group_name drbd_usermode_helper file_storage_dir shared_file_storage_dir "
        "gluster_storage_dir ctime mtime tags uid_pool default_iallocator default_iallocator_params reserved_lvs "
        "hidden_os blacklisted_os enabled_disk_templates compression_tools primary_ip_version install_image "
        "zeroing_image instance_communication_network enabled_data_collectors data_collector_interval ssh_key_type "
        "ssh_key_bits")
    assert info.keys() == set(keys.split())


# --- settings -----------------------------------------------------------------------------------------------


def test_the_watchers_pause():
    writer = FakeWriter()
    assert call("SetWatcherPause", 1800000000, writer=writer) == 1800000000.0
    assert call("SetWatcherPause", None, writer=writer) is None
    assert writer.changes == [Update(table="cluster", uuid="c0", fields={"watcher_pause": 1800000000.0}),
                              Update(table="cluster", uuid="c0", fields={"watcher_pause": None})]


def test_a_new_filter_rule_gets_a_uuid_and_the_last_job_as_watermark():
    writer, queue = FakeWriter(), FakeQueue(job(12))
    uuid = call("ReplaceFilter", None, 3, [["jobid", ["<", "id", 9]]], ["RATE_LIMIT", 2], [["user", "why", 1]],
                writer=writer, queue=queue)
    (change,) = writer.changes
    assert change.value["uuid"] == uuid
    assert (change.value["watermark"], change.value["priority"]) == (12, 3)
    assert change.value["reason_trail"][0] == ["user", "why", 1]
    assert change.value["reason_trail"][1][:2] == ["luxid", ""]
    assert queue.said == ["kick"]


def test_a_filter_rule_keeps_the_uuid_that_was_given():
    assert call("ReplaceFilter", UUID, 0, [], "PAUSE", []) == UUID


@pytest.mark.parametrize("args", [
    ["nope", 0, [], "PAUSE", []], [None, -1, [], "PAUSE", []], [None, 0, [], "SLEEP", []],
    [None, 0, [], ["RATE_LIMIT", 0], []], [None, 0, [["planet", ["?", "x"]]], "PAUSE", []],
    [None, 0, ["x"], "PAUSE", []],
])
def test_filter_rules_that_cannot_be(args):
    with pytest.raises(ParameterError):
        call("ReplaceFilter", *args)


def test_deleting_a_filter_rule():
    writer = FakeWriter()
    assert call("DeleteFilter", "f1", writer=writer) is None
    assert writer.changes == [Delete(table="filters", uuid="f1")]
    with pytest.raises(NotFound):
        call("DeleteFilter", "f2", writer=writer)


def test_a_new_record_is_noticed():
    numbers = iter([3, 3, 4])

    async def main():
        services = dataclasses.replace(world.services(), recorded=lambda: next(numbers, 4))
        return await methods(services)["WaitForRecord"].run([3, 60])
    assert asyncio.run(main()) == 4


def test_no_new_record():
    newest = call("WaitForRecord", -1, 0)
    assert call("WaitForRecord", newest, 0.01) == newest
