# SPDX-License-Identifier: BSD-2-Clause
"""Ways into other machines: a virtual node's folder, and SSH to a real daemon of our own."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from gantry import paths
from gantry.bootstrap import transport
from gantry.errors import BadEnvironment, CommandFailed

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
ADDRESS = "127.83.72.1"


@pytest.fixture(scope="module")
def port():
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory, port):
    """A daemon with keys of its own, and a home folder from which it can be reached."""
    if SSHD is None or shutil.which("ssh-keygen") is None or os.geteuid() != 0:
        pytest.skip("needs root, sshd and ssh-keygen (apt-get install openssh-server)")
    home = tmp_path_factory.mktemp("home")
    (home / ".ssh").mkdir(mode=0o700)
    for key in ("host", ".ssh/id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / key)], check=True)
    (home / "config").write_text(
        f"ListenAddress {ADDRESS}\nPort {port}\nHostKey {home}/host\nAuthorizedKeysFile {home}/.ssh/id_ed25519.pub\n"
        "StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPidFile none\n"
        "Subsystem sftp internal-sftp\n")
    host_key = " ".join((home / "host.pub").read_text().split()[:2])
    (home / ".ssh/known_hosts").write_text(f"[{ADDRESS}]:{port} {host_key}\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    with (home / "log").open("w") as log, subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(home / "config")], stderr=log) as daemon:
        for _ in range(200):
            if daemon.poll() is not None:
                pytest.skip(f"sshd does not run here: {(home / 'log').read_text()[-300:]}")
            with socket.socket() as probe:
                if probe.connect_ex((ADDRESS, port)) == 0:
                    break
            time.sleep(0.05)
        yield home
        daemon.terminate()


@pytest.fixture(params=["virtual", "ssh"])
def way(request, tmp_path, monkeypatch, port):
    """(the way, where its files are as seen from here)."""
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path / "own") if request.param == "virtual" else "/")
    if request.param == "virtual":
        there = tmp_path / "other"
        with transport.VirtualTransport(there) as found:
            yield found, lambda path: there / path.relative_to(tmp_path / "own" if path.is_relative_to(
                tmp_path / "own") else "/")
        return
    home = request.getfixturevalue("sshd")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with transport.connect("elsewhere", ADDRESS, ssh_port=port) as found:
        yield found, lambda path: path


@pytest.mark.parametrize("data", ["text \u00e4\n", b"\x00\xff bytes", ""])
def test_a_file_is_written_whole_with_its_mode_and_again(way, tmp_path, data):
    found, at = way
    path = (paths.here().root if str(paths.here().root) != "/" else tmp_path) / "new folder/file"
    for mode in (0o400, 0o644):
        found.write(path, data, mode=mode)
        there = at(path)
        assert there.read_bytes() == (data.encode() if isinstance(data, str) else data)
        assert there.stat().st_mode & 0o777 == mode
    assert [entry.name for entry in at(path).parent.iterdir()] == ["file"]
    if isinstance(data, str):
        assert found.read(path) == data
    assert found.read(path.with_name("nosuch")) is None


def test_a_file_that_cannot_be_written_is_said(way, tmp_path):
    found, at = way
    at(tmp_path).mkdir(parents=True, exist_ok=True)
    (at(tmp_path) / "plain").write_text("")
    with pytest.raises((BadEnvironment, CommandFailed)):
        found.write(tmp_path / "plain" / "below", "x", mode=0o600)


def test_programs_and_command_lines_run(way):
    found, _ = way
    assert found.run(["printf", "%s|", "a b", "$HOME"], seconds=20).stdout == "a b|$HOME|"
    done = found.shell("echo out; echo err >&2; exit 7", seconds=20)
    assert (done.status, done.stdout, done.stderr) == (7, "out\n", "err\n")
    with pytest.raises(CommandFailed, match="7"):
        found.run(["sh", "-c", "exit 7"], seconds=20)
    with pytest.raises(CommandFailed):
        found.shell("sleep 30", seconds=0.3)


def test_a_host_key_that_is_not_known_is_refused_unless_told_otherwise(sshd, monkeypatch, port):
    monkeypatch.setenv("HOME", str(sshd))
    monkeypatch.setenv("GANTRY_ROOT", "/")
    known = sshd / ".ssh/known_hosts"
    text = known.read_text()
    known.write_text("")
    try:
        with pytest.raises(BadEnvironment, match="cannot log in to root@"):
            transport.connect("elsewhere", ADDRESS, ssh_port=port)
        with transport.connect("elsewhere", ADDRESS, ssh_port=port, check_key=False) as found:
            assert found.shell("true", seconds=20).status == 0
    finally:
        known.write_text(text)


def test_a_key_that_is_not_accepted_and_a_machine_that_is_not_there(sshd, monkeypatch, port, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GANTRY_ROOT", "/")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(BadEnvironment, match="without a password"):
        transport.connect("elsewhere", ADDRESS, ssh_port=port, check_key=False)
    with pytest.raises(BadEnvironment, match="cannot log in"):
        transport.connect("elsewhere", "127.83.72.2", ssh_port=port)
