# SPDX-License-Identifier: BSD-2-Clause
"""Which jobs may start: limits, buckets, filter rules."""

import asyncio

import pytest

from gantry.jqueue import filters, trail
from gantry.jqueue.schedule import Candidate, choose
from gantry.jqueue.states import Status
from gantry.objects import codec
from gantry.objects.cluster import FilterRule
from gantry.objects.plan import Plan, Put, Sleep, Step
from support.jobs import Bench, does, op, settle


def rule(uuid, action, predicates=(), priority=0, watermark=0):
    return FilterRule(uuid=uuid, name=uuid, watermark=watermark, priority=priority, action=action,
                      predicates=tuple(predicates))


WIRE = {"OP_ID": "OP_INSTANCE_CREATE", "instance_name": "web1", "beparams": {"memory": 512},
        "reason": [["gnt:user", "maintenance", 7]]}


@pytest.mark.parametrize(("predicate", "holds"), [
    (["jobid", [">", "id", "watermark"]], True),
    (["jobid", ["<=", "id", "watermark"]], False),
    (["opcode", ["=", "OP_ID", "OP_INSTANCE_CREATE"]], True),
    (["opcode", ["==", "beparams.memory", 512]], True),
    (["opcode", ["&", ["=~", "instance_name", "^web"], ["!", ["?", "no_such"]]]], True),
    (["opcode", [">", "instance_name", 3]], False),
    (["reason", ["=", "source", "gnt:user"]], True),
    (["reason", ["|", ["=", "reason", "x"], ["=", "timestamp", 7]]], True),
    (["reason", ["=~", "reason", "("]], False),
    (["opcode", ["bad"]], False),
    (["other", None], False),
])
def test_predicates(predicate, holds):
    assert filters.matches(rule("f", "PAUSE", [predicate], watermark=10), 11, [WIRE]) is holds


def test_the_first_deciding_rule_counts():
    rules = filters.in_order([rule("c", "REJECT", priority=2), rule("b", "PAUSE", priority=1, watermark=5),
                              rule("a", "CONTINUE"), rule("d", "ACCEPT", priority=1, watermark=4)])
    assert [item.uuid for item in rules] == ["a", "d", "b", "c"]
    assert filters.first_rule(rules, 1, [WIRE]).uuid == "d"
    assert filters.first_rule([], 1, [WIRE]) is None


def test_buckets():
    wires = [{"reason": [["u", "rate-limit:3:a", 1], ["u", "rate-limit:0:b", 1], ["u", "rate-limit:x", 1]]},
             {"reason": [["u", "rate-limit:4:a", 1]]}]
    assert trail.buckets(wires) == {(3, "a"), (4, "a")}


def test_choice():
    both = frozenset({(1, "x"), (2, "y")})
    ready = [Candidate(id=1, priority=0, buckets=both), Candidate(id=2, priority=0, buckets=frozenset({(1, "x")})),
             Candidate(id=3, priority=0), Candidate(id=4, priority=0), Candidate(id=5, priority=0)]
    active = [Candidate(id=9, priority=0, buckets=frozenset({(2, "y")}))]
    assert choose(ready, active, 4).start == (1, 3, 4)
    rules = {1: rule("p", "PAUSE"), 3: rule("r", "REJECT"), 4: rule("l", ["RATE_LIMIT", 1]),
             5: rule("l", ["RATE_LIMIT", 1])}
    choice = choose(ready, active, 4, lambda item: rules.get(item.id))
    assert (choice.start, choice.reject) == ((2, 4), (3,))
    assert choose(ready, active, 0, lambda item: rules.get(item.id)).reject == (3,)


def test_rules_of_the_configuration_reach_queued_jobs():
    async def main():
        async with Bench(sleep=lambda seconds: asyncio.sleep(3600)) as made:
            does("long", Plan(steps=(Step(title="", action=Sleep(seconds=1000.0)),)))
            for uuid, action, name in (("f1", "REJECT", "bad"), ("f2", "PAUSE", "held"),
                                       ("f3", ["RATE_LIMIT", 1], "one")):
                does(name, Plan(steps=(Step(title="", action=Sleep(seconds=1000.0)),)))
                made_rule = rule(uuid, action, [["opcode", ["=", "name", name]]])
                await made.writer.change([Put(table="filters", value=codec.encode(made_rule))], who="t", why="t")
            await made.queue.submit([[op(name)] for name in ("bad", "held", "one", "one", "long")])
            await settle()
            assert [job.status for job in made.queue.jobs()] == [
                Status.CANCELED, Status.QUEUED, Status.RUNNING, Status.QUEUED, Status.RUNNING]
            await made.queue.cancel(3)
            await settle()
            assert made.queue.job(4).status is Status.RUNNING
    asyncio.run(main())
