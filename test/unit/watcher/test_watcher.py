# SPDX-License-Identifier: BSD-2-Clause
"""The watcher's round: its files, its jobs, and when it keeps still."""

import pytest

from gantry import paths
from gantry.watcher import files, group, node, program
from gantry.watcher.decide import Notes
from gantry.watcher.group import GroupWatcher


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    for folder in (paths.here().state, paths.here().run, paths.here().log):
        folder.mkdir(parents=True)
    return tmp_path


class FakeMaster:
    """`states` of instances; jobs that start them do, those named in `broken` fail."""

    def __init__(self, states, broken=(), disks=({}, [], {})):
        self.states, self.broken, self.disks = dict(states), broken, disks
        self.done, self.asked = [], set()

    def call(self, method, args=()):
        return getattr(self, method)(*args)

    def Query(self, what, fields, qfilter):
        assert qfilter[-1] == "uuid-1"
        rows = {"node": [["n1", "boot", False]], "instance": [[name, state, []] for name, state in self.states.items()]}
        return {"data": [[[0, value] for value in row] for row in rows[what]]}

    def SubmitJob(self, ops):
        (op,) = ops
        assert op["reason"][0][0] == "gnt:watcher"
        self.done.append((op["OP_ID"].removeprefix("OP_"), op.get("instance_name")))
        if op["OP_ID"] == "OP_INSTANCE_STARTUP" and op["instance_name"] not in self.broken:
            self.states[op["instance_name"]] = "running"
        return len(self.done)

    def WaitForJobChange(self, job, fields, previous, log, timeout):
        if job not in self.asked:
            self.asked.add(job)
            return "nochange"
        return [["error" if self._failed(job) else "success"], []]

    def QueryJobs(self, jobs, fields):
        if self._failed(jobs[0]):
            return [["error", [["OpExecError", ["no"]]]]]
        return [["success", [list(self.disks) if self.done[jobs[0] - 1][0] == "GROUP_VERIFY_DISKS" else None]]]

    def _failed(self, job):
        return self.done[job - 1] in [("INSTANCE_STARTUP", name) for name in self.broken]


class NeverEnds(FakeMaster):
    def WaitForJobChange(self, *args):
        return "nochange"


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Each look at the clock is a minute later; so nothing waits for ever."""
    ticks = iter(range(0, 10**9, 60))
    monkeypatch.setattr(group.clock.SYSTEM, "now", lambda: next(ticks), raising=False)


def watch(master, **more):
    GroupWatcher(master, "uuid-1", strict=True, now=lambda: 1e9).run(**{"disks": True} | more)


def test_what_is_down_is_started_and_its_state_is_written():
    master = FakeMaster({"web1": "ERROR_down", "web2": "running", "web10": "ADMIN_down", "web3": "USER_down"})
    watch(master)
    assert master.done == [("INSTANCE_STARTUP", "web1"), ("INSTANCE_SHUTDOWN", "web3"), ("GROUP_VERIFY_DISKS", None)]
    text = "web1 running\nweb2 running\nweb3 USER_down\nweb10 ADMIN_down\n"
    assert (paths.here().state / "watcher.uuid-1.instance-status").read_text() == text
    assert (paths.here().run / "instance-status").read_text() == text


def test_a_start_that_fails_is_noted():
    for _ in range(7):
        master = FakeMaster({"web1": "ERROR_down"}, broken=("web1",))
        watch(master, disks=False)
    assert master.done == []
    assert files.read_notes("uuid-1").tries == {"web1": (5, 1e9)}


def test_disks_that_are_not_active_are_activated_once():
    master = FakeMaster({"web1": "ERROR_down", "web2": "running", "web3": "running"},
                        disks=({"n2": "no answer"}, ["web1", "web2", "web3"], {"web3": [["n1", "vg/lv"]]}))
    watch(master)
    assert master.done[2:] == [("INSTANCE_ACTIVATE_DISKS", "web2")]


def test_a_job_that_takes_for_ever_is_left_alone():
    master = NeverEnds({"web1": "ERROR_down"})
    watch(master)
    assert [what for what, _ in master.done] == ["INSTANCE_STARTUP", "GROUP_VERIFY_DISKS"]


def test_notes_that_are_damaged_are_none():
    files.write_notes("uuid-1", Notes(boots={"n1": "x"}))
    assert files.read_notes("uuid-1").boots == {"n1": "x"}
    for text in ("", "{", "[1]", '{"tries": 7}'):
        (paths.here().state / "watcher.uuid-1.data").write_text(text)
        assert files.read_notes("uuid-1") == Notes()


def test_files_of_groups_that_are_gone_are_removed():
    files.write_notes("uuid-1", Notes())
    files.write_states("uuid-2", {"web1": "running"})
    files.forget_groups({"uuid-1"})
    assert [file.name for file in paths.here().state.glob("watcher.*")] == ["watcher.uuid-1.data"]


def test_a_host_that_is_no_member_needs_no_watcher():
    assert program.main([]) == 0
    assert not paths.here().log_file("watcher").exists()


def test_a_second_watcher_does_nothing(monkeypatch):
    paths.here().node_certificate.write_text("")
    monkeypatch.setattr(node, "start_daemons", lambda *names: pytest.fail("it did something"))
    with files.locked(paths.here().watcher_lock):
        assert program.main([]) == 0


def test_a_pause_is_one_until_it_ends():
    assert node.paused_until() == 0
    for text, paused in (("", False), ("1000000\n", False), ("4000000000\n", True), ("soon", False)):
        paths.here().ssconf("watcher_pause").write_text(text)
        assert bool(node.paused_until()) == paused


def test_hooks_run_in_order_of_name(root, caplog):
    folder = paths.here().hooks / "watcher"
    folder.mkdir(parents=True)
    for name, text in (("b", "touch $0.out; exit 1"), ("a", "touch $0.out"), ("c.bak", "touch $0.out")):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    node.run_hooks()
    assert sorted(file.name for file in folder.glob("*.out")) == ["a.out", "b.out"]
    assert "watcher hook b ended with exit status 1" in caplog.text
