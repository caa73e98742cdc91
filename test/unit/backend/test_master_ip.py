# SPDX-License-Identifier: BSD-2-Clause
"""The cluster's address on a node: what is run, and when nothing is."""

import socket
from types import SimpleNamespace

import pytest

from gantry import paths
from gantry.backend import master_ip
from gantry.errors import CommandFailed, HooksAbort, NotFound, WrongState

ADDRESS = "192.0.2.100"


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Commands that were run, on a node with eth0 (192.0.2.1) and lo; nobody answers on the network."""
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    found = SimpleNamespace(commands=[], addresses={"lo": ["127.0.0.1"], "eth0": ["192.0.2.1"]}, answers=False)

    def run(argv, *, seconds, env):
        found.commands.append(argv)
        if argv[0] in ("arping", "ndisc6"):
            raise CommandFailed(command=argv[0], status="none", output="no such program")
    monkeypatch.setattr("gantry.backend.master_ip.command.run", run)
    monkeypatch.setattr("gantry.backend.master_ip.psutil.net_if_addrs", lambda: {
        device: [SimpleNamespace(family=socket.AF_INET, address=item) for item in items]
        for device, items in found.addresses.items()})
    monkeypatch.setattr("gantry.backend.master_ip._answers", lambda address: found.answers)
    return found


def start(address=ADDRESS, netdev="eth0", external=False):
    master_ip.master_ip_start(netdev=netdev, address=address, netmask=32, external=external)


def stop(address=ADDRESS, netdev="eth0", external=False):
    master_ip.master_ip_stop(netdev=netdev, address=address, netmask=32, external=external)


def test_it_is_added_and_announced(ran):
    start()
    assert ran.commands == [
        ["ip", "address", "add", "192.0.2.100/32", "dev", "eth0", "label", "eth0:0", "preferred_lft", "0"],
        ["arping", "-q", "-U", "-c", "3", "-I", "eth0", "-s", ADDRESS, ADDRESS]]


def test_ipv6_has_no_label(ran):
    start("2001:db8::1")
    assert ran.commands == [["ip", "address", "add", "2001:db8::1/32", "dev", "eth0", "preferred_lft", "0"],
                            ["ndisc6", "-q", "-r", "3", "2001:db8::1", "eth0"]]


def test_what_is_there_is_left_alone(ran):
    ran.addresses["eth0"].append(ADDRESS)
    start()
    assert ran.commands == []
    stop()
    assert ran.commands == [["ip", "address", "del", "192.0.2.100/32", "dev", "eth0"]]


def test_what_is_not_there_need_not_go(ran):
    stop()
    assert ran.commands == []


def test_loopback_addresses_are_always_there(ran):
    start("127.1.2.3", "lo")
    stop("127.1.2.3", "lo")
    assert ran.commands == []


def test_refusals(ran):
    with pytest.raises(NotFound, match="eth7"):
        start(netdev="eth7")
    ran.addresses["eth1"] = [ADDRESS]
    with pytest.raises(WrongState, match="on device eth1 here, not on eth0"):
        stop()
    del ran.addresses["eth1"]
    ran.answers = True
    with pytest.raises(WrongState, match="another host answers"):
        start()
    assert ran.commands == []


def hook(name, text):
    script = paths.here().hooks / name / "look"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)


def test_hooks_see_the_address_and_may_forbid_it(ran, tmp_path):
    told = tmp_path / "told"
    hook("master-ip-turnup-post.d", f'echo "$GANETI_OP_CODE $GANETI_MASTER_IP $GANETI_CLUSTER_IP_VERSION" > {told}')
    start()
    assert told.read_text() == "OP_CLUSTER_IP_TURNUP 192.0.2.100 4\n"
    hook("master-ip-turnup-pre.d", "echo no; exit 1")
    ran.commands.clear()
    with pytest.raises(HooksAbort):
        start()
    assert ran.commands == []


def test_the_site_has_its_own_script(ran, tmp_path):
    with pytest.raises(NotFound, match="master-ip-setup"):
        start(external=True)
    script = paths.here().etc / "scripts" / "master-ip-setup"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    start(external=True)
    stop(external=True)
    assert ran.commands == [[str(script), "start"], [str(script), "stop"]]
