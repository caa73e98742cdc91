# SPDX-License-Identifier: BSD-2-Clause
"""The small guest's OS definition: valid, and its scripts do what they say to a disk."""

import subprocess
from pathlib import Path

import pytest

from gantry.backend import osfiles
from vcluster import guestkit

FOLDER = guestkit.INIT.parent


@pytest.fixture
def disk(tmp_path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(b"\xff" * 2048 + bytes(4096))
    return path


def run(script: str, *arguments: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([FOLDER / script, *arguments], cwd=FOLDER, input=stdin, capture_output=True, check=False,
                          env={"PATH": "/sbin:/bin:/usr/sbin:/usr/bin", "INSTANCE_NAME": "web1.example.com"} | env)


def sectors(disk: Path) -> list[str]:
    data = disk.read_bytes()
    return [data[at:at + 512].rstrip(b"\0").decode() for at in (0, 512, 1024)]


def test_the_definition_is_valid():
    found = osfiles.read(FOLDER)
    assert (found.problem, found.api_versions, found.trusted) == ("", (20,), True)
    assert [name for name, _ in found.parameters] == ["ticks", "banner"]


def test_create_writes_the_header_and_nothing_behind_it(disk):
    done = run("create", DISK_COUNT="1", DISK_0_PATH=str(disk), OSP_TICKS="2", OSP_BANNER="hi there")
    assert done.returncode == 0, done.stderr
    assert sectors(disk) == ["GANTRY-GUEST v1\nname=web1.example.com\nticks=2\nbanner=hi there\n", "0\n", "0\n"]
    assert disk.read_bytes()[1536:] == b"\xff" * 512 + bytes(4096)


@pytest.mark.parametrize(("env", "says"), [
    ({}, "has no disk"), ({"DISK_COUNT": "1"}, "has no path"),
    ({"DISK_COUNT": "1", "DISK_0_PATH": "/nowhere/disk"}, "is missing: /nowhere/disk"),
    ({"DISK_COUNT": "1", "DISK_0_PATH": "/proc/version", "DISK_0_ACCESS": "ro"}, "is read-only")])
def test_create_without_a_usable_disk_fails_with_a_sentence(env, says):
    done = run("create", **env)
    assert done.returncode == 1
    assert says in done.stderr.decode()


def test_rename_keeps_boots_and_ticks(disk):
    run("create", DISK_COUNT="1", DISK_0_PATH=str(disk))
    with disk.open("r+b") as file:
        file.seek(512)
        file.write(b"7\n")
    done = run("rename", DISK_COUNT="1", DISK_0_PATH=str(disk), OLD_INSTANCE_NAME="web1.example.com",
               INSTANCE_NAME="web2.example.com")
    assert done.returncode == 0, done.stderr
    assert "name=web2.example.com\n" in sectors(disk)[0]
    assert sectors(disk)[1:] == ["7\n", "0\n"]


def test_an_export_can_be_imported_under_another_name(disk, tmp_path):
    run("create", DISK_COUNT="1", DISK_0_PATH=str(disk))
    dump = run("export", EXPORT_DISK_PATH=str(disk)).stdout
    assert dump == disk.read_bytes()
    copy = tmp_path / "copy"
    copy.write_bytes(bytes(len(dump)))
    done = run("import", stdin=dump, DISK_COUNT="1", DISK_0_PATH=str(copy), IMPORT_DISK_PATH=str(copy),
               IMPORT_INDEX="0", INSTANCE_NAME="web3")
    assert done.returncode == 0, done.stderr
    assert "name=web3\n" in sectors(copy)[0]
    assert copy.read_bytes()[512:] == dump[512:]


@pytest.mark.parametrize("env", [{}, {"OSP_TICKS": "1"}, {"OSP_TICKS": "3600", "OSP_BANNER": "hello"}])
def test_good_parameters_are_accepted(env):
    assert run("verify", "parameters", **env).returncode == 0


@pytest.mark.parametrize("env", [{"OSP_TICKS": "0"}, {"OSP_TICKS": "soon"}, {"OSP_TICKS": "3601"},
                                 {"OSP_TICKS": "99999999999999999999"}, {"OSP_BANNER": "x" * 201},
                                 {"OSP_BANNER": "x\nname=y"}])
def test_bad_parameters_are_refused_with_a_sentence(env):
    done = run("verify", "parameters", **env)
    assert done.returncode != 0
    assert done.stderr.startswith(b"gantry-guest: parameter")
