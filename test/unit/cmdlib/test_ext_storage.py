# SPDX-License-Identifier: BSD-2-Clause
"""gnt-storage, and disks of external providers."""

import asyncio
from dataclasses import replace

import pytest

from gantry.cmdlib import disks, external
from gantry.cmdlib.ext_storage_diagnose import ExtStorageDiagnoseUnit
from gantry.constants import DiskTemplate
from gantry.errors import WrongInput
from gantry.objects.instance import Disk, ExtLocation
from gantry.objects.node import ExtProvider
from gantry.opcodes.cluster import ExtStorageDiagnose
from support.cluster_world import ClusterWorld, config
from support.guest_world import cluster_config, instance
from support.view import look, plan_of

FILES = ExtProvider(name="files", path="/srv/ext/files", parameters=(("colour", "Its colour"), ("speed", "")))


class Providers(ClusterWorld):
    """`providers` by node."""

    def __init__(self, **providers):
        super().__init__(config())
        self.providers = {"n1": [FILES], "n2": [FILES], "n3": [FILES]} | providers

    def _extstorage_list(self, node):
        return self.providers[node]


def rows(here, *fields, **more):
    return plan_of(ExtStorageDiagnoseUnit, ExtStorageDiagnose, here, output_fields=list(fields), **more).result


def test_a_provider_that_all_nodes_have():
    here = Providers()
    assert rows(here, "name", "nodegroup_status", "parameters") == [
        ["files", {"default": True}, [["colour", "Its colour"], ["speed", ""]]]]
    assert rows(here, "name", names=["other"]) == []
    unit, _, view = look(ExtStorageDiagnoseUnit, ExtStorageDiagnose, here, output_fields=["name"])
    assert not unit.locks(view).exclusive


@pytest.mark.parametrize("other", [[], [replace(FILES, problem="create is missing")], [replace(FILES, parameters=())]])
def test_a_group_needs_it_alike_on_all_its_nodes(other):
    assert rows(Providers(n2=other), "nodegroup_status") == [[{"default": False}]]


def test_what_each_node_has():
    [[status]] = rows(Providers(n2=[replace(FILES, problem="create is missing")], n3=[]), "node_status")
    assert status["node1"] == [["/srv/ext/files", True, "", [["colour", "Its colour"], ["speed", ""]]]]
    assert status["node2"][0][1:3] == [False, "create is missing"]
    assert status["node3"] == []


# --- disks ---

def _view(here):
    return look(ExtStorageDiagnoseUnit, ExtStorageDiagnose, here, output_fields=["name"])[2]


EXT = disks.Layout(template=DiskTemplate.EXT, node="n1")


def made(here, **spec):
    return disks.create(_view(here), EXT, 2, {"size": 16, **spec})


def test_what_is_not_ours_goes_to_the_provider():
    disk = made(Providers(), provider="files", colour="red", access="kernelspace", name="root")
    assert (disk.name, disk.size, disk.nodes) == ("root", 16, ())
    assert disk.params == {"colour": "red", "access": "kernelspace"}
    assert disk.ext is not None
    assert disk.ext.provider == "files"
    assert disk.ext.volume.endswith(".ext.disk2")


def test_a_node_is_told_whose_volume_it_is():
    disk = Disk(uuid="d", name="", dev_type=DiskTemplate.EXT, size=1, ext=ExtLocation(provider="files", volume="v"))
    here = cluster_config(instance("web1", template=DiskTemplate.EXT, disks=("d",)), disks=(disk,))
    [told] = disks.annotated(here, here.instance("web1"), [disk])
    assert told.params[":instance"] == "web1"
    assert disks.renamed(told, "db1").params[":instance"] == "db1"


def test_a_disk_without_a_provider_is_refused():
    with pytest.raises(WrongInput, match="needs provider=NAME"):
        made(Providers())


def check(here, **facts):
    disk = Disk(**{"uuid": "d", "name": "", "dev_type": DiskTemplate.EXT, "size": 1,
                   "ext": ExtLocation(provider="files", volume="v")} | facts)
    asyncio.run(external.require_providers(_view(here), "n1", [disk]))


@pytest.mark.parametrize(("providers", "params", "why"), [
    ({"n1": []}, {}, "cannot be used on node node1: there is none"),
    ({"n1": [replace(FILES, problem="create is missing")]}, {}, "create is missing"),
    ({}, {"smell": "bad"}, "does not take smell; it takes colour, speed"),
])
def test_what_the_node_cannot_make_is_refused(providers, params, why):
    with pytest.raises(WrongInput, match=why):
        check(Providers(**providers), params=params)


def test_known_parameters_pass():
    check(Providers(), params={"colour": "red", "access": "kernelspace"})
