# SPDX-License-Identifier: BSD-2-Clause
"""Node tasks as real processes: they are started once, tell how far they are, outlive their starter, can be ended."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gantry import errors, paths
from gantry.backend import task_record, task_starter, tasks
from gantry.constants import DiskTemplate
from gantry.objects import codec
from gantry.objects.codec import DecodeError
from gantry.objects.instance import Disk
from gantry.utils import clock, command, retry
from support.processes import gone

TEST = Path(__file__).parents[1]


@pytest.fixture
def root(tmp_path, monkeypatch):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("from support import task_calls\ntask_calls.install()\n")
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{TEST}")
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    monkeypatch.setattr(tasks, "GENTLE_SECONDS", 0.5)
    monkeypatch.setattr(tasks, "TERM_SECONDS", 0.5)
    yield tmp_path
    for path in paths.here().tasks.glob("*.json"):
        tasks.task_cancel(path.stem)


def start(name, task="7.0.2"):
    disk = Disk(uuid="d", name=name, dev_type=DiskTemplate.FILE, size=4)
    return tasks.task_start(task=task, call="disk_remove", args={"disk": codec.encode(disk)})


def ended(task="7.0.2"):
    fraction = 0.0
    for _ in range(100):
        status = tasks.task_status(task=task, wait=10, seen=fraction)
        if status.state != "running":
            return status
        fraction = status.fraction
    raise AssertionError(status)


def runs(root):
    return len((root / "count").read_text()) if (root / "count").exists() else 0


def wait_until_it_runs(root):
    assert retry.wait_for(lambda: runs(root) > 0, seconds=20, waits=retry.growing(0.01))


def test_a_task_is_done_once(root):
    assert start("nothing").state == "running"
    assert ended().state == "done"
    assert start("nothing").state == "done"
    assert ended().fraction == 1.0
    assert runs(root) == 1


def server(task):
    """The process that a task was forked from."""
    return int(Path(f"/proc/{task_record.read(task).pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_one_server_starts_all_tasks(root):
    for task in ("7.0.2", "7.0.3"):
        start("sleeps", task=task)
        assert retry.wait_for(lambda name=task: task_record.read(name).pid > 0, seconds=20, waits=retry.growing(0.01))
    assert server("7.0.2") == server("7.0.3")
    assert Path(f"/proc/{server('7.0.2')}/comm").read_text() == "gnt-task-server\n"


def test_a_server_that_was_killed_is_replaced_and_its_tasks_live_on(root):
    start("works")
    wait_until_it_runs(root)
    os.kill(server("7.0.2"), signal.SIGKILL)
    start("nothing", task="7.0.3")
    assert ended("7.0.3").state == "done"
    assert tasks.task_status(task="7.0.2", wait=0, seen=-1).state == "running"
    (root / "go-on").touch()
    assert ended().state == "done"


def test_a_server_that_is_not_needed_ends(root, monkeypatch):
    servers, begin = [], command.start

    def remembered(*args, **more):
        servers.append(begin(*args, **more))
        return servers[-1]

    monkeypatch.setattr(command, "start", remembered)
    monkeypatch.setattr(task_starter, "IDLE_SECONDS", 0.05)
    start("works")
    wait_until_it_runs(root)
    assert servers[0].wait(20) == 0
    start("nothing", task="7.0.3")
    assert ended("7.0.3").state == "done"
    (root / "go-on").touch()
    assert ended().state == "done"


def test_a_daemon_with_many_connections_starts_tasks_too(root):
    """Select(2) knows the first 1024 descriptors only."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        start("nothing")
        assert ended().state == "done"
    finally:
        for handle in kept:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_its_progress_is_seen(root):
    start("works")
    status = tasks.task_status(task="7.0.2", wait=20, seen=0.0)
    while status.fraction < 0.5:
        status = tasks.task_status(task="7.0.2", wait=20, seen=status.fraction)
    assert (status.state, status.message) == ("running", "half")
    assert start("works").state == "running"
    (root / "go-on").touch()
    assert ended().state == "done"
    assert runs(root) == 1


def test_waiting_for_news_ends(root):
    start("sleeps")
    wait_until_it_runs(root)
    assert tasks.task_status(task="7.0.2", wait=0.05, seen=0.0).state == "running"


@pytest.mark.parametrize(("name", "kind", "words"), [
    ("fails", errors.StorageError, "on fire"), ("breaks", errors.Error, "ValueError: a bug")])
def test_a_failure_is_told_and_stays(root, name, kind, words):
    start(name)
    status = ended()
    assert status.state == "failed"
    error = errors.decode(status.error)
    assert type(error) is kind
    assert words in str(error)
    assert start(name).state == "failed"
    assert runs(root) == 1


def test_a_task_killed_is_reported_interrupted_and_starts_anew(root):
    start("works")
    wait_until_it_runs(root)
    os.kill(task_record.read("7.0.2").pid, signal.SIGKILL)
    status = ended()
    assert status.state == "failed"
    assert "interrupted" in str(errors.decode(status.error))
    (root / "go-on").touch()
    assert start("works").state == "running"
    assert ended().state == "done"
    assert runs(root) == 2


def started_script(root):
    """The number of the process of a task's script."""
    start("script")
    file = root / "script"
    assert retry.wait_for(lambda: file.exists() and file.read_text().endswith("\n"), seconds=20,
                          waits=retry.growing(0.01))
    return int(file.read_text())


