# SPDX-License-Identifier: BSD-2-Clause
"""harep: repairs what tags allow it to repair, one job an instance; made to be run from time to time."""

import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from hbal import output
from hbal.errors import Error
from hbal.jobs import Caller, Label, submit
from hbal.load import luxi
from hbal.load.options import Options
from hbal.load.prepare import prepare
from hbal.maintenance import repair
from hbal.maintenance.repair import Conflict, Record, Result
from hbal.model import ClusterData, Instance
from hbal.programs.common import Program, run

PROGRAM = Program("harep", ("luxi", "job-delay", "reason", "dry-run"), arguments=True)
ENDED = frozenset({"success", "error", "canceled"})
STATES = ("Healthy", "Pending repair", "Needs repair", "Failure")


def main(argv: Sequence[str] | None = None) -> int:
    return run(PROGRAM, look_after, argv)


def look_after(options: Options, arguments: Sequence[str]) -> int:
    """One round over all instances."""
    if arguments:
        raise Error("this program doesn't take any arguments.")
    from gantry.errors import Error as ClusterError
    from gantry.luxi.client import Client

    try:
        with Client(options.luxi or None) as client:
            round_over(client, options, time.time())
    except (ClusterError, OSError) as err:
        raise Error(f"harep: {err}") from err
    return 0


def round_over(client: Caller, options: Options, now: float) -> None:
    """Look at every instance, submit repairs, print how many are in which state."""
    data = prepare(luxi.read(client))
    states: Counter[str] = Counter()
    work = Work(client, data, options, now)
    for instance in data.instances:
        states[work.one(instance)] += 1
    rows = [("Instance status", "count"), *((state, str(states[state])) for state in STATES)]
    sys.stdout.write(output.table("", [tuple(row) for row in rows], (False, True)))


class Work(NamedTuple):
    """One round's view of a cluster."""

    client: Caller
    data: ClusterData
    options: Options
    now: float

    def one(self, instance: Instance) -> str:
        """Do what is to be done for an instance; its state then."""
        try:
            record = repair.current(instance.tags)
        except Conflict as err:
            raise Error(f"Instance {instance.name} {err}") from err
        if record is not None and record.result is None:
            record = self._finished(instance, record)
            if record.result is None:
                return "Pending repair"
        if record is not None and record.result is Result.FAILURE:
            return "Failure"
        broken = repair.needed(self.data, instance)
        if broken is None:
            return "Healthy"
        return self._broken(instance, record, *broken)

    def _finished(self, instance: Instance, record: Record) -> Record:
        """The record with its result once all its jobs have ended; the tags are changed accordingly."""
        rows = self.client.call("QueryJobs", [list(record.jobs), ["status"]])
        states = [str(row[0]) if row else "error" for row in rows]
        if not set(states) <= ENDED:
            return record
        good = all(state == "success" for state in states)
        done = record._replace(result=Result.SUCCESS if good else Result.FAILURE)
        self._tag(instance, done, [record])
        return done

    def _broken(self, instance: Instance, record: Record | None, kind: repair.Repair,
                opcodes: list[repair.Opcode]) -> str:
        group = self.data.groups[self.data.nodes[instance.primary].group]
        policy = repair.policy(instance.tags, group.tags, self.data.tags, self.now)
        if policy.suspended is not None:
            until = "" if policy.suspended == 0 else f" until {policy.suspended}"
            print(f"Not repairing instance {instance.name}: autorepair is suspended{until}")
            return "Needs repair"
        if policy.most is None:
            print(f"Not repairing instance {instance.name}: autorepair is not enabled")
            return "Needs repair"
        old = [] if record is None else [record]
        if kind > policy.most:
            if record is None or record.result is not Result.ENOPERM or record.repair is not kind:
                self._tag(instance, Record(kind, str(uuid.uuid4()), int(self.now), (), Result.ENOPERM), old)
            print(f"Not repairing instance {instance.name}: {kind.text} is needed, {policy.most.text} is allowed")
            return "Needs repair"
        jobs = self._submit(instance, opcodes)
        self._tag(instance, Record(kind, str(uuid.uuid4()), int(self.now), tuple(jobs)), old)
        return "Pending repair"

    def _submit(self, instance: Instance, opcodes: list[repair.Opcode]) -> list[int]:
        delay: list[repair.Opcode] = []
        if self.options.job_delay > 0:
            master = [node.name for node in self.data.nodes if node.master]
            delay = [{"OP_ID": "OP_TEST_DELAY", "duration": self.options.job_delay, "on_master": True,
                      "on_nodes": [], "repeat": 0}] if master else []
        label = Label("harep", f"automated repair for {instance.name}", None, self.options.reason)
        job = [label.on(dict(opcode)) for opcode in (*delay, *opcodes)]
        if self.options.dry_run:
            print(f"jobs: [{[opcode['OP_ID'] for opcode in job]}] for {instance.name}")
            return []
        return submit(self.client, [job])

    def _tag(self, instance: Instance, new: Record, old: Sequence[Record]) -> None:
        """Put the new tag on, and then take those off that it replaces."""
        if self.options.dry_run:
            print(f"Would tag instance {instance.name} with {new.tag}")
            return
        label = Label("harep", f"repair of {instance.name}", None, self.options.reason)
        jobs = [[label.on({"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": instance.name, "tags": [new.tag]})]]
        gone = [one.tag for one in old if one.tag != new.tag]
        if gone:
            jobs[0].append(label.on({"OP_ID": "OP_TAGS_DEL", "kind": "instance", "name": instance.name,
                                     "tags": gone}))
        submit(self.client, jobs)
