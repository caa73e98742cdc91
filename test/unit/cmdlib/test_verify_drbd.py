# SPDX-License-Identifier: BSD-2-Clause
"""Minors of mirrored disks: those that should be in use, and those that are."""

import pytest

from gantry.cmdlib import verify_storage
from gantry.constants import DiskTemplate
from gantry.objects.node import DrbdFacts, NodeReport
from support.guest_world import cluster_config, instance
from support.mirror_world import mirrored


def config(*, active=True):
    return cluster_config(instance(template=DiskTemplate.DRBD, disks_active=active), disks=(mirrored(minor=3),))


def problems(config, **minors):
    """By node (UUID): its minors, or its version and its minors."""
    reports = {node: NodeReport(time=0.0, drbd=DrbdFacts(version="8.4.11", helper="", minors=found))
               for node, found in minors.items()}
    return [(item.code, item.item, item.text) for item in verify_storage.check_drbd(config, reports)]


def test_all_is_well():
    assert problems(config(), n1=(3,), n2=(3,), n3=()) == []


def test_a_minor_that_is_not_active():
    assert problems(config(), n1=(3,), n2=()) == [("ENODEDRBD", "node2", "drbd minor 3 of instance web1 is not active")]


@pytest.mark.parametrize("found", [(), (3,)])
def test_of_a_stopped_instance_both_are_well(found):
    assert problems(config(active=False), n1=found) == []


def test_a_minor_that_nobody_has():
    assert problems(config(), n3=(3, 4))[1] == ("ENODEDRBD", "node3", "unallocated drbd minor 4 is in use")


def test_versions_that_differ_are_a_warning():
    reports = {node: NodeReport(time=0.0, drbd=DrbdFacts(version=version, helper="", minors=(3,)))
               for node, version in (("n1", "8.4.11"), ("n2", "9.1.7"))}
    found = list(verify_storage.check_drbd(config(), reports))
    assert [(item.code, item.warning) for item in found] == [("ENODEDRBDHELPER", True)] * 2


def test_a_node_that_was_not_asked_says_nothing():
    assert list(verify_storage.check_drbd(config(), {"n1": NodeReport(time=0.0)})) == []