def test_the_script_of_a_task_killed_is_ended_before_it_can_start_anew(root):
    script = started_script(root)
    os.kill(task_record.read("7.0.2").pid, signal.SIGKILL)
    assert ended().state == "failed"
    assert gone(script)


def test_the_script_of_a_task_killed_by_its_cancellation_ends_with_it(root):
    script = started_script(root)
    os.kill(task_record.read("7.0.2").pid, signal.SIGSTOP)
    assert tasks.task_cancel(task="7.0.2").state == "canceled"
    assert gone(script)


def test_what_a_task_left_is_ended_while_nobody_has_taken_note_of_its_own_end(root):
    shell = ["sh", "-c", "sleep 60 >&2 & echo $!"]
    with subprocess.Popen(shell, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as other:
        left = int(other.stdout.read())
        tasks.end_rest(task_record.Record(task="7.0.2", call="os_create", args={}, pid=other.pid,
                                          started=task_record.process_start(other.pid), boot=task_record.boot_id()))
        assert gone(left)


def test_a_task_outlives_who_started_it(root):
    code = ("from gantry.backend import tasks; import os, signal, sys; sys.path.insert(0, {!r});"
            "tasks.task_start(task='7.0.2', call='disk_remove', args={!r}); os.kill(os.getpid(), signal.SIGKILL)")
    disk = codec.encode(Disk(uuid="d", name="works", dev_type=DiskTemplate.FILE, size=4))
    outcome = command.run([sys.executable, "-c", code.format(str(TEST), {"disk": disk})], seconds=30, may_fail=True)
    assert outcome.status == -signal.SIGKILL, outcome.stderr
    wait_until_it_runs(root)
    assert tasks.task_status(task="7.0.2", wait=0, seen=-1).state == "running"
    (root / "go-on").touch()
    assert ended().state == "done"
    assert runs(root) == 1


def test_a_task_that_reports_progress_is_cancelled_by_it(root):
    start("works")
    wait_until_it_runs(root)
    assert tasks.task_cancel(task="7.0.2").state == "canceled"
    assert (root / "cleaned").exists()
    assert start("works").state == "canceled"


def test_a_task_waiting_for_a_program_is_cancelled_with_it(root):
    start("sleeps")
    wait_until_it_runs(root)
    assert tasks.task_cancel(task="7.0.2").state == "canceled"
    assert (root / "cleaned").exists()


def test_a_task_that_does_not_listen_is_killed(root):
    start("deaf")
    wait_until_it_runs(root)
    status = tasks.task_cancel(task="7.0.2")
    assert status.state == "canceled"
    assert not task_record.lives("7.0.2")


def test_cancelling_what_ended_or_never_was_changes_nothing(root):
    start("nothing")
    ended()
    assert tasks.task_cancel(task="7.0.2").state == "done"
    assert tasks.task_cancel(task="8.0.0").state == "unknown"


def test_only_finished_tasks_are_forgotten(root):
    start("nothing")
    ended()
    start("sleeps", task="7.0.3")
    tasks.task_forget(tasks=["7.0.2", "7.0.3", "9.9.9"])
    assert tasks.task_status(task="7.0.2", wait=10, seen=0).state == "unknown"
    assert tasks.task_status(task="7.0.3", wait=0, seen=-1).state == "running"


@pytest.mark.parametrize("task", ["../etc/passwd", "", ".x", "a/b", "a" * 200, "a\0"])
def test_an_id_must_be_a_plain_name(root, task):
    with pytest.raises(errors.WrongInput, match="not a task's id"):
        start("nothing", task=task)


def test_only_tasks_with_right_arguments_are_started(root):
    with pytest.raises(DecodeError, match="not a task"):
        tasks.task_start(task="1.0.0", call="version", args={})
    with pytest.raises(DecodeError, match="not a task"):
        tasks.task_start(task="1.0.0", call="format_c", args={})
    with pytest.raises(DecodeError, match="wrong arguments"):
        tasks.task_start(task="1.0.0", call="disk_remove", args={"x": 1})
    assert tasks.task_status(task="1.0.0", wait=5, seen=0).state == "unknown"


def test_a_damaged_record_counts_as_none(root):
    start("nothing")
    ended()
    task_record.file("7.0.2").write_text('{"task": ')
    assert tasks.task_status(task="7.0.2", wait=0, seen=0).state == "unknown"
    start("nothing")
    assert ended().state == "done"


def test_a_pid_used_again_by_another_process_is_not_signalled(root):
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        record = task_record.Record(task="7.0.2", call="disk_remove", args={}, pid=other.pid, started=1)
        task_record.write(record, durable=True)
        tasks._signal_group("7.0.2", signal.SIGKILL)
        assert other.poll() is None
        record.started = task_record.process_start(other.pid)
        task_record.write(record, durable=True)
        tasks._signal_group("7.0.2", signal.SIGKILL)
        assert other.wait(10) == -signal.SIGKILL, "its own is"


def test_old_records_are_removed_at_the_start_of_the_daemon(root):
    start("nothing")
    ended()
    start("nothing", task="7.0.3")
    ended("7.0.3")
    old = clock.epoch() - 2 * tasks.KEPT_SECONDS
    os.utime(task_record.file("7.0.2"), (old, old))
    (paths.here().tasks / ".7.0.9.json.half").touch()
    tasks.remove_stale()
    assert {path.stem for path in paths.here().tasks.glob("*.json")} == {"7.0.3"}
    assert not list(paths.here().tasks.glob(".*"))
