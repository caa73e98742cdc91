# SPDX-License-Identifier: BSD-2-Clause
import json
import threading
import time

import pytest

from gantry.errors import LuxiError
from gantry.rapi import events as module
from gantry.rapi.access import Caller
from gantry.rapi.events import Events
from gantry.rapi.failures import HttpError
from gantry.rapi.request import Request
from gantry.rapi.states import States
from support.rapi import FakeDoor, application, ask


class Cluster:
    """Jobs and instances that a test changes."""

    def __init__(self):
        self.jobs = {1: "success"}
        self.instances = {"u1": {"uuid": "u1", "name": "web1", "status": "running"}}
        self.version = 0
        self.door = FakeDoor(QueryJobs=self._jobs, QueryInstanceObjects=self._instances, WaitForRecord=self._wait)

    def _wait(self, known, seconds):
        time.sleep(seconds)
        return self.version

    def _jobs(self, ids, fields):
        return [[id, status, [f"TEST({id})"]] for id, status in self.jobs.items()]

    def _instances(self, names, fields, version):
        now = f"v{self.version}"
        objects = "null" if version == now else json.dumps(list(self.instances.values()))
        return f'{{"version": "{now}", "objects": {objects}}}'.encode()

    def set(self, uuid, **values):
        self.version += 1
        self.instances = {**self.instances, uuid: {"uuid": uuid, **values}}

    def drop(self, uuid):
        self.version += 1
        self.instances = {key: value for key, value in self.instances.items() if key != uuid}


class Sink:
    """A connection: `full` makes every further write fail."""

    def __init__(self):
        self.data = b""
        self.full = self.left = self.closed = False
        self.blocking = True
        self.arrived = threading.Condition()

    def sendall(self, data):
        if self.full:
            raise TimeoutError("timed out")
        with self.arrived:
            self.data += data
            self.arrived.notify_all()

    def stop_blocking(self):
        self.blocking = False

    def gone(self):
        return self.left

    def close(self):
        with self.arrived:
            self.closed = True
            self.arrived.notify_all()

    def until(self, condition):
        with self.arrived:
            assert self.arrived.wait_for(condition, 20), self.data

    def events(self):
        found = []
        for block in self.data.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if lines:
                found.append((lines["event"], json.loads(lines["data"]), int(lines["id"])))
        return found

    def seen(self, count):
        self.until(lambda: len(self.events()) >= count)
        return [(kind, data) for kind, data, _ in self.events()]


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def events(cluster, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.01)
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.0)
    found = Events(States(cluster.door))
    yield found
    found.stop()
    if found._thread is not None:
        found._thread.join(20)


def listen(events, kinds=module.KINDS, last_seen=None):
    sink = Sink()
    events.add(lambda: sink, kinds, last_seen)
    return sink


def test_what_changes_is_told(cluster, events):
    sink = listen(events)
    cluster.jobs[2] = "running"
    assert sink.seen(1) == [("job", {"id": 2, "status": "running", "summary": ["TEST(2)"]})]
    cluster.jobs[2] = "success"
    cluster.set("u1", name="web1", status="ERROR_down")
    sink.seen(3)
    cluster.drop("u1")
    assert sink.seen(4)[3] == ("instance", {"uuid": "u1", "name": "web1", "removed": True})
    assert ("instance", {"uuid": "u1", "name": "web1", "status": "ERROR_down"}) in sink.seen(4)
    numbers = [number for _, _, number in sink.events()]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    assert not sink.blocking


def test_only_what_was_asked_for(cluster, events):
    jobs, instances = listen(events, ["job"]), listen(events, ["instance"])
    cluster.set("u2", name="web2", status="running")
    cluster.jobs[2] = "queued"
    assert [kind for kind, _ in jobs.seen(1)] == ["job"]
    assert [kind for kind, _ in instances.seen(1)] == ["instance"]


def test_a_client_that_comes_back_misses_nothing(cluster, events):
    first = listen(events)
    cluster.jobs[2] = "queued"
    first.seen(1)
    last = first.events()[-1][2]
    first.left = True
    first.until(lambda: first.closed)
    cluster.jobs[3] = "queued"
    other = listen(events)
    cluster.jobs[4] = "queued"
    other.seen(1)
    again = listen(events, last_seen=last)
    assert [data["id"] for _, data in again.seen(2)] == [3, 4]


def test_a_client_that_was_away_too_long_is_told_so(events):
    assert listen(events, last_seen=5).seen(1) == [("reset", {})]
    assert listen(events, last_seen=10**18).seen(1) == [("reset", {})]


def test_a_client_that_does_not_keep_up_is_let_go(cluster, events):
    slow, other = listen(events), listen(events)
    slow.full = True
    cluster.jobs[2] = "queued"
    slow.until(lambda: slow.closed)
    assert other.seen(1)
    assert not other.closed


def test_nobody_listens_nobody_asks(cluster, events, monkeypatch):
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.0)
    sink = listen(events)
    sink.left = True
    sink.until(lambda: sink.closed)
    thread = events._thread
    if thread is not None:
        thread.join(20)
    assert events._thread is None
    cluster.jobs[2] = "queued"
    again = listen(events)
    cluster.jobs[3] = "queued"
    assert [data["id"] for _, data in again.seen(1)] == [3]


def test_a_master_daemon_that_is_away_does_not_end_the_stream(cluster, events, monkeypatch):
    sink = listen(events)
    answers = cluster.door.answers["QueryJobs"]
    cluster.door.answers["QueryJobs"] = LuxiError(detail="away")
    cluster.jobs[2] = "queued"
    asked = len(cluster.door.calls)
    sink.until(lambda: True)
    while len(cluster.door.calls) == asked:
        events._stopped.wait(0.01)
    cluster.door.answers["QueryJobs"] = answers
    assert sink.seen(1)


def test_without_a_master_daemon_there_is_no_stream(cluster, events):
    cluster.door.answers["QueryJobs"] = LuxiError(detail="away")
    with pytest.raises(LuxiError):
        listen(events)


def test_silence_is_filled(cluster, events, monkeypatch):
    monkeypatch.setattr(module, "KEEP_ALIVE_SECONDS", 0.0)
    sink = listen(events)
    sink.until(lambda: b"still here" in sink.data)


def test_requests_for_streams_that_cannot_be(cluster, tmp_path):
    app = application(cluster.door, tmp_path)
    assert ask(app, "GET", "/2/events?kinds=nosuch").status == 400
    assert ask(app, "GET", "/2/events").status == 501


def test_there_are_not_too_many_listeners(events, monkeypatch):
    monkeypatch.setattr(module, "MOST_LISTENERS", 1)
    listen(events)

    asked = Request(method="GET", path="/2/events", door=FakeDoor(), caller=Caller(), detach=lambda headers: None)
    with pytest.raises(HttpError) as caught:
        events._listen(asked)
    assert caught.value.status == 503
