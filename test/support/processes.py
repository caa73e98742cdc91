# SPDX-License-Identifier: BSD-2-Clause
"""Processes that a test did not start itself."""

from pathlib import Path

from gantry.utils import retry


def gone(pid):
    """Wait until the process has ended; one that nobody took note of yet counts."""
    return retry.wait_for(lambda: _ended(pid), seconds=20, waits=retry.growing(0.01))


def _ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
