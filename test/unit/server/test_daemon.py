# SPDX-License-Identifier: BSD-2-Clause
"""Around a daemon's work: one at a time, a sentence when it cannot start, a clean end."""

import os
import signal
import subprocess
import sys

import pytest

from gantry import paths
from gantry.errors import BadEnvironment
from gantry.server import daemon
from support.processes import gone

CODE = '''
import sys, threading, time
from gantry.server import daemon

def serve(options, control):
    if options.fail:
        raise daemon.NodeSetupError(detail="the node has no legs")
    if options.break_:
        raise ValueError("a bug")
    stopped = threading.Event()
    control.on_stop(stopped.set)
    if options.linger:
        threading.Thread(target=time.sleep, args=(60,)).start()
    print("from a library", file=sys.stderr)
    control.ready()
    stopped.wait()
    return 0

def add(parser):
    parser.add_argument("--fail", action="store_true")
    parser.add_argument("--break", dest="break_", action="store_true")
    parser.add_argument("--linger", action="store_true")

sys.exit(daemon.main(daemon.Program("gnt-testd", "Tests.", serve, add)))
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    yield paths.here()
    pid = read_pid(paths.here())
    if pid:
        os.kill(pid, signal.SIGKILL)


def read_pid(here):
    path = here.pid_file("gnt-testd")
    return int(path.read_text()) if path.exists() and path.read_text() else 0


def start(*options):
    return subprocess.run([sys.executable, "-c", CODE, *options], check=False, capture_output=True, text=True,
                          timeout=30)


def log_text(here):
    return here.log_file("gnt-testd").read_text()


def test_it_runs_in_the_background_and_stops_when_told(here):
    done = start()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid = read_pid(here)
    os.kill(pid, signal.SIGTERM)
    assert gone(pid)
    assert not here.pid_file("gnt-testd").exists()
    assert "gnt-testd ends" in log_text(here)
    assert "from a library" in log_text(here)


def test_a_second_one_is_refused_with_a_sentence(here):
    start()
    done = start()
    assert done.returncode == 1
    assert f"gnt-testd runs already, as process {read_pid(here)}" in done.stderr


@pytest.mark.parametrize("foreground", [[], ["-f"]])
def test_a_failed_start_says_why_and_has_the_right_status(here, foreground):
    done = start("--fail", *foreground)
    assert done.returncode == 12
    assert "the node has no legs" in done.stderr
    assert "Traceback" not in done.stderr
    assert not here.pid_file("gnt-testd").exists()


def test_a_bug_at_the_start_is_in_the_log(here):
    done = start("--break")
    assert done.returncode == 1
    assert "ValueError: a bug" in done.stderr
    assert "Traceback" in log_text(here)


def test_work_that_lingers_does_not_keep_it_from_ending(here):
    start("--linger")
    pid = read_pid(here)
    os.kill(pid, signal.SIGTERM)
    assert gone(pid)


def test_after_a_hard_kill_it_starts_again(here):
    start()
    pid = read_pid(here)
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert start().returncode == 0
    assert read_pid(here) not in (0, pid)


def test_a_log_that_was_moved_away_is_opened_anew(here):
    start()
    pid = read_pid(here)
    here.log_file("gnt-testd").rename(here.log / "old")
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGTERM)
    assert gone(pid)
    assert "gnt-testd ends" in log_text(here)


def test_folders_and_files_are_narrow(here):
    start()
    for folder, mode in ((here.state, 0o750), (here.log, 0o750), (here.sockets, 0o770)):
        assert folder.stat().st_mode & 0o777 == mode
    assert here.log_file("gnt-testd").stat().st_mode & 0o007 == 0


def test_the_version_is_told():
    done = start("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("gnt-testd (ganeti ")


def test_a_pid_file_is_held_by_one(here):
    here.run.mkdir(parents=True)
    path = here.pid_file("gnt-testd")
    with daemon.PidFile(path, "gnt-testd"):
        assert path.read_text() == f"{os.getpid()}\n"
        with pytest.raises(BadEnvironment, match="runs already"), daemon.PidFile(path, "gnt-testd"):
            pass
    assert not path.exists()
