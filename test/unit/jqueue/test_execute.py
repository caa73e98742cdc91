# SPDX-License-Identifier: BSD-2-Clause
"""Carrying out plans: order, undo, cancel, nodes that do not answer, hooks, progress."""

import asyncio

import pytest

from gantry.cmdlib.base import Hooks, Locks
from gantry.errors import NodeError, NodeUnreachable
from gantry.jqueue.progress import Progress, duration
from gantry.jqueue.states import Status
from gantry.objects.node import HookResult
from gantry.objects.plan import Call, Master, Plan, Put, Say, Several, Sleep, Step, Task, Update
from support.fakes import FakeNodes, make_config
from support.jobs import Bench, does, lines, op, settle


def call(node, number):
    """A call that the test can tell from others."""
    return Call(node=f"node-{node}", call="test_delay", args={"duration": float(number)})


def stop(node):
    return Task(node=f"node-{node}", call="instance_stop",
                args={"instance": "i", "hypervisor": "fake", "timeout": 1.0, "force": False})


def step(number, undo=None, **fields):
    return Step(title=f"* step {number}", action=call(1, number), undo=undo and call(1, undo), **fields)


class Node:
    """Remembers the numbers it was called with; fails at those in `bad`."""

    def __init__(self, bad=()):
        self.bad, self.seen = set(bad), []

    def __call__(self, node, duration):
        self.seen.append(int(duration))
        if duration in self.bad:
            raise NodeError(node=node, detail=f"refuses {duration:g}")


def bench(test, node=None, **script):
    async def main():
        nodes = FakeNodes({"test_delay": node or Node(), **script})
        async with Bench(nodes=nodes) as made:
            await test(made)
        assert made.halted is None
    asyncio.run(main())


def test_undo_runs_backwards_and_includes_the_failed_step():
    node = Node(bad={3})

    async def main(made):
        does("it", Plan(steps=(step(1, 101), step(2), step(3, 103), step(4, 104))))
        job = await made.run(op("it"))
        assert job.ops[0].result == ["OpExecError", ["node node-1: refuses 3"]]
        assert node.seen == [1, 2, 3, 103, 101]
        assert lines(job) == ["* step 1", "* step 2", "* step 3", " - INFO: undo: step 3", " - INFO: undo: step 1"]
    bench(main, node)


def test_what_cannot_be_undone_is_a_warning_and_the_rest_is_undone():
    node = Node(bad={3, 102})

    async def main(made):
        does("it", Plan(steps=(step(1, 101), step(2, 102), step(3))))
        job = await made.run(op("it"))
        assert node.seen == [1, 2, 3, 102, 101]
        assert (" - WARNING: could not undo 'step 2': node node-1: refuses 102; something may be left on node "
                "node1.example.org (test_delay was not done)") in lines(job)
        assert job.status is Status.ERROR
    bench(main, node)


@pytest.mark.parametrize(("bad", "seen"), [({3, 102}, [1, 2, 3, 102]), ({3}, [1, 2, 3, 102, 101])])
def test_what_a_step_needs_that_could_not_be_undone_stays(bad, seen):
    node = Node(bad=bad)

    async def main(made):
        does("it", Plan(steps=(step(1, 101, undo_after="use"), step(2, 102, key="use"), step(3))))
        job = await made.run(op("it"))
        assert node.seen == seen
        assert (" - WARNING: not undone, what it has made is still needed: step 1" in lines(job)) == (102 in bad)
    bench(main, node)


def test_a_step_that_may_fail_is_a_warning():
    node = Node(bad={2})

    async def main(made):
        does("it", Plan(steps=(step(1, 101), step(2, 102, may_fail=True), step(3)), result="fine"))
        job = await made.run(op("it"))
        assert job.ops[0].result == "fine"
        assert node.seen == [1, 2, 3]
        assert " - WARNING: step 2 failed: node node-1: refuses 2" in lines(job)
    bench(main, node)


@pytest.mark.parametrize(("bad", "seen"), [(1, [1, 101]), (3, [1, 2, 3])])
def test_a_plan_that_is_not_undoable(bad, seen):
    node = Node(bad={bad})

    async def main(made):
        does("it", Plan(steps=(step(1, 101), step(2, 102), step(3, 103)), undoable=False))
        assert (await made.run(op("it"))).status is Status.ERROR
        assert node.seen == seen
    bench(main, node)


