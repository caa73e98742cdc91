# SPDX-License-Identifier: BSD-2-Clause
"""Networks: add, modify, connect, disconnect, rename, remove.  The world has `office`, 203.0.113.0/29, in `default`."""

from dataclasses import replace

import pytest

from gantry.cmdlib.network_add import NetworkAddUnit
from gantry.cmdlib.network_connect import NetworkConnectUnit
from gantry.cmdlib.network_disconnect import NetworkDisconnectUnit
from gantry.cmdlib.network_remove import NetworkRemoveUnit
from gantry.cmdlib.network_rename import NetworkRenameUnit
from gantry.cmdlib.network_set_params import NetworkSetParamsUnit
from gantry.errors import AlreadyExists, NotUnique, ParameterError, WrongInput, WrongState
from gantry.objects.instance import Nic
from gantry.opcodes.network import (
    NetworkAdd,
    NetworkConnect,
    NetworkDisconnect,
    NetworkRemove,
    NetworkRename,
    NetworkSetParams,
)
from support.cluster_world import ClusterWorld, config
from support.cuts import check_every_cut, run
from support.guest_world import disk, instance
from support.view import look, plan_of

CONNECT = {"group_name": "rack-g2", "network_name": "office", "network_mode": "bridged", "network_link": "br9"}


def world(*nics):
    web = instance()
    return ClusterWorld(config(replace(web, nics=nics or web.nics), disks=(disk(),), more_groups=("g2",)))


def nic(ip, network=None):
    return Nic(uuid="c9", mac="aa:00:00:00:00:09", ip=ip, network=network)


def office(here):
    return here.config.network("office")


# --- add ---


def test_add_reserves_what_nodes_and_the_cluster_use():
    here = world()
    unit, seen, view = look(NetworkAddUnit, NetworkAdd, here, network_name="lan", network="192.0.2.0/25",
                            gateway="192.0.2.120", add_reserved_ips=["192.0.2.50", "192.0.2.120"],
                            mac_prefix="AA:BB:CC", tags=["red"])
    run(here, unit.plan(seen))
    made = here.config.network("lan")
    assert made.ext_reservations == (1, 2, 3, 50, 100), "the gateway is taken without that"
    assert (made.mac_prefix, made.tags) == ("aa:bb:cc", frozenset({"red"}))
    assert any("192.0.2.2 of node node2" in line for line in view.lines)
    hooks = unit.hooks(seen)
    assert hooks.pre_nodes == hooks.post_nodes == ("n1",)
    assert hooks.env == {"NETWORK_NAME": "lan", "NETWORK_SUBNET": "192.0.2.0/25", "NETWORK_GATEWAY": "192.0.2.120",
                         "NETWORK_MAC_PREFIX": "aa:bb:cc", "NETWORK_TAGS": "red"}


def test_add_without_conflicts_check_reserves_nothing():
    here = world()
    unit, seen, view = look(NetworkAddUnit, NetworkAdd, here, network_name="lan", network="192.0.2.0/25",
                            conflicts_check=False)
    assert seen.network.ext_reservations == ()
    assert unit.locks(view).shared == {}


@pytest.mark.parametrize(("fields", "error", "text"), [
    ({"network_name": "office"}, AlreadyExists, "already exists"),
    ({"gateway": "192.0.2.200"}, WrongInput, "not in the subnet"),
    ({"gateway6": "2001:db8::1"}, WrongInput, "needs an IPv6 subnet"),
    ({"network6": "2001:db8::/64", "gateway6": "2001:db9::1"}, WrongInput, "not in the subnet"),
    ({"mac_prefix": "zz"}, WrongInput, "Invalid MAC prefix"),
    ({"add_reserved_ips": ["198.51.100.1"]}, WrongInput, "not in the subnet"),
    ({"network": "192.0.2.0/8"}, ParameterError, "subnet"),
])
def test_add_refusals(fields, error, text):
    with pytest.raises(error, match=text):
        look(NetworkAddUnit, NetworkAdd, world(), **{"network_name": "lan", "network": "192.0.2.0/25", **fields})


# --- modify ---


def modify(here, **fields):
    unit, seen, view = look(NetworkSetParamsUnit, NetworkSetParams, here, network_name="office", **fields)
    run(here, unit.plan(seen))
    return view.lines


def test_addresses_that_cannot_be_reserved_or_released_are_warnings():
    here = world(nic("203.0.113.3", "w1"))
    lines = modify(here, add_reserved_ips=["203.0.113.2", "203.0.113.1", "203.0.113.3", "192.0.2.1"])
    assert office(here).ext_reservations == (2,)
    assert [line.split(":")[1].split()[-1] for line in lines] == ["203.0.113.1", "203.0.113.3", "192.0.2.1"]
    lines = modify(here, remove_reserved_ips=["203.0.113.2", "203.0.113.1", "203.0.113.4"])
    assert office(here).ext_reservations == ()
    assert "it is the gateway" in lines[0]
    assert len(lines) == 2


