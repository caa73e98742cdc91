# SPDX-License-Identifier: BSD-2-Clause
"""hroller, hsqueeze, hspace and harep on small clusters."""

import pytest

from hbal.load import text
from hbal.maintenance import colouring, repair
from hbal.maintenance.repair import Conflict, Record, Repair, Result
from hbal.model import Status, Template
from hbal.programs import hroller, hspace, hsqueeze

POLICY = "|128,1,1024,1,1,1|128,1,1024,1,1,1;32768,8,1048576,16,8,12|drbd,plain,ext|4.0|32.0\n"


def written(path, nodes, instances):
    path.write_text("\n".join((
        "default|u|preferred||\n",
        "".join(f"{name}|16384|0|{free}|100000|{disk}|8|{role}|u|4|{tags}|N|0|1|1.0\n"
                for name, free, disk, role, tags in nodes),
        "".join(f"{name}|1024|2048|1|running|Y|{first}|{second}|{template}||1|-|N\n"
                for name, first, second, template in instances), "", POLICY)))
    return str(path)


@pytest.fixture
def pairs(tmp_path):
    """Two pairs of nodes that keep copies of each other's guests."""
    nodes = [(name, 15360, 97952, "M" if name == "d" else "N", "") for name in "abcd"]
    return written(tmp_path / "pairs", nodes, [("i", "a", "b", "drbd"), ("j", "b", "a", "drbd"),
                                               ("k", "c", "d", "drbd"), ("l", "d", "c", "drbd")])


def test_nodes_that_share_an_instance_never_reboot_together(pairs, capsys):
    assert hroller.main(["-t", pairs]) == 0
    header, *sets = capsys.readouterr().out.splitlines()
    assert header == "'Node Reboot Groups'"
    assert sorted(",".join(sets).split(",")) == ["a", "b", "c", "d"]
    assert sets[-1].endswith("d"), "the master goes last"
    for one in sets:
        assert not {"a", "b"} <= set(one.split(","))
        assert not {"c", "d"} <= set(one.split(","))