@pytest.mark.parametrize(("bad", "seen"), [(2, [1, 2, 102, 101]), (3, [1, 2, 3])])
def test_past_a_step_of_no_return(bad, seen):
    node = Node(bad={bad})

    async def main(made):
        does("it", Plan(steps=(step(1, 101), step(2, 102, no_return=True), step(3, 103))))
        assert (await made.run(op("it"))).status is Status.ERROR
        assert node.seen == seen
    bench(main, node)


def test_changes_of_the_configuration_are_undone_by_themselves():
    async def main(made):
        before = made.config.cluster
        does("it", Plan(steps=(
            Step(title="", action=Update(table="cluster", uuid="cluster-1", fields={"max_running_jobs": 7})),
            Step(title="", action=Several(actions=[
                Update(table="cluster", uuid="cluster-1", fields={"candidate_pool_size": 3}),
                Put(table="nodegroups", value={"uuid": "g9", "name": "extra"})])),
            step(3))))
        assert (await made.run(op("it"))).status is Status.ERROR
        assert (made.config.cluster.max_running_jobs, made.config.cluster.candidate_pool_size) == (
            before.max_running_jobs, before.candidate_pool_size)
        assert "g9" not in made.config.groups
    bench(main, Node(bad={3}))


def test_several_at_once_fail_together_and_give_a_list():
    node = Node(bad={12})

    async def main(made):
        mixed = Several(actions=[call(1, 1), Say(lines=["x"]), stop(2)])
        does("good", Plan(steps=(Step(title="", key="all", action=mixed),)))
        assert (await made.run(op("good"))).status is Status.SUCCESS
        does("bad", Plan(steps=(Step(title="", action=Several(actions=[call(1, 11), call(2, 12), call(3, 13)]),
                                     undo=call(1, 111)),)))
        assert (await made.run(op("bad"))).status is Status.ERROR
        assert node.seen[1:] == [11, 12, 13, 111]
    bench(main, node)


def test_of_several_the_first_failure_is_told():
    """The others may have failed for that: here the one that is asked again and again."""
    async def main(made):
        made.nodes.down.add("node-1")
        does("bad", Plan(steps=(Step(title="", action=Several(actions=[call(1, 11), call(2, 12)])),)))
        job = await made.run(op("bad"))
        assert job.ops[0].result == ["OpExecError", ["node node-2: refuses 12"]]
    bench(main, Node(bad={12}))


def test_a_node_that_is_starting_is_asked_again():
    node = Node()

    async def main(made):
        made.nodes.down.add("node-1")

        async def up(seconds):
            made.nodes.down.clear()
        object.__setattr__(made.services, "sleep", up)
        does("it", Plan(steps=(step(1),)))
        assert (await made.run(op("it"))).status is Status.SUCCESS
        assert node.seen == [1]
    bench(main, node)


def test_a_node_that_stays_away_fails_the_step_and_the_undo_is_reported():
    async def main(made):
        made.nodes.down.add("node-1")
        does("it", Plan(steps=(step(1, 101),)))
        job = await made.run(op("it"))
        assert job.ops[0].result == ["OpExecError", ["node node-1 did not answer test_delay: connection refused"]]
        assert any("something may be left on node node1.example.org" in line for line in lines(job))
    bench(main)


def test_calls_and_tasks_carry_their_step():
    async def main(made):
        does("it", Plan(steps=(step(1), Step(title="", action=Several(actions=[call(1, 2), stop(2)])))))
        await made.run(op("it"), op("it"))
        await settle()
        asked = {(name, request or args.get("task")) for _, name, args, request in made.nodes.asked
                 if name != "task_forget"}
        assert asked == {("test_delay", "1.0.0"), ("test_delay", "1.0.1.0"), ("task_start", "1.0.1.1"),
                         ("test_delay", "1.1.0"), ("test_delay", "1.1.1.0"), ("task_start", "1.1.1.1")}
        assert made.nodes.tasks == {}
    bench(main)


def test_cancel_between_two_steps_undoes():
    async def main(made):
        reached = asyncio.Event()
        release = asyncio.Event()
        seen = []

        async def slow(node, duration):
            seen.append(int(duration))
            if duration == 2:
                reached.set()
                await release.wait()
        made.nodes.script["test_delay"] = slow
        does("it", Plan(steps=(step(1, 101), step(2, 102), step(3, 103))),
             locks=Locks(exclusive={"node": frozenset({"x"})}))
        id = await made.submit(op("it"), op("it"))
        await reached.wait()
        answer = asyncio.ensure_future(made.queue.cancel(id))
        await settle()
        assert made.queue.job(id).status is Status.CANCELING
        release.set()
        assert await answer == (True, "Job successfully cancelled")
        assert seen == [1, 2, 102, 101]
        job = made.queue.job(id)
        assert [item.status for item in job.ops] == [Status.CANCELED] * 2
        assert made.queue.locks.rows() == []
    bench(main)


