# SPDX-License-Identifier: BSD-2-Clause
"""What commands ask of the master daemon and what they print, seen from outside."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gantry.cli import output
from gantry.errors import Error, RemoteError, WrongInput
from support.fake_luxi import FakeLuxi, run, table

WEB, DB = "web1.example.org", "db1.example.org"
INSTANCES = [WEB, DB, "web2.example.org"]


def query(what: str, fields: list[str], qfilter: Any) -> dict[str, Any]:
    """Instances by name, pattern or tag; one node with two of them."""
    if what == "node":
        values = {"name": "n1", "pinst_list": [WEB], "sinst_list": [DB], "master": True}
        return table([(field, "text") for field in fields], [values[field] for field in fields])
    names = INSTANCES
    if qfilter is not None:
        tests = qfilter[1:] if qfilter[0] == "|" else [qfilter]
        names = [name for test in tests for name in INSTANCES
                 if (test[0] == "==" and name.split(".")[0] == test[2].split(".")[0])
                 or (test[0] == "=~" and re.search(test[2], name)) or (test[0] == "=[]" and name == DB)]
        if not names and tests[0][0] == "==":
            raise RemoteError(name="OpPrereqError", args=["not known", "unknown_entity"])
    return table([(field, "text") for field in fields], *([{"name": name, "pnode": "n1"}[field] for field in fields]
                                                          for name in names))


@pytest.fixture
def luxi() -> FakeLuxi:
    return FakeLuxi(Query=query)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the operator will say, and what was asked."""
    state: dict[str, Any] = {"say": False, "asked": []}

    def ask(question: str) -> bool:
        state["asked"].append(question)
        return bool(state["say"])

    monkeypatch.setattr(output, "ask", ask)
    monkeypatch.setattr(output, "ask_about", lambda names, what, operation: ask(f"{operation} {','.join(names)}"))
    return state


def selected(luxi: FakeLuxi) -> list[str]:
    return [op["instance_name"] for op in luxi.ops]


# --- jobs ------------------------------------------------------------------------------------------------------


