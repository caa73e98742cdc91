# SPDX-License-Identifier: BSD-2-Clause
"""The table of moves, and the status of a job."""

import pytest

from gantry.errors import JobStateError
from gantry.jqueue.states import FINAL, MOVES, ORDER, Event, Status, after, job_status

S = Status


def test_every_state_is_reachable_and_final_ones_have_no_way_out():
    reached, todo = {S.QUEUED}, [S.QUEUED]
    while todo:
        for state in MOVES[todo.pop()].values():
            if state not in reached:
                reached.add(state)
                todo.append(state)
    assert reached == set(Status)
    assert {S.CANCELED, S.SUCCESS, S.ERROR} == FINAL


def test_every_state_that_is_not_final_can_end():
    for state in set(Status) - FINAL:
        todo, seen = [state], {state}
        while todo:
            for found in MOVES[todo.pop()].values():
                if found not in seen:
                    seen.add(found)
                    todo.append(found)
        assert seen & FINAL


def test_a_move_outside_the_table_is_refused():
    with pytest.raises(JobStateError, match="a success job cannot take the event cancel"):
        after(S.SUCCESS, Event.CANCEL)


def test_the_order_of_comparisons():
    words = ["queued", "waiting", "canceling", "running", "canceled", "success", "error"]
    assert [state.value for state in sorted(Status, key=ORDER.__getitem__)] == words


@pytest.mark.parametrize(("ops", "status"), [
    ([S.QUEUED], S.QUEUED),
    ([S.SUCCESS, S.QUEUED], S.QUEUED),
    ([S.SUCCESS, S.WAITING, S.QUEUED], S.WAITING),
    ([S.SUCCESS, S.RUNNING], S.RUNNING),
    ([S.SUCCESS, S.SUCCESS], S.SUCCESS),
    ([S.SUCCESS, S.ERROR, S.ERROR], S.ERROR),
    ([S.CANCELING, S.QUEUED], S.CANCELING),
    ([S.SUCCESS, S.CANCELED, S.ERROR], S.CANCELED),
])
def test_status_of_a_job(ops, status):
    assert job_status(ops) is status