def test_cancel_ends_a_task_on_its_node():
    def long(node, **args):
        raise AssertionError("it never ends by itself")
    long.rounds = 10 ** 9

    async def main(made):
        does("it", Plan(steps=(step(1, 101), Step(title="* stopping", action=stop(2), undo=call(2, 102)))))
        id = await made.submit(op("it"))
        while not any(name == "task_status" for _, name, _, _ in made.nodes.asked):
            await asyncio.sleep(0)
        assert (await made.queue.cancel(id))[0]
        assert (await made.end(id)).status is Status.CANCELED
        names = [name for _, name, _, _ in made.nodes.asked if name not in ("task_status", "task_forget")]
        assert names == ["test_delay", "task_start", "task_cancel", "test_delay", "test_delay"]
    bench(main, instance_stop=long)


@pytest.mark.parametrize(("losses", "status"), [(2, Status.SUCCESS), (3, Status.ERROR)])
def test_a_task_that_was_lost_with_its_node_is_started_again(losses, status):
    left = [NodeError(node="node-2", detail="its process ended", interrupted=True)] * losses

    def stopping(node, **args):
        if left:
            raise left.pop()

    async def main(made):
        does("it", Plan(steps=(step(1, 101), Step(title="* stopping", action=stop(2)))))
        assert (await made.run(op("it"))).status is status
        assert [name for _, name, _, _ in made.nodes.asked].count("task_start") == 3
    bench(main, instance_stop=stopping)


@pytest.mark.parametrize(("arrived", "status", "seen"), [(True, Status.SUCCESS, [1, 3]),
                                                         (False, Status.ERROR, [1, 101])])
def test_what_was_done_by_a_node_that_is_gone(arrived, status, seen):
    """Another node can tell."""
    node = Node()

    def gone(*args, **more):
        raise NodeUnreachable(node="node-2", call="instance_stop", detail="no route to host")

    async def main(made):
        sent = Step(title="* sending", action=stop(2), no_return=True, key="sent", confirm=Call(
            node="node-3", call="export_list"))
        does("it", Plan(steps=(step(1, 101), sent, step(3))))
        job = await made.run(op("it"))
        assert job.status is status
        assert node.seen == seen
        assert any("was done all the same" in line for line in lines(job)) == arrived
    bench(main, node, instance_stop=gone, export_list=lambda *args, **more: ["it"] if arrived else [])


def test_cancel_past_the_point_of_no_return_is_too_late():
    async def main(made):
        reached, release = asyncio.Event(), asyncio.Event()

        async def slow(node, duration):
            if duration == 2:
                reached.set()
                await release.wait()
        made.nodes.script["test_delay"] = slow
        does("it", Plan(steps=(step(1), step(2)), undoable=False))
        id = await made.submit(op("it"), op("it"))
        await reached.wait()
        assert await made.queue.cancel(id) == (False, "Job no longer waiting, can't cancel (informed it anyway)")
        release.set()
        job = await made.end(id)
        assert [item.status for item in job.ops] == [Status.SUCCESS, Status.CANCELED]
    bench(main)


def test_functions_of_the_master():
    async def main():
        async def push(word):
            return [word]
        async with Bench(master_calls={"push": push}) as made:
            does("it", Plan(steps=(Step(title="", key="a", action=Master(call="push", args={"word": "x"})),
                                   Step(title="", action=Master(call="no_such"), may_fail=True))))
            job = await made.run(op("it"))
            assert job.status is Status.SUCCESS
            assert " - WARNING: a step failed: the master daemon has no function no_such" in lines(job)
    asyncio.run(main())


def test_a_plan_without_effect_is_not_stored():
    async def main(made):
        does("it", Plan(steps=(Step(title="", action=Sleep(seconds=1)), Step(title="", action=Say(lines=["x"])))))
        await made.run(op("it"))
        tables = {table for record in made.store.records for table, _, _ in record}
        assert tables == {"jobs", "meta"}
        assert len(made.store.records) == 2
    bench(main)


# --- hooks -------------------------------------------------------------------------------------------------


def hooked(made, answers):
    """Nodes whose hooks answer `answers[phase, node]`; what they were given."""
    given = {}

    def run(node, phase, path, env):
        given[phase, node] = env
        return answers.get((phase, node), [])
    made.nodes.script["hooks_run"] = run
    return given