def test_a_job_is_followed_and_silent_otherwise(luxi: FakeLuxi, capsys: pytest.CaptureFixture[str]) -> None:
    luxi.log = [" - INFO: step"]
    assert run(luxi, "gnt-instance", "deactivate-disks", "-f", "web1") == 0
    assert luxi.ops == [{"OP_ID": "OP_INSTANCE_DEACTIVATE_DISKS", "instance_name": "web1", "force": True}]
    said = capsys.readouterr()
    assert re.fullmatch(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d 2020  - INFO: step\n", said.out)
    assert not said.err


def test_the_id_of_a_job_that_is_not_waited_for(luxi: FakeLuxi, capsys: pytest.CaptureFixture[str]) -> None:
    """`job=$(gnt-instance migrate -f --submit --print-jobid web)`"""
    assert run(luxi, "gnt-instance", "migrate", "-f", "--submit", "--print-jobid", WEB) == 0
    said = capsys.readouterr()
    [number] = said.out.splitlines()
    assert said.err == f"JobID: {number}\n"


def test_submit_print_jobid_priority_dry_run(luxi: FakeLuxi, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(luxi, "gnt-group", "remove", "--submit", "--priority=low", "--dry-run", "g") == 0
    assert capsys.readouterr().err == "JobID: 1\n"
    assert luxi.ops == [{"OP_ID": "OP_GROUP_REMOVE", "group_name": "g", "priority": 10, "dry_run": True}]
    assert run(luxi, "gnt-group", "rename", "--print-jobid", "a", "b") == 0
    assert capsys.readouterr().out == "2\n"


def test_the_reason_trail_names_the_command(luxi: FakeLuxi) -> None:
    run(luxi, "gnt-instance", "shutdown", "--reason", "maintenance", "web1")
    trail = luxi.jobs[1][0]["reason"]
    assert [entry[:2] for entry in trail] == [["gnt:client:gnt-instance", "shutdown"], ["gnt:user", "maintenance"]]
    assert trail[0][2] > 1e18


def test_a_failed_job_raises_its_error(luxi: FakeLuxi) -> None:
    luxi.results["OP_INSTANCE_REMOVE"] = ("OpPrereqError", ["no", "wrong_state"])
    with pytest.raises(RemoteError) as caught:
        run(luxi, "gnt-instance", "remove", "-f", "web1")
    assert caught.value.wire() == ["OpPrereqError", ["no", "wrong_state"]]


def test_a_canceled_job_and_a_lost_one_are_failures(luxi: FakeLuxi) -> None:
    luxi.answers |= {"QueryJobs": [["canceled", ["canceled"], ["Job canceled by request"]]],
                     "WaitForJobChange": [["canceled"], []]}
    with pytest.raises(Error, match="canceled"):
        run(luxi, "gnt-group", "remove", "g")
    luxi.answers["QueryJobs"] = [None]
    with pytest.raises(Error, match="archived"):
        run(luxi, "gnt-group", "remove", "g")


# --- selection -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("args", "names", "asked"), [
    (["web1"], [WEB], False),
    (["web1", "db1"], [WEB, DB], True),
    (["web*"], [WEB, "web2.example.org"], True),
    (["--all"], [DB, WEB, "web2.example.org"], True),
    (["--node", "n1"], [DB, WEB], True),
    (["--primary", "n1"], [WEB], True),
    (["--secondary", "n1"], [DB], True),
    (["--tags", "t"], [DB], True),
    (["--node-tags", "t"], [DB, WEB], True),
    (["--pri-node-tags", "t"], [WEB], True),
    (["--sec-node-tags", "t"], [DB], True),
    (["--instance", "db1"], [DB], False),
    (["--force-multiple", "--all"], [DB, WEB, "web2.example.org"], False),
    (["-f", "--all"], [DB, WEB, "web2.example.org"], True),
])
def test_selection(luxi: FakeLuxi, answers: dict[str, Any], args: list[str], names: list[str], asked: bool) -> None:
    answers["say"] = True
    assert run(luxi, "gnt-instance", "startup", *args) == 0
    assert selected(luxi) == names
    assert bool(answers["asked"]) == asked


def test_a_declined_question_does_nothing(luxi: FakeLuxi, answers: dict[str, Any]) -> None:
    assert run(luxi, "gnt-instance", "shutdown", "--all") == 1
    assert run(luxi, "gnt-instance", "remove", "web1") == 1
    assert run(luxi, "gnt-node", "failover", "n1") == 2
    assert run(luxi, "gnt-node", "migrate", "n1") == run(luxi, "gnt-node", "evacuate", "-s", "n1") == 13
    assert len(answers["asked"]) == 5
    assert not luxi.jobs


@pytest.mark.parametrize("args", [[], ["--tags", "--node", "x"], ["--all", "x"], ["nosuch*"]])
def test_selecting_nothing_is_an_error(luxi: FakeLuxi, args: list[str]) -> None:
    with pytest.raises(WrongInput):
        run(luxi, "gnt-instance", "shutdown", *args)


def test_output_of_one_and_of_several(luxi: FakeLuxi, capsys: pytest.CaptureFixture[str]) -> None:
    run(luxi, "gnt-instance", "shutdown", "--timeout", "0", "web1")
    assert capsys.readouterr().out == f"Waiting for job 1 for {WEB} ...\n"
    assert luxi.ops[0]["timeout"] == 0
    run(luxi, "gnt-instance", "reboot", "--force-multiple", "web1", "db1")
    assert capsys.readouterr().out == (
        f"Submitted jobs 2, 3\nWaiting for job 2 for {WEB} ...\nWaiting for job 3 for {DB} ...\n")
    assert luxi.ops[1]["reboot_type"] == "hard"
    run(luxi, "gnt-instance", "startup", "--submit", "web1")
    assert capsys.readouterr().out == f"4: {WEB}\n"
    luxi.results["OP_INSTANCE_STARTUP"] = ("OpExecError", ["broke"])
    assert run(luxi, "gnt-instance", "startup", "web1") == 1
    assert f"Job 5 for {WEB} has failed: Failure: command execution error:\nbroke" in capsys.readouterr().err


