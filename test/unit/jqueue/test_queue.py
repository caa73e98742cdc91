# SPDX-License-Identifier: BSD-2-Clause
"""The life of jobs in the queue, as clients see it."""

import asyncio

import pytest

from gantry.cmdlib.base import ALL, Locks
from gantry.errors import JobLost, NoResourcesNow, QueueDrained, StoreFailed, WrongState
from gantry.jqueue import job as jobs
from gantry.jqueue.states import Status
from gantry.objects.plan import Plan, Say, Sleep, Step, Submit, ref
from support.fakes import MemoryStore, make_config
from support.jobs import Bench, does, lines, op, settle

NODE = frozenset({"node-1"})
FOREVER = Plan(steps=(Step(title="", action=Sleep(seconds=1000.0)),))


def bench(test):
    """Run a coroutine with a bench of its own; real time passes only where a plan sleeps for ever."""
    async def main():
        async with Bench(sleep=patient) as made:
            await test(made)
    asyncio.run(main())


async def patient(seconds):
    await asyncio.sleep(0 if seconds < 500 else 3600)


def test_a_job_runs_and_its_states_are_seen_in_order():
    async def main(made):
        does("plain", Plan(steps=(Step(title="* doing it", action=Say(lines=["one", "two"])),), result={"a": 1}))
        id = await made.submit(op("plain"))
        job = made.queue.job(id)
        seen = [job.status]
        while not job.final:
            await job.changed()
            seen.append(job.status)
        assert list(dict.fromkeys(seen)) == [Status.QUEUED, Status.RUNNING, Status.SUCCESS]
        assert job.ops[0].result == {"a": 1}
        assert lines(job) == ["* doing it", "one", "two"]
        assert [entry[0] for entry in job.ops[0].log] == [1, 2, 3]
        assert None not in (job.received, job.start, job.end, job.ops[0].start, job.ops[0].exec, job.ops[0].end)
        assert job.summary == ["QUEUE_SCRIPTED(plain)"]
        assert made.queue.locks.rows() == []
    bench(main)


def test_ids_are_given_out_when_jobs_are_durable():
    async def main(made):
        does("plain")
        made.store.hold = True
        asked = asyncio.ensure_future(made.submit(op("plain")))
        await settle()
        assert not asked.done()
        assert not list(made.queue.jobs())
        made.store.release()
        assert await asked == 1
        assert made.store.tables["jobs"]["1"]["ops"][0]["status"] == "queued"
    bench(main)


def test_the_last_state_is_durable_before_it_is_seen():
    async def main(made):
        started = asyncio.Event()

        async def check(view, _op):
            made.store.hold = True
            started.set()
        does("plain", check=check)
        id = await made.submit(op("plain"))
        await started.wait()
        watching = asyncio.ensure_future(made.queue.wait_for_change(
            id, lambda job: [job.status], [Status.RUNNING], None, 10))
        await settle()
        assert not watching.done()
        assert made.queue.job(id).status is Status.RUNNING
        made.store.release()
        assert (await watching)[0] == [Status.SUCCESS]
    bench(main)


def test_a_refused_job_leaves_the_others_alone():
    async def main(made):
        does("plain")
        answers = await made.queue.submit([[op("plain")], [{"OP_ID": "OP_NO_SUCH"}], [], [op("plain", bad=1)],
                                           [op("plain", depends=[[-1, []]])]])
        assert [accepted for accepted, _ in answers] == [True, False, False, False, True]
        assert answers[0][1], answers[4][1] == (1, 5)
        assert "unknown opcode OP_NO_SUCH" in answers[1][1]
    bench(main)


def test_errors_of_units_and_the_opcodes_after():
    async def main(made):
        async def refuse(view, _op):
            raise WrongState(detail="the instance runs")

        async def broken(view, _op):
            raise ZeroDivisionError("oops")
        does("refuse", check=refuse)
        does("broken", check=broken)
        does("plain")
        job = await made.run(op("plain"), op("refuse"), op("plain"))
        assert [item.status for item in job.ops] == [Status.SUCCESS, Status.ERROR, Status.ERROR]
        assert job.ops[1].result == ["OpPrereqError", ["the instance runs", "wrong_state"]]
        assert job.ops[2].result == ["OpExecError", ["Preceding opcode failed"]]
        job = await made.run(op("broken"))
        assert job.ops[0].result == ["OpExecError", ["ZeroDivisionError: oops"]]
        assert made.halted is None
    bench(main)


