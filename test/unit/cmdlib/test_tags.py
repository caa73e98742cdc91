# SPDX-License-Identifier: BSD-2-Clause
"""Tags of all kinds of objects."""

import pytest

from gantry.cmdlib.tags_del import TagsDelUnit
from gantry.cmdlib.tags_get import TagsGetUnit
from gantry.cmdlib.tags_search import TagsSearchUnit
from gantry.cmdlib.tags_set import TagsSetUnit
from gantry.errors import NotFound, WrongInput
from gantry.opcodes.tags import TagsDel, TagsGet, TagsSearch, TagsSet
from support.cluster_world import ClusterWorld, config
from support.cuts import check_every_cut, run
from support.guest_world import disk, instance
from support.view import look, plan_of

THINGS = [("cluster", None, "/cluster"), ("node", "node2", "/nodes/node2"), ("instance", "web1", "/instances/web1"),
          ("nodegroup", "default", "/nodegroup/default"), ("network", "office", "/network/office")]


def world():
    return ClusterWorld(config(instance(), disks=(disk(),)))


def tags(here, kind, name):
    return run(here, plan_of(TagsGetUnit, TagsGet, here, kind=kind, name=name))


@pytest.mark.parametrize(("kind", "name", "path"), THINGS)
def test_set_get_search_and_delete(kind, name, path):
    here = world()
    run(here, plan_of(TagsSetUnit, TagsSet, here, kind=kind, name=name, tags=["red", "blue"]))
    run(here, plan_of(TagsSetUnit, TagsSet, here, kind=kind, name=name, tags=["red", "green"]))
    assert tags(here, kind, name) == ["blue", "green", "red"]
    found = run(here, plan_of(TagsSearchUnit, TagsSearch, here, pattern="^(r|b)"))
    assert found == [[path, "blue"], [path, "red"]]
    run(here, plan_of(TagsDelUnit, TagsDel, here, kind=kind, name=name, tags=["red", "blue"]))
    assert tags(here, kind, name) == ["green"]


@pytest.mark.parametrize(("kind", "name", "path"), THINGS)
def test_what_is_locked(kind, name, path):
    unit, _, view = look(TagsSetUnit, TagsSet, world(), kind=kind, name=name, tags=["red"])
    wanted = {"cluster": {"cluster": {"settings"}}, "node": {"node": {"n2"}}, "instance": {"instance": {"web1"}},
              "nodegroup": {"nodegroup": {"g1"}}, "network": {"network": {"w1"}}}
    assert unit.locks(view).exclusive == wanted[kind]
    assert unit.hooks(None) is None


def test_refusals():
    here = world()
    with pytest.raises(NotFound, match="'nono' not found"):
        look(TagsDelUnit, TagsDel, here, kind="cluster", name=None, tags=["nono"])
    for unit, op in ((TagsSetUnit, TagsSet), (TagsDelUnit, TagsDel)):
        with pytest.raises(WrongInput, match="No tags to be"):
            look(unit, op, here, kind="cluster", name=None, tags=[])
    with pytest.raises(NotFound):
        look(TagsGetUnit, TagsGet, here, kind="node", name="nono")
    with pytest.raises(WrongInput, match="name of the node"):
        look(TagsGetUnit, TagsGet, here, kind="node", name=None)
    with pytest.raises(WrongInput, match="Invalid search pattern"):
        look(TagsSearchUnit, TagsSearch, here, pattern="(")


@pytest.mark.parametrize(("unit", "op", "given"), [(TagsSetUnit, TagsSet, "blue"), (TagsDelUnit, TagsDel, "red")])
def test_cut_off_anywhere(unit, op, given):
    def make():
        here = world()
        run(here, plan_of(TagsSetUnit, TagsSet, here, kind="instance", name="web1", tags=["red"]))
        return here, plan_of(unit, op, here, kind="instance", name="web1", tags=[given])
    check_every_cut(make)