# --- instances -------------------------------------------------------------------------------------------------


def test_add(luxi: FakeLuxi) -> None:
    run(luxi, "gnt-instance", "add", "-t", "drbd", "-I", "hail", "-g", "A", "--net", "0:link=private", "-B",
        "vcpus=2,memory=4096m", "-H", "kvm:spice_bind=127.0.0.1", "--disk", "0:size=20g", "-o", "debootstrap+default",
        "--no-install", "--no-wait-for-sync", "web9")
    assert luxi.ops == [{
        "OP_ID": "OP_INSTANCE_CREATE", "mode": "create", "instance_name": "web9", "disk_template": "drbd",
        "iallocator": "hail", "group_name": "A", "nics": [{"link": "private"}],
        "beparams": {"vcpus": 2, "memory": 4096}, "hypervisor": "kvm", "hvparams": {"spice_bind": "127.0.0.1"},
        "disks": [{"size": 20480}], "os_type": "debootstrap+default", "no_install": True, "wait_for_sync": False}]


@pytest.mark.parametrize(("args", "problem"), [
    (["-t", "plain"], "No disk information specified"),
    (["-t", "diskless", "-s", "1g"], "diskless instance"),
    (["-s", "1g", "--disk", "0:size=1g"], "exclude each other"),
    (["-s", "1g", "-n", "a", "-I", "hail"], "cannot both be given"),
    (["--disk", "0:mode=ro"], "is missing"),
    (["--disk", "0:size=1g,adopt=x"], "size and adopt exclude"),
    (["-s", "1g", "--no-nics", "--net", "0"], "exclude each other"),
    (["-s", "1g", "--ip-check"], "needs --name-check"),
])
def test_add_refuses_what_makes_no_sense(luxi: FakeLuxi, args: list[str], problem: str) -> None:
    with pytest.raises(WrongInput, match=problem):
        run(luxi, "gnt-instance", "add", "-o", "x", *args, "web9")
    assert not luxi.jobs


def test_modify_shows_what_changed(luxi: FakeLuxi, capsys: pytest.CaptureFixture[str]) -> None:
    luxi.results["OP_INSTANCE_SET_PARAMS"] = [["be/memory", 4096], ["be/vcpus", 2]]
    assert run(luxi, "gnt-instance", "modify", "-B", "memory=4g,vcpus=2", "web1") == 0
    assert luxi.ops[0]["beparams"] == {"memory": 4096, "vcpus": 2}
    assert capsys.readouterr().out.splitlines()[:3] == ["Modified instance web1", " - be/memory -> 4096",
                                                        " - be/vcpus -> 2"]
    run(luxi, "gnt-instance", "modify", "--hypervisor-parameters=boot_order=disk", "--disk", "1:remove", "--online",
        "--no-hotplug", "web1")
    assert luxi.ops[1] == {
        "OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "web1", "hvparams": {"boot_order": "disk"},
        "disks": [["remove", 1, {}]], "offline": False, "hotplug": False}


@pytest.mark.parametrize(("runs", "options", "asked"), [
    (True, [], True), (True, ["-f"], False), (True, ["--no-hotplug"], False), (False, [], False)])
def test_the_interface_of_a_guest_that_runs_is_exchanged_when_confirmed(
        luxi: FakeLuxi, monkeypatch: pytest.MonkeyPatch, runs: bool, options: list[str], asked: bool) -> None:
    luxi.answers["Query"] = {"fields": [], "data": [[[0, runs]]]}
    questions: list[str] = []
    monkeypatch.setattr("gantry.cli.output.ask", lambda question: bool(questions.append(question)))
    assert run(luxi, "gnt-instance", "modify", "--net", "0:link=br1", *options, "web1") == (1 if asked else 0)
    assert (len(questions), len(luxi.ops)) == ((1, 0) if asked else (0, 1))
    assert run(luxi, "gnt-instance", "modify", "--net", "add:link=br1", *options, "web1") == 0


