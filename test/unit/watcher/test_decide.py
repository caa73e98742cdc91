# SPDX-License-Identifier: BSD-2-Clause
"""What the watcher does for a group, from what it saw."""

import pytest

from gantry.watcher.decide import FORGET_SECONDS, MAX_TRIES, Decision, InstanceSeen, NodeSeen, Notes, decide

NODES = (NodeSeen(name="n1", boot_id="a"), NodeSeen(name="n2", boot_id="b"))


def down(name="web1", **more):
    return InstanceSeen(name=name, status="ERROR_down", **more)


@pytest.mark.parametrize("status", ["running", "ADMIN_down", "ADMIN_offline", "ERROR_nodeoffline", "ERROR_nodedown",
                                    "ERROR_wrongnode", "ERROR_up", "unknown"])
def test_what_is_not_simply_down_is_let_be(status):
    found = decide(NODES, [InstanceSeen(name="web1", status=status, secondaries=("n2",))], Notes(), 1e9)
    assert (found.start, found.given_up, found.activate, found.clean) == ((), (), (), ())


def test_an_instance_is_started_five_times_and_again_after_eight_hours():
    notes, now, started = Notes(), 1e9, []
    for _ in range(8):
        found = decide(NODES, [down()], notes, now)
        started.append(len(found.start))
        assert bool(found.start) != bool(found.given_up)
        notes, now = found.notes, now + 300
    assert started == [1] * MAX_TRIES + [0] * 3
    last = 1e9 + 300 * (MAX_TRIES - 1)
    assert decide(NODES, [down()], notes, last + FORGET_SECONDS).given_up == ("web1",)
    found = decide(NODES, [down()], notes, last + FORGET_SECONDS + 1)
    assert found.start == ("web1",)
    assert found.notes.tries == {"web1": (1, last + FORGET_SECONDS + 1)}


def test_failures_are_forgotten_once_it_runs_but_not_because_its_node_is_away():
    notes = Notes(tries={"web1": (4, 1e9)})
    for status, kept in (("running", {}), ("ADMIN_down", {}), ("ERROR_nodedown", {"web1": (4, 1e9)})):
        assert decide(NODES, [InstanceSeen(name="web1", status=status)], notes, 1e9 + 60).notes.tries == kept
    assert decide(NODES, [], notes, 1e9).notes.tries == {}


def test_a_guest_that_shut_itself_down_is_recorded():
    assert decide(NODES, [InstanceSeen(name="web1", status="USER_down")], Notes(), 1e9).clean == ("web1",)


def test_mirrors_on_a_node_that_was_rebooted_are_activated():
    mirrored = InstanceSeen(name="web1", status="running", secondaries=("n2",))
    here = InstanceSeen(name="web2", status="running", secondaries=("n1",))
    first = decide(NODES, [mirrored, here], Notes(), 1e9)
    assert first.activate == ()  # nothing is known of earlier boots
    again = decide((NODES[0], NodeSeen(name="n2", boot_id="c")), [mirrored, here], first.notes, 1e9)
    assert again == Decision(activate=("web1",), notes=Notes(boots={"n1": "a", "n2": "c"}))


def test_a_silent_node_is_no_rebooted_one_and_one_that_is_offline_is_forgotten():
    before = Notes(boots={"n1": "a", "n2": "b"})
    mirrored = InstanceSeen(name="web1", status="running", secondaries=("n2",))
    silent = decide((NODES[0], NodeSeen(name="n2")), [mirrored], before, 1e9)
    assert (silent.activate, silent.notes.boots) == ((), before.boots)
    gone = decide((NODES[0], NodeSeen(name="n2", boot_id="c", offline=True)), [mirrored], before, 1e9)
    assert (gone.activate, gone.notes.boots) == ((), {"n1": "a"})