def test_hooks_get_their_environment():
    async def main(made):
        given = hooked(made, {("post", "node-2"): [HookResult(script="big-post.d/10x", code=1, output=""),
                                                   HookResult(script="big-post.d/20x", code=1, output="oops")]})
        does("it", Plan(result=1), hooks=Hooks(
            path="big", object_type="INSTANCE", target="web1", env={"INSTANCE_NAME": "web1", "NUMBER": "1"},
            pre_nodes=("node-1",), post_nodes=("node-1", "node-2")))
        job = await made.run(op("it"))
        assert job.ops[0].result == 1
        assert set(given) == {("pre", "node-1"), ("post", "node-1"), ("post", "node-2")}
        env = given["pre", "node-1"]
        assert {name: value for name, value in env.items() if name != "GANETI_DATA_DIR"} == {
            "GANETI_HOOKS_VERSION": "2", "GANETI_HOOKS_PHASE": "pre", "GANETI_HOOKS_PATH": "big",
            "GANETI_OP_CODE": "OP_QUEUE_SCRIPTED", "GANETI_OBJECT_TYPE": "INSTANCE", "GANETI_OP_TARGET": "web1",
            "GANETI_CLUSTER": "cluster.example.org", "GANETI_MASTER": "node1.example.org",
            "GANETI_INSTANCE_NAME": "web1", "GANETI_NUMBER": "1"}
        after = given["post", "node-1"]
        assert (after["GANETI_NUMBER"], after["GANETI_POST_NUMBER"], after["GANETI_POST_INSTANCE_NAME"]) == (
            "1", "1", "web1")
        assert lines(job) == [
            " - WARNING: On node2.example.org script big-post.d/10x failed, (no output)",
            " - WARNING: On node2.example.org script big-post.d/20x failed, output: oops"]
    bench(main)


def test_a_pre_hook_can_refuse_and_a_silent_node_cannot():
    node = Node()

    async def main(made):
        hooked(made, {("pre", "node-1"): [HookResult(script="big-pre.d/no", code=1, output="not today")]})
        made.nodes.down.add("node-2")
        does("it", Plan(steps=(step(1),)), hooks=Hooks(path="big", object_type="NODE", target="x",
                                                       pre_nodes=("node-2", "node-1")))
        job = await made.run(op("it"))
        assert job.ops[0].result == ["HooksAbort", [[["node1.example.org", "big-pre.d/no", "not today"]]]]
        assert any(line.startswith(" - WARNING: Communication failure to node node2.example.org: ")
                   for line in lines(job))
        assert node.seen == []
    bench(main, node)


def test_config_update_hook_after_a_change(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    (tmp_path / "etc/gantry/hooks/config-update-post.d").mkdir(parents=True)

    async def main(made):
        given = hooked(made, {})
        does("plain", Plan())
        await made.run(op("plain"))
        assert given == {}
        does("it", Plan(steps=(Step(title="", action=Update(table="cluster", uuid="cluster-1",
                                                            fields={"max_running_jobs": 7})),)))
        await made.run(op("it"))
        assert [key for key, env in given.items() if env["GANETI_HOOKS_PATH"] == "config-update"] == [
            ("post", "node-1")]
    bench(main)


# --- progress ---------------------------------------------------------------------------------------------------


class Ticks:
    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


def test_progress_speaks_rarely_and_adds_up_what_is_left():
    clock, said = Ticks(), []
    plan = Plan(steps=(Step(title="* copying disk 0...", action=Sleep(seconds=1), weight=20.0),
                       Step(title="* starting", action=Sleep(seconds=1), weight=4.0)))
    progress = Progress(plan, said.append, clock)
    progress.begin(0)
    for tenth in range(10):
        clock.sleep(1.0)
        progress.seen(tenth / 10, "")
    assert said == [" - INFO: step 1/2 copying disk 0: 20 %, about 16 s left",
                    " - INFO: step 1/2 copying disk 0: 70 %, about 7 s left"]


@pytest.mark.parametrize(("seconds", "text"), [(0.1, "1 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_offline_nodes_are_not_waited_for():
    async def main():
        config = make_config()
        async with Bench(config=config) as made:
            await made.writer.change([Update(table="nodes", uuid="node-1", fields={
                "offline": True, "master_candidate": False})], who="t", why="t")
            made.nodes.down.add("node-1")
            does("it", Plan(steps=(step(1),)))
            assert (await made.run(op("it"))).status is Status.ERROR
            assert made.slept == []
    asyncio.run(main())
