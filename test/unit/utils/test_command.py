# SPDX-License-Identifier: BSD-2-Clause
"""Programs that are listened to while they run."""

import os
import time

import pytest

from gantry.errors import CommandFailed
from gantry.utils import command


def test_what_it_prints_comes_as_it_is_printed() -> None:
    with command.watch(["sh", "-c", "echo one; exec sleep 60"]) as stream:
        assert stream.wait(10) == "one\n"
        assert stream.wait(0.01) == ""


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