def test_one_step_moves_and_filters(pairs, capsys):
    assert hroller.main(["-t", pairs, "--one-step-only", "--no-headers"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert hroller.main(["-t", pairs, "--full-evacuation", "--print-moves"]) == 0
    assert any(line.startswith("  i ") for line in capsys.readouterr().out.splitlines())
    assert hroller.main(["-t", pairs, "--node-tags", "none"]) == 1
    assert "Cannot create node graph" in capsys.readouterr().err


def test_all_ways_colour_properly(pairs):
    data = text.load(pairs)
    graph = colouring.graph(data, range(4), offline_maintenance=False)
    for way in colouring.WAYS:
        classes = colouring.coloured(graph, way)
        assert sorted(node for one in classes for node in one) == [0, 1, 2, 3]
        assert all(other not in one or other == node for one in classes for node in one for other in graph[node])


def test_squeezing_takes_idle_nodes_and_gives_commands(tmp_path, capsys):
    nodes = [(name, 16384, 100000, "M" if name == "a" else "N", "") for name in "abc"]
    path = written(tmp_path / "idle", nodes, [("i", "b", "", "ext")])
    assert hsqueeze.main(["-t", path, "-C"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "'Nodes to offline'"
    assert "    gnt-node power -f off c" in lines
    assert "    gnt-node add-tags c htools:standby:auto" in lines


def test_squeezing_brings_standby_nodes_back(tmp_path, capsys):
    nodes = [("a", 1024, 100000, "M", ""), ("b", 16384, 100000, "Y", "htools:standby:auto")]
    path = written(tmp_path / "full", nodes, [])
    assert hsqueeze.main(["-t", path, "--minimal-resources", "20"]) == 0
    assert capsys.readouterr().out.splitlines() == ["'Nodes to online'", "b"]


def test_room_for_more(tmp_path, capsys):
    path = written(tmp_path / "room", [(name, 16384, 100000, "N", "") for name in "abc"], [])
    arguments = ["-t", path, "--disk-template", "plain", "--standard-alloc", "30g,2g,1", "--tiered-alloc", "60g,4g,2"]
    assert hspace.main(arguments) == 0
    out = capsys.readouterr().out
    assert "There are no initial instances on the cluster." in out
    assert "  -   6 instances allocated" in out
    assert hspace.main([*arguments, "--machine-readable", "-l", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "HTS_ALLOC_INSTANCES=2" in lines
    assert "HTS_TSPEC='4096,61440,2,1=2'" in lines
    assert lines[-1] == "HTS_OK=1"


def test_repair_tags_read_as_written():
    for record in (Record(Repair.FAILOVER, "u-1", 5, (7, 8)), Record(Repair.REINSTALL, "u", 9, (), Result.ENOPERM)):
        assert repair.record(record.tag) == record
    assert repair.record("ganeti:watcher:autorepair:pending:fly:u:1:2") is None
    assert repair.record("other") is None


def test_which_repair_counts():
    failed = [Record(Repair.FAILOVER, "u", time, (1,), Result.FAILURE).tag for time in (9, 4)]
    good = Record(Repair.FAILOVER, "u", 99, (1,), Result.SUCCESS).tag
    first = repair.current([good, *failed])
    assert first is not None
    assert first.time == 4
    with pytest.raises(Conflict):
        repair.current([Record(Repair.FAILOVER, uuid, 1, (1,)).tag for uuid in "ab"])
    assert repair.current([]) is None


def test_the_nearest_policy_counts():
    fix, move, never = (f"{repair.PREFIX}{kind}" for kind in ("fix-storage", "reinstall", "suspend"))
    assert repair.policy([], [move], [fix], 0).most is Repair.REINSTALL
    assert repair.policy([move, fix], [], [], 0).most is Repair.FIX_STORAGE
    assert repair.policy([never], [], [move], 0).suspended == 0
    assert repair.policy([f"{never}:50"], [], [move], 60).most is Repair.REINSTALL
    assert repair.policy([f"{never}:50"], [], [move], 40).suspended == 50
    assert repair.policy([], [], [], 0) == repair.Policy()


@pytest.mark.parametrize(("first", "second", "kind"), [("N", "Y", Repair.FIX_STORAGE), ("Y", "N", Repair.FAILOVER),
                                                       ("Y", "Y", Repair.REINSTALL), ("N", "N", None)])
def test_what_is_broken(tmp_path, first, second, kind):
    nodes = [("a", 15360, 97952, first, ""), ("b", 16384, 97952, second, ""), ("c", 16384, 100000, "M", "")]
    data = text.load(written(tmp_path / "broken", nodes, [("i", "a", "b", "drbd"), ("p", "c", "", "plain")]))
    found = repair.needed(data, data.instances[0])
    assert (found and found[0]) == kind
    assert data.instances[1].template is Template.PLAIN
    assert repair.needed(data, data.instances[1]) is None


def test_only_what_runs_is_stopped_before_its_disks_are_made_anew(tmp_path):
    nodes = [("a", 15360, 97952, "Y", ""), ("b", 16384, 97952, "M", "")]
    data = text.load(written(tmp_path / "lost", nodes, [("i", "a", "", "plain")]))
    found = {}
    for status in (Status.ERROR_NODEOFFLINE, Status.ADMIN_DOWN):
        _, opcodes = repair.needed(data, data.instances[0]._replace(status=status)) or (None, [])
        found[status] = [str(opcode["OP_ID"]).removeprefix("OP_INSTANCE_") for opcode in opcodes]
    assert found[Status.ADMIN_DOWN] == ["RECREATE_DISKS", "REINSTALL"]
    assert found[Status.ERROR_NODEOFFLINE] == ["SHUTDOWN", *found[Status.ADMIN_DOWN], "STARTUP"]