def test_reason_trail_and_priority():
    async def main(made):
        does("plain")
        job = await made.run(op("plain", reason=[["gnt:user", "why", 1]], priority=10))
        trail = job.ops[0].input["reason"]
        assert trail[0] == ["gnt:user", "why", 1]
        assert trail[1][:2] == ["gnt:opcode:queue_scripted", "job=1;index=0"]
        assert job.ops[0].priority == 10
        assert job.priority == 0
    bench(main)


def test_dependencies_hold_a_job_back():
    async def main(made):
        does("long", FOREVER)
        does("plain")
        answers = await made.queue.submit([[op("long")], [op("plain", depends=[[-1, ["canceled"]]])],
                                           [op("plain", depends=[[-2, []]])],
                                           [op("plain", depends=[[-3, ["success"]]])]])
        assert answers == [(True, id) for id in (1, 2, 3, 4)]
        await settle()
        assert [job.status for job in made.queue.jobs()] == [Status.RUNNING] + [Status.QUEUED] * 3
        assert await made.queue.cancel(1) == (True, "Job successfully cancelled")
        for id, status in ((2, Status.SUCCESS), (3, Status.CANCELED), (4, Status.CANCELED)):
            assert (await made.end(id)).status is status
    bench(main)


def test_a_dependency_that_ended_wrongly_or_is_unknown():
    async def main(made):
        does("plain")
        await made.run(op("plain"))
        job = await made.run(op("plain", depends=[[1, ["error"]]]))
        assert job.ops[0].result == ["OpExecError", [
            "Job 2 depends on job 1, which ended with status success; wanted: error"]]
        job = await made.run(op("plain", depends=[[99, []]]))
        assert job.ops[0].result[1][0].startswith("Dependency error: ")
        assert await made.queue.archive(1)
        assert (await made.run(op("plain", depends=[[1, ["success"]]]))).status is Status.SUCCESS
    bench(main)


def test_max_running_jobs_and_priority_order():
    async def main():
        async with Bench(config=make_config(max_running_jobs=1), sleep=patient) as made:
            order = []

            async def check(view, _op):
                order.append(view.job)
            does("plain", check=check)
            await made.queue.submit([[op("plain")], [op("plain")], [op("plain", priority=10)],
                                     [op("plain", priority=-10)]])
            await made.queue.change_priority(3, -20)
            for job in list(made.queue.jobs()):
                await made.end(job.id)
            assert order == [3, 4, 1, 2]
    asyncio.run(main())


def test_rate_limit_by_reason():
    async def main(made):
        does("long", FOREVER)
        limited = op("long", reason=[["gnt:user", "rate-limit:2:backup", 1]])
        await made.queue.submit([[limited], [limited], [limited], [op("long")]])
        await settle()
        states = [job.status for job in made.queue.jobs()]
        assert states == [Status.RUNNING, Status.RUNNING, Status.QUEUED, Status.RUNNING]
        await made.queue.cancel(2)
        await settle()
        assert made.queue.job(3).status is Status.RUNNING
    bench(main)


def test_cancel_a_queued_job():
    async def main():
        async with Bench(config=make_config(max_running_jobs=0)) as made:
            does("plain")
            id = await made.submit(op("plain"), op("plain"))
            assert await made.queue.cancel(id) == (True, "Dequeued job 1")
            job = made.queue.job(id)
            assert job.status is Status.CANCELED
            assert [item.result for item in job.ops] == ["Job canceled by request"] * 2
            assert made.store.tables["jobs"]["1"]["ops"][0]["status"] == "canceled"
            assert await made.queue.cancel(id) == (False, "Job 1 not found in queue")
            assert await made.queue.cancel(77) == (False, "Job 77 not found in queue")
    asyncio.run(main())


def test_cancel_a_job_that_waits_for_locks():
    async def main(made):
        does("long", FOREVER, locks=Locks(exclusive={"node": NODE}))
        does("plain", locks=Locks(shared={"node": ALL}))
        first = await made.submit(op("long"))
        second = await made.submit(op("plain"))
        await settle()
        assert made.queue.job(second).status is Status.WAITING
        assert await made.queue.cancel(second) == (True, "Job successfully cancelled")
        assert made.queue.job(second).ops[0].result == "Job canceled by request"
        assert await made.queue.cancel(first, kill=True) == (
            True, "Job 1 is being canceled, what it has done is being undone")
        assert (await made.end(first)).status is Status.CANCELED
        assert made.queue.locks.rows() == []
    bench(main)