def test_grow_disk(luxi: FakeLuxi) -> None:
    run(luxi, "gnt-instance", "grow-disk", "--absolute", "web1", "0", "50g")
    assert luxi.ops == [{"OP_ID": "OP_INSTANCE_GROW_DISK", "instance_name": "web1", "disk": 0, "amount": 51200,
                         "absolute": True}]


def test_commands_with_follow_up_jobs(luxi: FakeLuxi, capsys: pytest.CaptureFixture[str]) -> None:
    luxi.results["OP_NODE_MIGRATE"] = {"jobs": [[True, 7], [False, "no more"]]}
    assert run(luxi, "gnt-node", "migrate", "-f", "n1") == 1
    said = capsys.readouterr()
    assert said.out == "Submitted jobs 7\nWaiting for job 7 ...\nThere were 1 errors during the node migration.\n"
    assert said.err == "Failed to submit job: no more\n"
    luxi.results["OP_NODE_EVACUATE"] = {"jobs": [[True, 8]]}
    assert run(luxi, "gnt-node", "evacuate", "-f", "-s", "n1") == 0
    assert capsys.readouterr().out.endswith("All instances evacuated successfully.\n")
    assert luxi.ops[1]["mode"] == "secondary-only"
    assert run(luxi, "gnt-node", "failover", "-f", "n1") == 0
    assert capsys.readouterr().out.endswith("All 1 instance(s) failed over successfully.\n")


def test_verify(luxi: FakeLuxi, capsys: pytest.CaptureFixture[str]) -> None:
    luxi.results |= {"OP_CLUSTER_VERIFY": {"jobs": [[True, 5]]}, "": True}
    assert run(luxi, "gnt-cluster", "verify") == 0
    luxi.results[""] = False
    assert run(luxi, "gnt-cluster", "verify", "--no-nplus1-mem") == 1
    assert luxi.ops[1]["skip_checks"] == ["nplusone_mem"]


def test_verify_disks(luxi: FakeLuxi, capsys: pytest.CaptureFixture[str]) -> None:
    luxi.results |= {"OP_CLUSTER_VERIFY_DISKS": {"jobs": [[True, 5]]}, "": [{}, [], {}]}
    assert run(luxi, "gnt-cluster", "verify-disks") == 0
    assert capsys.readouterr().out.endswith("No disks need to be activated.\n")
    luxi.results[""] = [{"n2": "down"}, [WEB], {DB: [["n1", "vg/lv"], ["n1", "/srv/disk0"]]}]
    assert run(luxi, "gnt-cluster", "verify-disks") == 1
    said = capsys.readouterr()
    assert f"Activating disks for instance '{WEB}'" in said.out
    assert f"Instance {DB} has missing logical volumes:\n\tn1 /dev/vg/lv\n\tn1 /srv/disk0\n" in said.out
    assert "Error gathering data on node n2: down\n" in said.out


@pytest.mark.parametrize("gateway", ["192.0.2.1", "none"])
def test_an_address_or_a_word_is_no_choice_of_words(gateway: str, luxi: FakeLuxi) -> None:
    assert run(luxi, "gnt-network", "modify", "--gateway", gateway, "office") == 0
    assert luxi.ops == [{"OP_ID": "OP_NETWORK_SET_PARAMS", "network_name": "office", "gateway": gateway}]


# --- lists -----------------------------------------------------------------------------------------------------


