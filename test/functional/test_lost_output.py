# SPDX-License-Identifier: BSD-2-Clause
"""Programs whose output cannot be written, or that nobody reads: a sentence or silence, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
GANETI = ("gnt-cluster", "gnt-node", "gnt-group", "gnt-instance", "gnt-job", "gnt-os", "gnt-debug", "gnt-backup",
          "gnt-network", "gnt-storage", "gnt-filter")
BALANCER = ("hbal", "hail", "hspace", "hcheck", "hinfo", "hroller", "hscan", "hsqueeze", "harep")
LONG = ("gnt-instance", "add", "--help")
"""More than a buffer full."""


def start(argv: tuple[str, ...], **streams: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / argv[0]), *argv[1:]], text=True, check=False, timeout=60,
                          stdin=subprocess.DEVNULL, **streams)  # type: ignore[call-overload]


@pytest.mark.parametrize("argv", [*((name, "--help") for name in (*GANETI, *BALANCER)), LONG,
                                  ("gnt-cluster", "--version")], ids=" ".join)
def test_a_full_disk_is_told_in_a_sentence(argv: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = start(argv, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert "output cannot be written: No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("argv", [("gnt-node", "--help"), ("hbal", "--help"), LONG], ids=" ".join)
def test_a_reader_that_has_gone_is_no_news(argv: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = start(argv, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("argv", [("gnt-node", "--help"), ("hbal", "--help"), LONG, ("gnt-cluster", "--version")],
                         ids=" ".join)
def test_closed_streams_stop_nothing(argv: tuple[str, ...]) -> None:
    shell = ("/bin/sh", "-c", 'exec "$0" "$@" <&- >&-', str(BIN / argv[0]), *argv[1:])
    done = subprocess.run(shell, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    quiet = ("/bin/sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', str(BIN / argv[0]), *argv[1:])
    assert subprocess.run(quiet, check=False, timeout=60).returncode == 0


def test_errors_are_told_where_the_output_is_closed() -> None:
    shell = ("/bin/sh", "-c", 'exec "$0" "$@" >&-', str(BIN / "gnt-node"), "list", "--nonsense")
    done = subprocess.run(shell, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "no such option: --nonsense" in done.stderr


CLUSTER = """group-01|uuid-01|preferred||

node1|4096|0|4096|102400|81920|4|M|uuid-01|1||N|0|1|1.0
node2|4096|0|4096|102400|81920|4|N|uuid-01|1||N|0|1|1.0

web1|128|1024|1|running|Y|node1|node2|drbd||1|-|N
web2|128|1024|1|running|Y|node1|node2|drbd||1|-|N


|128,1,1024,1,1,1|128,1,1024,1,1,1;32768,8,1048576,16,8,12|drbd|4.0|32.0
"""


def test_what_was_found_before_an_error_is_told(tmp_path: Path) -> None:
    data = tmp_path / "cluster"
    data.write_text(CLUSTER)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = start(("hbal", "-t", str(data), f"-C{tmp_path}/none/commands"), env=buffered, stdout=subprocess.PIPE,
                 stderr=subprocess.STDOUT)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[-2] == "Solution length=1"
    assert lines[-1].startswith(f"Error: Cannot write the commands to '{tmp_path}/none/commands'")
