# SPDX-License-Identifier: BSD-2-Clause
"""Who asks again gets the first answer."""

import threading

import pytest

from gantry.rpc.memory import Memory


def memory(**limits):
    return Memory(lambda answer: answer != "bad", **limits)


def test_a_good_answer_is_given_again_without_working_again():
    remembered, answers = memory(), iter(["first", "second"])
    assert remembered.once("k", lambda: next(answers), seconds=1) == "first"
    assert remembered.once("k", lambda: next(answers), seconds=1) == "first"
    assert remembered.once("other", lambda: next(answers), seconds=1) == "second"


def test_after_a_bad_answer_the_work_is_done_again():
    remembered, answers = memory(), iter(["bad", "good"])
    assert remembered.once("k", lambda: next(answers), seconds=1) == "bad"
    assert remembered.once("k", lambda: next(answers), seconds=1) == "good"


def test_one_who_asks_meanwhile_waits_and_gets_the_same_even_if_it_is_bad():
    remembered, started, may_end, seen = memory(), threading.Event(), threading.Event(), []

    def work():
        started.set()
        may_end.wait(10)
        return "bad"

    first = threading.Thread(target=lambda: seen.append(remembered.once("k", work, seconds=10)))
    first.start()
    started.wait(10)
    second = threading.Thread(target=lambda: seen.append(remembered.once("k", lambda: "worked twice", seconds=10)))
    second.start()
    may_end.set()
    first.join()
    second.join()
    assert seen[0] == "bad"
    assert seen[1] in ("bad", "worked twice")  # the second may have come after the first's end


def test_waiting_is_bounded():
    remembered, started, may_end = memory(), threading.Event(), threading.Event()

    def work():
        started.set()
        may_end.wait(10)
        return "late"

    first = threading.Thread(target=lambda: remembered.once("k", work, seconds=10))
    first.start()
    started.wait(10)
    assert remembered.once("k", lambda: "never", seconds=0.0) is None
    may_end.set()
    first.join()


def test_only_the_latest_are_kept():
    remembered = memory(most=2)
    for key in "abc":
        remembered.once(key, lambda key=key: key, seconds=1)
    assert remembered.once("c", lambda: "again", seconds=1) == "c"
    assert remembered.once("a", lambda: "again", seconds=1) == "again"


def test_work_that_raises_leaves_nothing_behind():
    remembered = memory()
    with pytest.raises(KeyError):
        remembered.once("k", lambda: {}["x"], seconds=1)
    assert remembered.once("k", lambda: "good", seconds=1) == "good"
