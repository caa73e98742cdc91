# SPDX-License-Identifier: BSD-2-Clause
"""Commands for taps, and what a site's network script sees."""

import pytest

from gantry.constants import HypervisorName
from gantry.net import tap_cmd
from gantry.net.base import Network
from gantry.net.user import UserNetwork
from gantry.net.vlan import Vlan
from gantry.objects.vm import VmNic, VmSpec

SPEC = VmSpec(uuid="i", name="web1.example.com", hypervisor=HypervisorName.KVM, owner_epoch=1, memory=128, vcpus=1,
              tags=("a", "b"))


def nic(**facts) -> VmNic:
    return VmNic(**{"uuid": "n", "mac": "aa:00:00:01:02:03", "mode": "bridged", "link": "br0", "pci": 12} | facts)


def joined(commands) -> list[str]:
    return [" ".join(argv) for argv in commands]


def test_a_bridged_tap_never_gives_the_bridge_its_address():
    assert joined(tap_cmd.bridged("tap0", "5a:11:22:33:44:55", {"ifname": "br0", "mtu": 9000})) == [
        "ip link set dev tap0 address fe:11:22:33:44:55", "ip link set dev tap0 up",
        "ip link set dev tap0 mtu 9000", "ip link set dev tap0 master br0"]


def test_vlans_of_a_bridge_are_tagged_on_its_other_ports():
    assert joined(tap_cmd.bridge_vlans("tap0", Vlan(5, (7,)), ["eth0"])) == [
        "bridge vlan add dev tap0 vid 5 pvid untagged", "bridge vlan add dev eth0 vid 5",
        "bridge vlan add dev tap0 vid 7", "bridge vlan add dev eth0 vid 7"]


@pytest.mark.parametrize(("vlan", "options"), [
    (Vlan(), ""), (Vlan(5), " tag=5"), (Vlan(None, (7, 9)), " trunks=7,9"), (Vlan(5, (7,)), " tag=5 trunks=7")])
def test_a_switch_takes_tag_and_trunks(vlan, options):
    assert joined(tap_cmd.switched("tap0", "sw", vlan)) == [
        "ovs-vsctl --if-exists del-port tap0", "ip link set dev tap0 up", f"ovs-vsctl add-port sw tap0{options}"]


@pytest.mark.parametrize(("ip", "table", "commands"), [
    ("192.0.2.7", "main", ["ip -4 rule add dev tap0 table main",
                           "ip -4 route replace 192.0.2.7 dev tap0 table main proto static"]),
    ("192.0.2.7", "", ["ip -4 route replace 192.0.2.7 dev tap0 proto static"]),
    ("2001:db8::7", "", ["ip -6 route replace 2001:db8::7 dev tap0 proto static"])])
def test_routes_are_static_ones(ip, table, commands):
    assert joined(tap_cmd.routed("tap0", ip, table)) == commands


def test_scripts_see_what_there_is_and_nothing_else():
    assert tap_cmd.environment(SPEC, nic(), 0, "tap3", "/usr/bin:/sbin") == {
        "PATH": "/usr/bin:/sbin:/usr/sbin", "INTERFACE": "tap3", "INTERFACE_INDEX": "0", "INTERFACE_UUID": "n",
        "INSTANCE": "web1.example.com", "MAC": "aa:00:00:01:02:03", "MODE": "bridged", "VLAN": "", "TAGS": "a b",
        "LINK": "br0", "BRIDGE": "br0"}


def test_scripts_see_the_network():
    env = tap_cmd.environment(SPEC, nic(mode="routed", link="main", ip="192.0.2.7", name="eth0",
                                        network={"name": "prod", "subnet": "192.0.2.0/24", "gateway6": ""}),
                              1, "tap0", "/bin")
    assert env["NETWORK_NAME"] == "prod"
    assert env["NETWORK_SUBNET"] == "192.0.2.0/24"
    assert (env["IP"], env["INTERFACE_NAME"], env["INTERFACE_INDEX"]) == ("192.0.2.7", "eth0", "1")
    assert not {"NETWORK_GATEWAY6", "BRIDGE"} & env.keys()


def test_a_vlan_device_on_a_real_link_is_in_the_way():
    devices = [{"ifname": "eth0.5", "link": "eth0", "linkinfo": {"info_data": {"id": 5}}},
               {"ifname": "veth1.5", "link": "veth1", "linkinfo": {"info_data": {"id": 5}}},
               {"ifname": "eth0.6", "link": "eth0", "linkinfo": {"info_data": {"id": 6}}}]
    assert tap_cmd.vlan_devices_in_use(Vlan(5), devices, ["veth1"]) == ["eth0.5"]


def test_links_that_ip_does_not_find_are_none():
    assert tap_cmd.parse_links("") == []
    assert tap_cmd.parse_links('[{},{"ifname":"br0"}]') == [{"ifname": "br0"}]


def test_user_networking_is_cut_off():
    driver: Network = UserNetwork()
    backend = driver.prepare(SPEC, nic(), 0, incoming=False)
    assert backend.netdev == {"type": "user", "restrict": True}
    assert (backend.fds, backend.tap, driver.verify([("bridged", "br0")])) == ((), "", [])
