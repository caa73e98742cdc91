# SPDX-License-Identifier: BSD-2-Clause
"""gnt-os list, info, diagnose, and the delay job."""

import pytest

from gantry.cmdlib.os_diagnose import OsDiagnoseUnit
from gantry.cmdlib.test_delay import TestDelayUnit
from gantry.errors import WrongInput
from gantry.opcodes.cluster import OsDiagnose
from gantry.opcodes.test import TestDelay
from support.cluster_world import ClusterWorld, config, os_definition
from support.cuts import check_every_cut, run
from support.view import look, plan_of


def world(**kwargs):
    return ClusterWorld(config(**kwargs))


def rows(here, *fields, **more):
    return plan_of(OsDiagnoseUnit, OsDiagnose, here, output_fields=list(fields), **more).result


def test_what_all_nodes_have_in_common():
    here = world(cluster={"os_hvp": {"tiny": {"kvm": {"acpi": False}}}, "osparams": {"tiny+small": {"size": "1"}}})
    here.oses["n2"] = [os_definition(variants=("large", "small"), parameters=())]
    assert rows(here, "name", "variants", "parameters", "api_versions", "os_hvp", "osparams") == [
        ["tiny", ["small"], [], [20], {"tiny": {"kvm": {"acpi": False}}}, {"tiny+small": {"size": "1"}}]]


def test_an_os_that_is_not_everywhere_is_shown_only_with_its_state():
    here = world()
    here.oses["n3"] = []
    here.oses["n2"] = [os_definition(), os_definition("broken", problem="no create script")]
    assert rows(here, "name", "variants") == []
    found = rows(here, "name", "valid", "node_status")
    assert [row[:2] for row in found] == [["broken", False], ["tiny", False]]
    assert found[1][2]["node3"] == [], "a node that has none is named"
    assert found[0][2]["node2"][0][:3] == ["/srv/os/broken", False, "no create script"]


@pytest.mark.parametrize(("flag", "field"), [("hidden_os", "hidden"), ("blacklisted_os", "blacklisted")])
def test_hidden_and_blacklisted_ones_are_left_out_unless_asked_for(flag, field):
    here = world(cluster={flag: ("tiny",)})
    assert rows(here, "name") == []
    assert rows(here, "name", field) == [["tiny", True]]


def test_names_and_nodes_that_do_not_count():
    here = world(nodes={"n2": {"vm_capable": False}, "n3": {"offline": True, "master_candidate": False}})
    here.oses["n1"].append(os_definition("big"))
    assert rows(here, "name") == [["big"], ["tiny"]]
    assert rows(here, "name", names=["big", "nono"]) == [["big"]]
    with pytest.raises(WrongInput, match="Unknown output fields selected: nono"):
        rows(here, "nono")


# --- delay ---


def delay(here, **fields):
    return plan_of(TestDelayUnit, TestDelay, here, **{"duration": 0.5, **fields})


def test_delay_on_master_and_nodes():
    here = world()
    run(here, delay(here, on_nodes=["node2", "node3"]))
    assert here.slept == [("n2", 0.5), ("n3", 0.5)]
    plan = delay(here, on_nodes=[], repeat=3)
    assert [step.action.seconds for step in plan.steps] == [0.5, 0.5, 0.5]
    assert delay(here, on_master=False).steps == ()


def test_delay_locks_and_refusals():
    here = world(nodes={"n3": {"offline": True, "master_candidate": False}})
    unit, _, view = look(TestDelayUnit, TestDelay, here, duration=1.0, on_nodes=["node2"], no_locks=False)
    assert unit.locks(view).exclusive == {"node": {"n2"}}
    unit, _, view = look(TestDelayUnit, TestDelay, here, duration=1.0, on_nodes=["node2"])
    assert unit.locks(view).exclusive == {}
    for fields, text in (({"duration": 0}, "must be positive"), ({"on_nodes": ["node3"]}, "offline")):
        with pytest.raises(WrongInput, match=text):
            delay(here, **fields)


def test_delay_cut_off_anywhere():
    def make():
        here = world()
        return here, delay(here, repeat=2)
    check_every_cut(make)
