# SPDX-License-Identifier: BSD-2-Clause
"""Real taps, on a real bridge, in a network of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gantry import paths
from gantry.constants import HypervisorName
from gantry.errors import HypervisorError
from gantry.net.tap import TapNetwork
from gantry.objects.vm import VmNic, VmSpec
from support import guest_lab

GONE = "77777777-0000-4000-8000-000000000000"
INSIDE = "GANTRY_TEST_NETNS"
pytestmark = pytest.mark.root


@pytest.mark.skipif(INSIDE in os.environ, reason="this is the run inside")
@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="needs root and /dev/net/tun")
def test_in_a_network_of_its_own():
    """Everything below runs in a network namespace that ends with it."""
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    script = 'mount -t sysfs sysfs /sys && ip link set lo up && exec "$@"'
    done = subprocess.run(["unshare", "--net", "--mount", "sh", "-c", script, "sh", *program],
                          env=os.environ | {INSIDE: "1"}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


inside = pytest.mark.skipif(INSIDE not in os.environ, reason="runs inside the namespace")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    return paths.here()


@pytest.fixture
def bridge():
    subprocess.run(["ip", "link", "add", "br0", "mtu", "1400", "type", "bridge"], check=True)
    yield "br0"
    subprocess.run(["ip", "link", "del", "br0"], check=True)


@pytest.fixture
def network():
    return TapNetwork()


def spec(**hvparams) -> VmSpec:
    return VmSpec(uuid="i", name="web1.example.com", hypervisor=HypervisorName.KVM, owner_epoch=1, memory=128,
                  vcpus=2, hvparams=hvparams)


def nic(**facts) -> VmNic:
    return VmNic(**{"uuid": "n", "mac": "aa:00:00:01:02:03", "mode": "bridged", "link": "br0", "pci": 12} | facts)


def links(name: str = "") -> list[dict]:
    argv = ["ip", "-json", "-details", "link", "show", *(["dev", name] if name else [])]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return json.loads(done.stdout or "[]")


def taps() -> list[str]:
    return [link["ifname"] for link in links() if link["ifname"].startswith("tap")]


def close(backend) -> None:
    for fd in backend.fds:
        os.close(fd)


@inside
def test_a_bridged_tap_is_a_port_of_its_bridge(network, here, bridge):
    backend = network.prepare(spec(), nic(), 0, incoming=False)
    (link,) = links(backend.tap)
    assert (link["master"], link["mtu"], link["address"][:2]) == ("br0", 1400, "fe")
    assert "UP" in link["flags"]
    assert (here.kvm / "nic/web1.example.com/0").read_text() == backend.tap + "\n"
    assert backend.netdev == {"type": "tap"}
    close(backend)
    network.down(spec(), nic(), 0, backend.tap)
    network.down(spec(), nic(), 0, backend.tap)
    assert taps() == []
    assert not (here.kvm / "nic/web1.example.com").exists()


@inside
def test_queues_are_descriptors_of_one_tap(network, here, bridge):
    backend = network.prepare(spec(virtio_net_queues=3, vhost_net=True), nic(), 0, incoming=False)
    assert len(backend.fds) == 3
    assert taps() == [backend.tap]
    assert backend.netdev["vhost"] is True
    close(backend)


@inside
def test_a_missing_bridge_leaves_no_tap(network, here):
    with pytest.raises(HypervisorError, match="Failed to configure interface tap"):
        network.prepare(spec(), nic(link="nobridge"), 0, incoming=False)
    assert taps() == []
    assert network.verify([("bridged", "nobridge"), ("routed", "main")]) == ["missing bridge 'nobridge'"]


@inside
def test_vlans_need_a_bridge_that_filters(network, here, bridge):
    with pytest.raises(HypervisorError, match="does not filter VLANs"):
        network.prepare(spec(), nic(vlan=".5"), 0, incoming=False)


@inside
def test_a_routed_tap_has_rule_route_and_settings(network, here):
    backend = network.prepare(spec(), nic(mode="routed", link="100", ip="192.0.2.7"), 0, incoming=False)
    shown = subprocess.run(["ip", "route", "show", "table", "100"], capture_output=True, text=True, check=True).stdout
    assert shown.startswith(f"192.0.2.7 dev {backend.tap} proto static")
    rules = subprocess.run(["ip", "rule"], capture_output=True, text=True, check=True).stdout
    assert rules.count(f"iif {backend.tap} lookup 100") == 1
    assert Path(f"/proc/sys/net/ipv4/conf/{backend.tap}/proxy_arp").read_text() == "1\n"
    network.down(spec(), nic(mode="routed", link="100", ip="192.0.2.7"), 0, backend.tap)
    assert backend.tap not in subprocess.run(["ip", "rule"], capture_output=True, text=True, check=True).stdout
    close(backend)


@inside
def test_a_routed_tap_of_an_incoming_migration_waits(network, here):
    routed = nic(mode="routed", link="", ip="192.0.2.7")
    backend = network.prepare(spec(), routed, 0, incoming=True)
    shown = ["ip", "route", "show", "192.0.2.7"]
    assert subprocess.run(shown, capture_output=True, text=True, check=True).stdout == ""
    for _ in range(2):
        network.finish(spec(), routed, 0, backend.tap)
    assert "proto static" in subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    close(backend)


@inside
def test_a_routed_tap_needs_an_address(network, here):
    with pytest.raises(HypervisorError, match="needs an IP address"):
        network.prepare(spec(), nic(mode="routed", link="main"), 0, incoming=False)
    assert taps() == []


def script(path: Path, text: str, mode: int = 0o755) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@inside
@pytest.mark.parametrize("place", ["etc/gantry/kvm-vif-bridge", "etc/gantry/network/bridged/up",
                                   "usr/lib/ganeti/kvm-ifup"])
def test_a_sites_script_takes_the_place_of_ours(network, here, tmp_path, place):
    script(tmp_path / place, f'#!/bin/sh\necho "$1 $INTERFACE $INSTANCE $MODE" >{tmp_path}/seen\n')
    backend = network.prepare(spec(), nic(link="nobridge"), 0, incoming=False)
    assert (tmp_path / "seen").read_text() == f"{backend.tap} {backend.tap} web1.example.com bridged\n"
    close(backend)


@inside
def test_a_sites_function_library_is_used(network, here, tmp_path):
    script(tmp_path / "usr/lib/ganeti/net-common", mode=0o644,
           text=f'setup_route() {{ echo "route $IP by $INTERFACE $1" >{tmp_path}/seen; }}\n')
    backend = network.prepare(spec(), nic(mode="routed", link="main", ip="192.0.2.7"), 0, incoming=False)
    assert (tmp_path / "seen").read_text().startswith(f"route 192.0.2.7 by {backend.tap}")
    close(backend)


@inside
def test_a_script_that_fails_is_quoted_and_leaves_no_tap(network, here, tmp_path):
    script(tmp_path / "etc/gantry/network/bridged/up", "#!/bin/sh\necho no cable\nexit 4\n")
    with pytest.raises(HypervisorError, match="exited with exit code 4; network configuration script output: no cable"):
        network.prepare(spec(), nic(), 0, incoming=False)
    assert taps() == []


@inside
def test_the_down_script_runs(network, here, tmp_path):
    script(tmp_path / "etc/gantry/network/ext/up", "#!/bin/sh\n")
    script(tmp_path / "etc/gantry/network/ext/down", f'#!/bin/sh\necho "$ACTION $1" >{tmp_path}/seen\n')
    backend = network.prepare(spec(), nic(mode="ext", link="x"), 0, incoming=False)
    network.down(spec(), nic(mode="ext", link="x"), 0, backend.tap)
    assert (tmp_path / "seen").read_text() == f"down {backend.tap}\n"
    close(backend)


@inside
def test_mode_ext_needs_a_script(network, here):
    with pytest.raises(HypervisorError, match="mode 'ext' needs a script"):
        network.prepare(spec(), nic(mode="ext", link="x"), 0, incoming=False)


@inside
@pytest.mark.qemu
@pytest.mark.skipif(not guest_lab.QEMU, reason="qemu-system-x86_64 is not installed")
@pytest.mark.parametrize("queues", [1, 2])
def test_interfaces_of_a_guest_that_runs(qemu, bridge, monkeypatch, queues):
    monkeypatch.setenv("GANTRY_NET", "tap")
    given = guest_lab.GUEST
    second = nic(uuid="88888888-0000-4000-8000-000000000000", mac="aa:00:00:01:02:04", pci=15)
    with qemu.on("n1") as driver:
        driver.start(qemu.spec(hvparams={"virtio_net_queues": queues}), qemu.disks, paused=False)
        qemu.wait_ticks("n1", 1)
        [first] = taps()
        driver.plug_nic(given, second, index=1)
        [other] = set(taps()) - {first}
        assert links(other)[0]["master"] == bridge
        numbers = paths.here().kvm / "nic" / "web1.example.org"
        assert {file.name: file.read_text().strip() for file in numbers.iterdir()} == {"0": first, "1": other}
        driver.unplug_nic(given, qemu.spec().nics[0].uuid)
        assert taps() == [other]
        assert {file.name: file.read_text().strip() for file in numbers.iterdir()} == {"0": other}
        with pytest.raises(HypervisorError, match="nosuch"):
            driver.plug_nic(given, nic(uuid=GONE, pci=16, link="nosuch"), index=1)
        assert taps() == [other]
        assert [item.uuid for item in driver.present(given).nics] == [second.uuid]
        driver.stop(given, seconds=0, progress=guest_lab.quiet)
        assert (taps(), numbers.exists()) == ([], False)
