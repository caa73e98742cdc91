# SPDX-License-Identifier: BSD-2-Clause
"""gnt-debug iallocator: what an allocator is told, and what hail answers to it."""

import json

import pytest

from gantry.cmdlib.test_allocator import TestAllocatorUnit
from gantry.errors import AlreadyExists, NotFound, WrongInput
from gantry.iallocator import run as allocator
from gantry.opcodes.test import TestAllocator
from hbal import alloc
from support.cuts import run
from support.disk_world import disk_world, mirrored
from support.guest_world import UP
from support.view import plan_of

DISKS = ({"size": 1024, "mode": "rw"},)


def world():
    return disk_world(mirrored(), admin_state=UP, cluster={"default_iallocator": "hail"})


def told(**fields):
    here = world()
    text = run(here, plan_of(TestAllocatorUnit, TestAllocator, here, **{"direction": "in", "mode": "allocate",
                                                                      "name": "new", **fields}))
    return json.loads(text)


def test_the_whole_message_is_shown():
    message = told(disks=DISKS, memory=512, vcpus=2, disk_template="drbd", tags=("a",), os="tiny")
    assert [*message] == ["version", "cluster_name", "cluster_tags", "enabled_hypervisors", "ipolicy", "nodegroups",
                          "nodes", "instances", "request"]
    request = message["request"]
    assert {key: request[key] for key in ("type", "name", "memory", "vcpus", "required_nodes", "disk_space_total")} == {
        "type": "allocate", "name": "new", "memory": 512, "vcpus": 2, "required_nodes": 2, "disk_space_total": 1152}
    assert "web1" in message["instances"]


@pytest.mark.parametrize(("fields", "expected"), [
    ({"mode": "multi-allocate", "disks": DISKS, "count": 3}, ["new0", "new1", "new2"]),
    ({"mode": "relocate", "name": "web1"}, ["node2"]),
    ({"mode": "node-evacuate", "instances": ("web1",), "evac_mode": "primary-only"}, "primary-only"),
    ({"mode": "change-group", "instances": ("web1",)}, []),
    ({"mode": "allocate-secondary", "name": "web1"}, "web1")])
def test_each_kind_of_request(fields, expected):
    request = told(**fields)["request"]
    assert request["type"] == fields["mode"]
    match fields["mode"]:
        case "multi-allocate":
            assert [one["name"] for one in request["instances"]] == expected
        case "relocate":
            assert request["relocate_from"] == expected
        case "node-evacuate":
            assert (request["instances"], request["evac_mode"]) == (["web1"], expected)
        case "change-group":
            assert request["target_groups"] == expected
        case "allocate-secondary":
            assert request["name"] == expected


@pytest.mark.parametrize(("fields", "error"), [
    ({"name": "web1", "disks": DISKS}, AlreadyExists), ({"disks": ()}, WrongInput),
    ({"mode": "multi-allocate", "disks": DISKS, "count": 0}, WrongInput), ({"mode": "relocate"}, NotFound)])
def test_what_makes_no_sense(fields, error):
    with pytest.raises(error):
        told(**fields)


def test_a_refusal_is_an_answer_too(monkeypatch):
    async def ask(_name, _params, message):
        return alloc.answer(message)
    monkeypatch.setattr(allocator, "ask", ask)
    reply = told(direction="out", disks=DISKS, memory=10**7, disk_template="drbd")
    assert (reply["success"], reply["result"]) == (False, [])
    assert "FailMem" in reply["info"]