def test_list_columns_and_unknown_fields(capsys: pytest.CaptureFixture[str]) -> None:
    luxi = FakeLuxi(Query=lambda what, fields, qfilter: table(
        [(name, "unknown" if name == "nix" else "text") for name in fields],
        [(1, None) if name == "nix" else "x" for name in fields]))
    assert run(luxi, "gnt-node", "list", "--no-headers", "-o", "name,group") == 0
    assert capsys.readouterr().out == "x x\n"
    assert run(luxi, "gnt-node", "list", "-o", "+nix") == 14
    said = capsys.readouterr()
    assert said.out.splitlines()[1].endswith(" ??")
    assert said.err == "Warning: Queried for unknown fields nix\n"
    assert luxi.calls[1][1][1][-2:] == ["sinst_cnt", "nix"]


@pytest.mark.parametrize(("args", "qfilter"), [
    ([], None), (["web1"], ["==", "name", "web1"]),
    (["a", "b"], ["|", ["==", "name", "a"], ["==", "name", "b"]]),
    (["-F", "pnode.group == 'B'"], ["==", "pnode.group", "B"]),
    (["be/vcpus >= 4 and not admin_up"], ["&", [">=", "be/vcpus", 4], ["!", ["?", "admin_up"]]]),
])
def test_filters(args: list[str], qfilter: Any) -> None:
    luxi = FakeLuxi(Query=lambda *asked: table([("name", "text")]))
    assert run(luxi, "gnt-instance", "list", "-o", "name", *args) == 0
    assert luxi.calls == [("Query", ["instance", ["name"], qfilter])]


def test_job_list(capsys: pytest.CaptureFixture[str]) -> None:
    luxi = FakeLuxi(Query=lambda what, fields, qfilter: table(
        [("id", "number"), ("status", "text"), ("summary", "other"), ("archived", "bool")][:len(fields)],
        [12, "success", ["A(x)", "B"], True][:len(fields)]))
    run(luxi, "gnt-job", "list", "--running")
    assert luxi.calls[0][1][2] == ["|", ["==", "status", "running"]]
    run(luxi, "gnt-job", "list", "--archived", "12")
    assert luxi.calls[1][1] == ["job", ["id", "status", "summary", "archived"], ["==", "id", 12]]
    assert capsys.readouterr().out.splitlines()[:2] == ["Id Status  Summary", "12 success A(x),B"]


def test_list_fields(capsys: pytest.CaptureFixture[str]) -> None:
    luxi = FakeLuxi(QueryFields={"fields": [{"name": "oper_ram", "title": "Memory", "kind": "unit", "doc": "RAM"}]})
    assert run(luxi, "gnt-instance", "list-fields", "oper_ram") == 0
    assert capsys.readouterr().out == "Name     Type         Title  Description\noper_ram Storage size Memory RAM\n"


# --- the rest --------------------------------------------------------------------------------------------------


def test_queue_and_watcher(capsys: pytest.CaptureFixture[str]) -> None:
    luxi = FakeLuxi(SetDrainFlag=True, QueryConfigValues=[None], SetWatcherPause=lambda until: until)
    assert run(luxi, "gnt-cluster", "queue", "drain") == 0
    assert run(luxi, "gnt-cluster", "queue", "info") == 0
    assert run(luxi, "gnt-cluster", "watcher", "info") == 0
    assert run(luxi, "gnt-cluster", "watcher", "pause", "1h") == 0
    assert capsys.readouterr().out.startswith(
        "The drain flag is unset\nThe watcher is not paused.\nThe watcher is paused until ")
    with pytest.raises(WrongInput):
        run(luxi, "gnt-cluster", "queue", "jump")


