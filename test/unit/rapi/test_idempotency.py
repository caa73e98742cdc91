# SPDX-License-Identifier: BSD-2-Clause
import threading

import pytest

from gantry.errors import RemoteError
from gantry.luxi.client import ConnectionLost
from gantry.rapi import idempotency
from support.rapi import ADMIN, READER, FakeDoor, application, ask

TARGET = "/2/instances/web1/startup"


@pytest.fixture
def door():
    return FakeDoor()


@pytest.fixture
def app(door, tmp_path):
    return application(door, tmp_path)


def put(app, key="k1", target=TARGET, body=None, **more):
    return ask(app, "PUT", target, body, IDEMPOTENCY_KEY=key, **{"user": ADMIN, **more})


def test_a_retry_submits_nothing(app, door):
    first, again = put(app), put(app)
    assert (first.status, first.raw) == (again.status, again.raw) == (200, b"101\n")
    assert len(door.jobs) == 1
    assert put(app, "k2").body == 102
    assert ask(app, "PUT", TARGET, user=ADMIN).body == 103


@pytest.mark.parametrize("other", [{"target": TARGET + "?force=1"}, {"target": "/2/instances/web2/startup"},
                                   {"body": {"a": 1}}])
def test_another_request_with_the_same_key_is_refused(app, door, other):
    put(app)
    assert put(app, **other).status == 422
    assert len(door.jobs) == 1


def test_a_key_belongs_to_its_caller(app, door, tmp_path):
    (tmp_path / "users").write_text("admin secret write\nother secret write\n")
    assert put(app).body == 101
    assert put(app, user=("other", "secret")).body == 102


def test_what_was_refused_may_be_sent_again(app, door):
    assert put(app, target="/2/instances/web1/rename", body={}).status == 400
    assert put(app, target="/2/instances/web1/rename", body={"new_name": "x"}).status == 200
    door.answers["SubmitJob"] = RemoteError(name="JobQueueDrainError", args=["drained"])
    assert put(app, "k2").status == 503
    del door.answers["SubmitJob"]
    assert put(app, "k2").status == 200


def test_who_may_not_write_gets_no_answer_of_another(app, door):
    put(app)
    assert put(app, user=READER).status == 403


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 256])
def test_keys_that_cannot_be(app, door, key):
    assert put(app, key).status == 400
    assert door.jobs == []


def test_reading_ignores_keys(app, door):
    assert ask(app, "GET", "/version", IDEMPOTENCY_KEY="k").body == 2
    assert ask(app, "GET", "/2/features", IDEMPOTENCY_KEY="k").status == 200


def test_duplicates_at_the_same_time_wait_for_the_first(app, door):
    entered, go_on = threading.Event(), threading.Event()

    def submit(ops):
        entered.set()
        assert go_on.wait(20)
        door.jobs.append(ops)
        return 55
    door.answers["SubmitJob"] = submit
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(put(app).body)) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert entered.wait(20)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert answers == [55] * 8
    assert len(door.jobs) == 1


def queue(door):
    """What the master daemon says of the jobs it was given."""
    door.answers["QueryJobs"] = lambda ids, fields: [[101 + index, ops] for index, ops in enumerate(door.jobs)]


def test_a_new_daemon_knows_the_keys_of_jobs(app, door, tmp_path):
    queue(door)
    put(app)
    restarted = application(door, tmp_path)
    assert put(restarted).body == 101
    assert put(restarted, target="/2/instances/web2/startup").status == 422
    assert len(door.jobs) == 1


def test_a_job_whose_answer_was_lost_is_found(app, door):
    queue(door)

    def lost(ops):
        door.jobs.append(ops)
        raise ConnectionLost(method="SubmitJob")
    door.answers["SubmitJob"] = lost
    assert put(app).status == 502
    del door.answers["SubmitJob"]
    assert put(app).body == 101
    assert len(door.jobs) == 1


def test_what_is_remembered_is_bounded(app, door, monkeypatch):
    monkeypatch.setattr(idempotency, "MOST", 5)
    for number in range(20):
        put(app, f"k{number}")
    assert len(app._idempotency._entries) == 5
    assert put(app, "k19").body == 120
    assert put(app, "k0").body == 121


def test_the_key_itself_is_not_shown_to_others(app, door):
    put(app, "very-secret-key")
    assert "very-secret-key" not in str(door.jobs)
