# SPDX-License-Identifier: BSD-2-Clause
"""Restricted commands, out-of-band power, powercycle, and the tests of the job queue."""

from typing import ClassVar

import pytest

from gantry.cmdlib.node_powercycle import NodePowercycleUnit
from gantry.cmdlib.oob_command import OobCommandUnit
from gantry.cmdlib.restricted_command import RestrictedCommandUnit
from gantry.cmdlib.test_jqueue import TestJqueueUnit
from gantry.cmdlib.test_os_params import TestOsParamsUnit
from gantry.errors import ExecError, NotFound, WrongInput, WrongState
from gantry.objects.plan import fill
from gantry.opcodes.cluster import OobCommand, RestrictedCommand
from gantry.opcodes.node import NodePowercycle
from gantry.opcodes.test import TestJqueue, TestOsParams
from support.cluster_world import ClusterWorld, config, offline
from support.cuts import Runner, check_every_cut, run
from support.view import look, plan_of

PROGRAM = {"cluster": {"ndparams": {"oob_program": "/usr/bin/oob"}}}


class Site(ClusterWorld):
    """Nodes with programs; `answers` by command."""

    answers: ClassVar[dict] = {"power-on": {"row": [0, None], "warning": "", "powered": True},
               "power-off": {"row": [0, None], "warning": "", "powered": False},
               "health": {"row": [0, [["psu", "WARNING"]]], "warning": " - WARNING: Node health: 'psu' is WARNING"},
               "power-status": {"row": [1, None], "warning": " - WARNING: it burns"}}

    def _restricted_command(self, node, command):
        return [node != "n2", f"{command} on {node}"]

    def _oob_run(self, where, /, command, program, node, timeout, powered):
        assert (where, program) == ("n1", "/usr/bin/oob")
        return self.answers[command]

    def _node_powercycle(self, node):
        return f"resetting {node}"


def world(**kwargs):
    return Site(config(**kwargs))


def test_a_restricted_command_runs_on_each_node_in_the_order_of_names():
    here = world()
    plan = plan_of(RestrictedCommandUnit, RestrictedCommand, here, nodes=["node3", "node2", "n3"], command="free")
    assert run(here, plan) == [[True, "free on n3"], [False, "free on n2"]]


def test_a_node_that_does_not_answer_is_one_of_the_results():
    here = world()
    here.down.add("n2")
    plan = plan_of(RestrictedCommandUnit, RestrictedCommand, here, nodes=["node2", "node3"], command="free")
    runner = Runner(here, plan)
    for index, step in enumerate(runner.plan.steps):
        runner.results[step.key] = runner._step(index, step)
    assert [good for good, _ in fill(runner.plan.result, runner.results)] == [False, True]


def test_health_is_a_row_a_node_and_its_warnings():
    here = world(**PROGRAM)
    offline(here.config, "n2")
    plan = plan_of(OobCommandUnit, OobCommand, here, command="health")
    rows = run(here, plan)
    assert rows == [[[0, f"node{n}"], [0, [["psu", "WARNING"]]]] for n in (1, 2, 3)]
    assert ["".join(line) for line in here.said] == [" - WARNING: Node health: 'psu' is WARNING"] * 3


def test_power_is_recorded_where_the_program_said_that_it_is_so():
    here = world(**PROGRAM)
    offline(here.config, "n3")
    run(here, plan_of(OobCommandUnit, OobCommand, here, command="power-off", node_names=["node3"]))
    assert not here.config.nodes["n3"].powered
    here.answers = {"power-on": {"row": [1, None], "warning": "no"}}
    run(here, plan_of(OobCommandUnit, OobCommand, here, command="power-on", node_names=["node3"]))
    assert not here.config.nodes["n3"].powered


def test_power_on_pauses_between_nodes_and_may_be_cut_anywhere():
    plan = plan_of(OobCommandUnit, OobCommand, world(**PROGRAM), command="power-on", power_delay=7.5)
    assert [step.action.seconds for step in plan.steps if step.action.kind == "sleep"] == [7.5, 7.5]

    def make():
        here = world(**PROGRAM)
        return here, plan_of(OobCommandUnit, OobCommand, here, command="power-on")
    check_every_cut(make, check=lambda here: None)


def test_without_a_program_there_is_no_answer():
    here = world()
    assert run(here, plan_of(OobCommandUnit, OobCommand, here, command="power-status", node_names=["node2"])) == [
        [[0, "node2"], [3, None]]]


@pytest.mark.parametrize(("fields", "error"), [
    ({"command": "power-off", "node_names": ["node1"]}, WrongInput),
    ({"command": "power-cycle"}, WrongInput),
    ({"command": "power-off", "node_names": ["node2"]}, WrongState),
    ({"command": "health", "timeout": 0}, WrongInput),
    ({"command": "power-on", "power_delay": -1.0}, WrongInput),
    ({"command": "health", "node_names": ["nosuch"]}, NotFound)])
def test_out_of_band_refuses(fields, error):
    with pytest.raises(error):
        look(OobCommandUnit, OobCommand, world(**PROGRAM), **fields)


def test_powercycle():
    here = world()
    assert run(here, plan_of(NodePowercycleUnit, NodePowercycle, here, node_name="node2")) == "resetting n2"
    with pytest.raises(WrongInput, match="is the master"):
        look(NodePowercycleUnit, NodePowercycle, here, node_name="node1")
    assert run(here, plan_of(NodePowercycleUnit, NodePowercycle, here, node_name="node1", force=True))
    offline(here.config, "n2")
    with pytest.raises(WrongState):
        look(NodePowercycleUnit, NodePowercycle, here, node_name="node2")


def test_the_tests_of_the_queue():
    here = world()
    assert run(here, plan_of(TestJqueueUnit, TestJqueue, here, log_messages=["a", "", "b"], notify_exec=True)) is True
    assert here.said == ["the plan runs", "a", "", "b"]
    with pytest.raises(ExecError):
        look(TestJqueueUnit, TestJqueue, here, fail=True)


def test_secret_parameters_are_named_not_shown():
    _, _, view = look(TestOsParamsUnit, TestOsParams, world(), osparams_secret={"b": "hidden", "a": "x"})
    assert view.lines == ["secret parameters arrived: a, b"]
    with pytest.raises(ExecError):
        look(TestOsParamsUnit, TestOsParams, world())