def test_the_gateway_can_be_changed_and_dropped():
    here = world()
    modify(here, gateway="203.0.113.6")
    assert office(here).gateway == "203.0.113.6"
    modify(here, gateway="none", mac_prefix="AA:BB:CC")
    assert (office(here).gateway, office(here).mac_prefix) == (None, "aa:bb:cc")


def test_modify_refusals():
    with pytest.raises(WrongInput, match="at least one"):
        modify(world())
    with pytest.raises(WrongInput, match="same call"):
        modify(world(), gateway="203.0.113.6", add_reserved_ips=["203.0.113.2"])
    with pytest.raises(NotUnique, match="by instance web1"):
        modify(world(nic("203.0.113.3", "w1")), gateway="203.0.113.3")
    with pytest.raises(WrongInput, match="not in the subnet"):
        modify(world(), gateway="192.0.2.1")


def test_modify_to_what_it_is_does_nothing():
    plan = plan_of(NetworkSetParamsUnit, NetworkSetParams, world(), network_name="office", gateway="203.0.113.1")
    assert plan.steps == ()


# --- connect, disconnect ---


def test_connect_and_disconnect():
    here = world()
    unit, seen, _ = look(NetworkConnectUnit, NetworkConnect, here, **CONNECT, network_vlan="5")
    run(here, unit.plan(seen))
    assert here.config.group("rack-g2").networks == {"w1": {"mode": "bridged", "link": "br9", "vlan": ".5"}}
    assert unit.hooks(seen).env == {"GROUP_NAME": "rack-g2", "GROUP_NETWORK_MODE": "bridged",
                                    "GROUP_NETWORK_LINK": "br9", "GROUP_NETWORK_VLAN": ".5"}
    again, seen, view = look(NetworkConnectUnit, NetworkConnect, here, **CONNECT)
    assert again.plan(seen).steps == ()
    assert "already connected" in view.lines[0]
    run(here, plan_of(NetworkDisconnectUnit, NetworkDisconnect, here, group_name="rack-g2", network_name="office"))
    assert here.config.group("rack-g2").networks == {}
    assert "w1" in here.config.group("default").networks
    unit, seen, view = look(NetworkDisconnectUnit, NetworkDisconnect, here, group_name="rack-g2",
                            network_name="office")
    assert unit.plan(seen).steps == ()
    assert "not connected" in view.lines[0]


def test_connect_refuses_addresses_in_use():
    here = world(nic("203.0.113.3"))
    here.config.replace("nodegroups", replace(here.config.groups["g1"], networks={}))
    fields = {**CONNECT, "group_name": "default"}
    with pytest.raises(WrongState, match=r"web1/nic0 \(203.0.113.3\)"):
        look(NetworkConnectUnit, NetworkConnect, here, **fields)
    run(here, plan_of(NetworkConnectUnit, NetworkConnect, here, **fields, conflicts_check=False))
    assert "w1" in here.config.group("default").networks


def test_disconnect_refuses_what_is_used():
    with pytest.raises(WrongState, match="the instances web1 have interfaces"):
        look(NetworkDisconnectUnit, NetworkDisconnect, world(nic("203.0.113.3", "w1")), group_name="default",
             network_name="office")


# --- rename, remove ---


def test_rename():
    here = world()
    unit, seen, _ = look(NetworkRenameUnit, NetworkRename, here, network_name="office", new_name="hq")
    assert run(here, unit.plan(seen)) == "hq"
    assert here.config.network("hq").uuid == "w1"
    assert unit.hooks(seen).pre_nodes == ("n1", "n2", "n3")
    with pytest.raises(AlreadyExists):
        look(NetworkRenameUnit, NetworkRename, here, network_name="hq", new_name="hq")


def test_remove():
    here = world()
    with pytest.raises(WrongState, match=r"Network still connected.*default"):
        look(NetworkRemoveUnit, NetworkRemove, here, network_name="office")
    run(here, plan_of(NetworkDisconnectUnit, NetworkDisconnect, here, group_name="default", network_name="office"))
    unit, seen, _ = look(NetworkRemoveUnit, NetworkRemove, here, network_name="office")
    run(here, unit.plan(seen))
    assert not here.config.networks
    assert unit.hooks(seen).env == {"NETWORK_NAME": "office"}


@pytest.mark.parametrize(("unit", "op", "fields"), [
    (NetworkAddUnit, NetworkAdd, {"network_name": "lan", "network": "192.0.2.0/25"}),
    (NetworkSetParamsUnit, NetworkSetParams, {"network_name": "office", "gateway": "none"}),
    (NetworkConnectUnit, NetworkConnect, CONNECT),
    (NetworkDisconnectUnit, NetworkDisconnect, {"network_name": "office", "group_name": "default"}),
    (NetworkRenameUnit, NetworkRename, {"network_name": "office", "new_name": "hq"}),
])
def test_cut_off_anywhere(unit, op, fields):
    def make():
        here = world()
        return here, plan_of(unit, op, here, **fields)
    check_every_cut(make)
