# SPDX-License-Identifier: BSD-2-Clause
"""Odd arguments to every command: each gives a sentence and one of the known exit statuses, never a traceback.

In this process, as thousands of programs would cost minutes; what is drawn is the same each time.
"""

import random
import re

import pytest

from gantry.cli import build, output, programs
from gantry.cli.main import main

ODD = ["", "nosuch", "-1", "0", "99999999999999999999999", "\u00e4\u20ac\u0663", "a b", "../../etc", "1e309", "nan",
       "x=1,x=2", "x=1", ":", ",", "=", "0:size=-5", "0:size=1e9t", "add:", "-", "'", "\n", "{}", "None", "a" * 300,
       "*", "fake:x=1", "kvm:acpi=2", "min:x=1/max:", "yes", "7", "4g", "\udc80"]
KNOWN = {"INSTANCE": "odd", "NODE": "node3", "GROUP": "default", "OS": "gantry-guest", "NETWORK": "net"}
ELSEWHERE = {("gnt-cluster", "init"), ("gnt-cluster", "destroy"), ("gnt-cluster", "master-failover"),
             ("gnt-cluster", "renew-crypto"), ("gnt-cluster", "command"), ("gnt-debug", "locks"), ("gnt-job", "watch")}
"""They act on this host or run on and on, whatever their arguments."""
STATUSES = {0, 1, 2, 13, 14}
QUIET = {"master-ping", "search-tags", "wait", "diagnose"}
"""They may fail without a word."""
PYTHON = re.compile(r"Traceback|Unhandled|[a-z](Type|Value|Key|Attribute|Index|Overflow|Unicode\w+)Error|"
                    r"^\w+Error: ", re.M)
COMMANDS = [(program, name) for program in sorted(programs.PROGRAMS) for name in sorted(programs.commands(program))
            if (program, name) not in ELSEWHERE]


@pytest.fixture(scope="module")
def cluster(own_cluster):
    own_cluster.add("odd", "node2")
    own_cluster.gnt("gnt-network", "add", "--network=192.0.2.0/28", "net")
    yield own_cluster
    own_cluster.gnt("gnt-network", "remove", "net")
    own_cluster.remove("odd")


@pytest.fixture
def at_the_master(cluster, monkeypatch):
    """A command of a process of its own leaves the connection to the end of that."""
    client = cluster.client()
    monkeypatch.setenv("GANTRY_ROOT", str(cluster.layout.root("node1")))
    monkeypatch.setenv("FORCE_LUXI_SOCKET", str(cluster.paths().luxi))
    monkeypatch.setattr("gantry.luxi.client.Client", lambda: client)
    monkeypatch.setattr("gantry.cli.output._choose", no)
    yield
    client.close()


def no(question, choices):
    """The operator's answer to every question."""
    output.error(question)
    return "n"


def lines(program, name):
    """Arguments: odd ones in every place, and each option with an odd value on known objects."""
    rng, command = random.Random(f"{program} {name}"), programs.commands(program)[name]
    low, high = command.arity()
    most = low + 2 if high is None else high
    safe = ["--dry-run"] if "N" in command.sets else []
    for count in {low, most}:
        yield [*safe, "--", *rng.choices(ODD, k=count)]
    fields = build.opcode_fields(command)
    known = [KNOWN.get(word.strip("[].").split(".")[0], rng.choice(ODD)) if safe else rng.choice(ODD)
             for word in command.args.split() if not word.startswith("[")]
    if safe and known:
        yield [*safe, "--", *known[:-1], rng.choice(ODD)]
    for option in build.all_options(command):
        completed = build.completed(option, fields)
        if completed.kind not in ("flag", "count"):
            value = rng.choice(ODD)
            flag = option.flags[-1]
            given = f"{flag}={value}" if flag.startswith("--") else f"{flag}{value}"
            yield [*safe, given, "--", *known]


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_odd_arguments(cluster, at_the_master, capsys, program, name):
    for args in lines(program, name):
        status = main([program, name, *args])
        out, err = capsys.readouterr()
        assert status in STATUSES, (args, out, err)
        assert not PYTHON.search(out + err), (args, out + err)
        assert status == 0 or out.strip() or err.strip() or name in QUIET, args


def test_nothing_came_of_all_that(cluster):
    assert cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "name").split() == ["odd"]
    assert cluster.gnt("gnt-network", "list", "--no-headers", "-o", "name").split() == ["net"]
    cluster.matches()
    cluster.verify()
