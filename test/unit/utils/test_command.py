# SPDX-License-Identifier: BSD-2-Clause
"""Programs that are listened to while they run."""

import os
import sys
import time
from pathlib import Path

import pytest

from gantry.errors import CommandFailed
from gantry.utils import command, retry


def test_what_it_prints_comes_as_it_is_printed() -> None:
    with command.watch(["sh", "-c", "echo one; exec sleep 60"]) as stream:
        assert stream.wait(10) == "one\n"
        assert stream.wait(0.01) == ""


def test_a_daemon_with_many_connections_hears_it_too() -> None:
    """Select(2) knows the first 1024 descriptors only."""
    code = ("import os, resource, sys\nfrom gantry.utils import command\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
            "kept = [os.open('/dev/null', os.O_RDONLY) for _ in range(1100)]\n"
            "with command.watch(['echo', 'one']) as stream:\n    print(stream.wait(10), stream.wait(0.01), end='')\n")
    assert command.run([sys.executable, "-c", code], seconds=30).stdout == "one\n "


def test_it_is_ended_with_the_block() -> None:
    with command.watch(["sh", "-c", "echo $$; exec sleep 60"]) as stream:
        pid = int(stream.wait(10))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_nothing_comes_of_one_that_has_ended_and_nobody_spins() -> None:
    with command.watch(["true"]) as stream:
        assert stream.wait(10) == ""
        before = time.monotonic()
        assert stream.wait(0.05) == ""
        assert time.monotonic() - before >= 0.05


def test_one_that_cannot_be_started_is_told() -> None:
    with pytest.raises(CommandFailed, match="/no/such"), command.watch(["/no/such"]):
        pass


def test_it_ends_with_the_thread_that_watches() -> None:
    """A daemon may end with a thread in the middle of its watching."""
    code = ("import threading\nfrom gantry.utils import command\n"
            "def watch():\n    with command.watch(['sleep', '60']) as stream:\n"
            "        print(stream._process.pid, flush=True)\n        stream.wait(60)\n"
            "threading.Thread(target=watch, daemon=True).start()\nimport time\ntime.sleep(1)\n")
    said = command.run([sys.executable, "-c", code], seconds=30).stdout
    assert retry.wait_for(lambda: not Path(f"/proc/{int(said)}").exists(), seconds=10, waits=retry.growing(0.01))