def test_priority_of_a_job_that_waits_for_locks():
    async def main(made):
        order = []

        async def check(view, _op):
            order.append(view.job)
        does("long", FOREVER, locks=Locks(exclusive={"node": NODE}))
        does("plain", locks=Locks(exclusive={"node": NODE}), check=check)
        first = await made.submit(op("long"))
        ids = [await made.submit(op("plain")) for _ in range(3)]
        await settle()
        assert await made.queue.change_priority(ids[2], -5) == (
            True, f"Priorities of pending opcodes for job {ids[2]} have been changed to -5")
        await made.queue.cancel(first)
        for id in ids:
            await made.end(id)
        assert order == [ids[2], ids[0], ids[1]]
        assert await made.queue.change_priority(first, 3) == (False, "Job 1 not found in queue")
    bench(main)


def test_locks_are_asked_again_when_the_instance_has_moved():
    async def main(made):
        place = {"node": "node-1"}
        checked = []

        async def check(view, _op):
            checked.append([row["name"] for row in made.queue.locks.rows() if row["owner"] == [view.job]])
        does("long", FOREVER, locks=Locks(exclusive={"node": NODE}))
        does("moved", locks=lambda view: Locks(exclusive={"node": frozenset({place["node"]})}), check=check)
        first = await made.submit(op("long"))
        second = await made.submit(op("moved"))
        await settle()
        place["node"] = "node-2"
        await made.queue.cancel(first)
        await made.end(second)
        assert "node/node-2" in checked[0]
        assert "node/node-1" not in checked[0]
    bench(main)


def test_a_shortage_that_may_pass_is_tried_again_without_locks():
    async def main(made):
        tries = []

        async def check(view, _op):
            tries.append(view.job)
            if len(tries) < 3:
                raise NoResourcesNow(detail="no memory on node1 just now")
        does("short", check=check, locks=Locks(exclusive={"node": NODE}))
        job = await made.run(op("short"))
        assert job.status is Status.SUCCESS
        assert len(tries) == 3
        assert " - INFO: no memory on node1 just now; trying again in 5 s" in lines(job)
    bench(main)


def test_many_wait_for_one_job():
    async def main(made):
        does("long", FOREVER)
        id = await made.submit(op("long"))
        await settle()
        watchers = [asyncio.ensure_future(made.queue.wait_for_change(
            id, lambda job: [str(job.status)], ["running"], None, 30)) for _ in range(500)]
        await settle()
        assert not any(watcher.done() for watcher in watchers)
        made.queue.job(id).say(0, "hello")
        for watcher in watchers:
            values, entries = await watcher
            assert values == ["running"]
            assert [entry[3] for entry in entries] == ["hello"]
        assert (await made.queue.wait_for_change(id, lambda job: [str(job.status)], ["running"], 1, 0)) == (
            ["running"], [])
        with pytest.raises(JobLost):
            await made.queue.wait_for_change(99, lambda job: [], None, None, 1)
    bench(main)


def test_drained_queue():
    async def main(made):
        does("plain")
        await made.queue.set_drained(True)
        with pytest.raises(QueueDrained):
            await made.queue.submit([[op("plain")]])
        assert await made.queue.submit([[op("plain")]], drained_ok=True) == [(True, 1)]
        assert (await made.end(1)).status is Status.SUCCESS
        await made.queue.set_drained(False)
        assert await made.submit(op("plain")) == 2
    bench(main)


def test_archive():
    async def main(made):
        does("plain")
        does("long", FOREVER)
        for _ in range(3):
            await made.run(op("plain"))
        running = await made.submit(op("long"))
        assert not await made.queue.archive(running)
        assert await made.queue.archive(1)
        assert not await made.queue.archive(1)
        assert made.queue.job(1) is None
        assert [job.id for job in made.queue.jobs()] == [2, 3, running]
        assert await made.queue.autoarchive(3600, 10) == (0, 0)
        assert await made.queue.autoarchive(-1, 10) == (2, 0)
        found = await made.queue.archived([1, 3, 50])
        assert [(job.id, job.archived, job.status) for job in found] == [(1, True, Status.SUCCESS),
                                                                         (3, True, Status.SUCCESS)]
        assert len(await made.queue.archived(None)) == 3
    bench(main)