def test_tags(luxi: FakeLuxi, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    luxi.answers["QueryTags"] = ["b", "a"]
    run(luxi, "gnt-cluster", "list-tags")
    assert capsys.readouterr().out == "a\nb\n"
    (tmp_path / "tags").write_text(" c \n\nd\n")
    run(luxi, "gnt-instance", "add-tags", "--from", str(tmp_path / "tags"), "web1", "b")
    assert luxi.ops == [{"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": "web1", "tags": ["b", "c", "d"]}]
    with pytest.raises(WrongInput, match="No tags to be removed"):
        run(luxi, "gnt-node", "remove-tags", "n1")


def test_job_info(capsys: pytest.CaptureFixture[str]) -> None:
    row = [3, "success", [{"OP_ID": "OP_TEST_DELAY", "duration": 1.0, "reason": [["a", "b", 1], ["c", "d", 2]],
                             "disks": [{"size": 1}, ["x", "y"]]}], [{"jobs": [[True, 4]]}], ["success"],
           [[[1, [1, 0], "message", "hi"]]], [[1, 0]], [[2, 0]], [[3, 500000]], [0, 0], [1, 0], [3, 500000]]
    assert run(FakeLuxi(QueryJobs=[row]), "gnt-job", "info", "3", "4") == 1
    said = capsys.readouterr()
    assert "- Job ID: 3\n  Status: success\n" in said.out
    assert "  Total processing time: 3.500000 seconds\n  Opcodes:\n    - Opcode: OP_TEST_DELAY\n" in said.out
    assert "        disks:\n          - size: 1\n          - [x, y]\n" in said.out
    assert "        reason: [[a, b, 1], [c, d, 2]]\n      Result:\n        jobs: [[True, 4]]\n" in said.out
    assert "          Content: [1, message, hi]\n" in said.out
    assert said.err == "Job ID 4 not found\n"


def test_job_cancel(answers: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    luxi = FakeLuxi(CancelJob=[True, "Dequeued job 4"], Query=lambda what, fields, qfilter: table(
        [(name, "other") for name in fields], [{"id": 4, "status": "queued", "summary": ["A"]}[name]
                                               for name in fields]))
    assert run(luxi, "gnt-job", "cancel", "4") == 0
    assert capsys.readouterr().out == "Dequeued job 4\n"
    assert run(luxi, "gnt-job", "cancel", "--queued") == 13
    assert run(luxi, "gnt-job", "cancel", "-f", "--queued") == 0
    for args in (["--kill", "4"], [], ["4", "--pending"][::-1]):
        with pytest.raises(WrongInput):
            run(luxi, "gnt-job", "cancel", *args)


def test_submit_job(luxi: FakeLuxi, tmp_path: Path) -> None:
    file = tmp_path / "ops"
    file.write_text(json.dumps([{"OP_ID": "OP_TEST_DELAY", "duration": 0.001}]))
    assert run(luxi, "gnt-debug", "submit-job", "--op-repeat", "2", "--job-repeat", "3", str(file)) == 0
    assert [len(ops) for ops in luxi.jobs.values()] == [2, 2, 2]
    file.write_text("{}")
    with pytest.raises(WrongInput, match="list of opcodes"):
        run(luxi, "gnt-debug", "submit-job", str(file))


def test_console_of_a_node_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    (tmp_path / "etc/gantry").mkdir(parents=True)
    (tmp_path / "etc/gantry/virtual-cluster.json").write_text('{"n1": {"root": "/r/n1", "address": "127.1.0.1"}}')
    fields = [(name, "other") for name in ("name", "oper_state", "pnode", "console")]
    console = {"instance": WEB, "kind": "ssh", "host": "n1", "user": "root", "command": ["attach", "/s o"]}
    luxi = FakeLuxi(Query=table(fields, [WEB, True, "n1", console]))
    assert run(luxi, "gnt-instance", "console", "--show-cmd", "web1") == 0
    assert capsys.readouterr().out == "GANTRY_ROOT=/r/n1 attach '/s o'\n"
    luxi = FakeLuxi(Query=table(fields, [WEB, True, "n2", console | {"host": "n2"}]))
    assert run(luxi, "gnt-instance", "console", "--show-cmd", "web1") == 0
    assert capsys.readouterr().out == "ssh -t root@n2 'attach '\"'\"'/s o'\"'\"''\n"
    luxi = FakeLuxi(Query=table(fields, [WEB, False, "n1", None]))
    with pytest.raises(Error, match="is not running, can't get console"):
        run(luxi, "gnt-instance", "console", "web1")