def test_ids_never_go_back():
    async def main():
        store = MemoryStore()
        does("plain")
        async with Bench(store=store) as made:
            for _ in range(3):
                await made.run(op("plain"))
            await made.queue.autoarchive(-1, 10)
        async with Bench(store=store) as made:
            assert await made.submit(op("plain")) == 4
    asyncio.run(main())


def test_dry_run_shows_the_plan_and_does_nothing():
    async def main(made):
        unit = does("big", Plan(steps=(Step(title="* creating disks...", action=Sleep(seconds=5), weight=5.0),
                                       Step(title="", action=Submit(jobs=[[op("big")]]))), result="done"))
        job = await made.run(op("big", dry_run=True))
        assert job.status is Status.SUCCESS
        assert job.ops[0].result is None
        assert lines(job) == ["1. creating disks: wait 5 s (about 5.0 s)", "2. submit 1 job(s) (about 0.1 s)",
                              "expected time: 5 s",
                              " - INFO: dry-run mode requested, not actually executing the operation"]
        assert unit.runs == 1
        assert len(made.queue.jobs()) == 1
    bench(main)


def test_jobs_submitted_by_a_job():
    async def main(made):
        does("child")
        does("parent", Plan(steps=(Step(title="", key="jobs", action=Submit(jobs=[
            [op("child")], [op("child", depends=[[-1, ["success"]]], reason=[["own", "x", 2]])]])),),
            result={"jobs": ref("jobs")}))
        job = await made.run(op("parent", priority=10, debug_level=1, reason=[["gnt:user", "all", 1]]))
        assert job.ops[0].result == {"jobs": [[True, 2], [True, 3]]}
        for id in (2, 3):
            child = (await made.end(id)).ops[0].input
            assert child["priority"] == 10
            assert child["debug_level"] == 1
            assert child["comment"] == "Submitted by OP_QUEUE_SCRIPTED"
            sources = [entry[0] for entry in child["reason"]]
            assert sources == (["own"] if id == 3 else []) + ["gnt:user", "gnt:opcode:queue_scripted"] * 1 + [
                "gnt:opcode:queue_scripted"]
        assert made.queue.job(3).ops[0].input["depends"] == [[2, ["success"]]]
    bench(main)


def test_secrets_stay_in_memory():
    async def main(made):
        seen = []

        async def check(view, opcode):
            seen.append(opcode.osparams_secret)
        does("secret", check=check)
        await made.run(op("secret", osparams_secret={"root": "hunter2"}))
        assert seen == [{"root": "hunter2"}]
        assert "hunter2" not in str(made.store.records)
        assert made.queue.job(1).ops[0].input["osparams_secret"] == {"root": "<redacted>"}
    bench(main)


def test_secrets_lost_by_a_restart_fail_the_job():
    async def main():
        store = MemoryStore()
        does("secret")
        async with Bench(store=store, config=make_config(max_running_jobs=0)) as made:
            await made.submit(op("secret", osparams_secret={"root": "hunter2"}))
        async with Bench(store=store) as made:
            job = await made.end(1)
            assert job.status is Status.ERROR
            assert "secret OS parameters of job 1" in job.ops[0].result[1][0]
    asyncio.run(main())


def test_a_failing_store_halts_the_queue_and_leaves_the_job_as_it_is():
    async def main(made):
        async def check(view, _op):
            made.store.fail = True
        does("plain", check=check)
        await made.submit(op("plain"))
        await settle()
        assert made.halted is not None
        assert made.queue.job(1).status is Status.RUNNING
        with pytest.raises(StoreFailed):
            await made.queue.submit([[op("plain")]])
    bench(main)


def test_encode_and_decode():
    async def main(made):
        does("plain", Plan(steps=(Step(title="hello", action=Sleep(seconds=1)),), result=[1, {"a": None}]))
        job = await made.run(op("plain"))
        again = jobs.decode(made.store.tables["jobs"]["1"])
        assert again.encode() == made.store.tables["jobs"]["1"] == job.encode() | {"ops": again.encode()["ops"]}
        assert (again.status, again.start, again.end) == (job.status, job.start, job.end)
    bench(main)
