# SPDX-License-Identifier: BSD-2-Clause
"""hbal from the command line: what it prints, its options, its exit codes, and jobs over LUXI."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from hbal import execute, jobs
from hbal.core.arrays import State, build
from hbal.core.greedy import Greedy, Stop
from hbal.core.jobsets import job_sets
from hbal.core.moves import Restrictions, Step
from hbal.execute import Execution
from hbal.jobs import JobsFailed, Label
from hbal.load import text
from hbal.load.prepare import prepare
from hbal.model import ClusterData
from hbal.programs import hbal
from support import hbal_unbalanced
from support.fake_luxi import FakeLuxi

DATA = Path(__file__).parents[2] / "data" / "hbal"
UNBALANCED, TWO, N1 = (str(DATA / name) for name in ("unbalanced.data", "two-groups.data", "n1-failure.data"))
EMPTY = "group1|uuid1|preferred||\n\nnode0|100|0|100|1000|1000|1|M|uuid1|2||N|0|1|1.0\n\n\n\n"

Golden = Callable[[Path, str], None]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """`run(arguments...)`: exit code, stdout, stderr."""
    def start(*argv: str) -> tuple[int, str, str]:
        code = hbal.main(argv)
        captured = capfd.readouterr()
        return code, captured.out, captured.err
    return start


def length(out: str) -> int:
    found = re.search(r"^Solution length=(\d+)$", out, re.MULTILINE)
    assert found, out
    return int(found[1])


@pytest.mark.parametrize(("name", "argv"), [
    ("plain", []), ("commands", ["-C", "-l", "6"]), ("first-set", ["-C", "--first-job-group"]),
    ("lists", ["-p", "--print-instances", "-l", "2"]), ("fields", ["-p+fqdn,peermap", "-l", "1", "-q"]),
    ("verbose", ["-v", "-v", "-v", "-l", "1"]),
    ("explain", ["--explain", "inst14"]),
    ("explain-limits", ["--explain", "inst14", "--max-cpu", "1.5", "-O", "node1"]),
    ("evacuation", ["-O", "node1", "-E", "-C"]), ("no-disks", ["--no-disk-moves"]),
    ("no-instances", ["--no-instance-moves"]), ("restricted", ["--restricted-migration"]),
])
def test_output(name: str, argv: list[str], run: Run, golden: Golden) -> None:
    code, out, err = run("-t", UNBALANCED, *argv)
    assert code == 0
    golden(DATA / "golden" / f"hbal-{name}.txt", f"{out}---- stderr\n{err}")


def test_the_solution_is_not_improved_again(run: Run, tmp_path: Path) -> None:
    _, _, err = run("-t", UNBALANCED, "-S", str(tmp_path / "state"))
    assert [line.rpartition("'")[0].rpartition("/")[2] for line in err.splitlines()] == [
        "state.original", "state.balanced"]
    assert (tmp_path / "state.original").read_text() == text.dump(text.load(UNBALANCED))
    code, out, _ = run("-t", str(tmp_path / "state.balanced"))
    assert code == 0
    assert length(out) == 0


def test_the_state_after_is_that_of_the_group(run: Run, tmp_path: Path) -> None:
    """It can be balanced again without naming the group."""
    _, _, err = run("-t", TWO, "-G", "group-01", "-S", str(tmp_path / "state"), "-e", "-1")
    assert "state.balanced" in err
    code, out, _ = run("-t", str(tmp_path / "state.balanced"), "-l", "0")
    assert (code, "Selected node group: group-01\n" in out) == (0, True)
    assert len(text.load(str(tmp_path / "state.original")).groups) == 2
    assert len(text.load(str(tmp_path / "state.original")).nodes) == 4


def test_commands_in_a_file(run: Run, tmp_path: Path, golden: Golden) -> None:
    path = tmp_path / "moves.sh"
    _, out, _ = run("-t", UNBALANCED, f"-C{path}", "-l", "3")
    assert out.endswith(f"The commands have been written to file '{path}'\n")
    golden(DATA / "golden" / "hbal-script.txt", path.read_text())
    assert subprocess.run(["/bin/sh", "-n", str(path)], check=False).returncode == 0


def test_commands_where_nothing_is_searched(run: Run, tmp_path: Path) -> None:
    _, out, _ = run("-t", UNBALANCED, "-C", "-l", "0")
    assert out.endswith("Solution length=0\n\nCommands to run to reach the above solution:\n")
    path = tmp_path / "moves.sh"
    _, out, _ = run("-t", UNBALANCED, f"-C{path}", "-l", "0")
    assert out.endswith(f"The commands have been written to file '{path}'\n")
    assert path.read_text().endswith("}\n\n")


def test_offline_nodes_violate_policies_too(run: Run) -> None:
    for options in ([], ["-O", "node1"]):
        _, out, _ = run("-t", UNBALANCED, "-l", "0", "--max-cpu", "0.01", *options)
        assert "The cluster contains 6 policy-violating nodes.\n" in out


def test_groups(run: Run) -> None:
    code, out, err = run("-t", TWO)
    assert (code, out.splitlines()) == (1, ["Loaded 4 nodes, 3 instances"])
    assert err.startswith("Found multiple node groups:\n  ")
    assert err.endswith("Error: Aborting.\n")
    code, _, err = run("-t", TWO, "-G", "nowhere")
    assert code == 1
    assert err.startswith("Node group nowhere not found. Node group list is:\n")


def test_a_group_without_nodes(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "groups.data"
    path.write_text("group2|uuid2|preferred||\n" + Path(UNBALANCED).read_text())
    code, out, _ = run("-t", str(path), "-G", "group2")
    assert code == 0
    assert "Group size 0 nodes, 0 instances" in out


def test_a_group_that_is_not_n1_safe(run: Run) -> None:
    code, out, _ = run("-t", N1, "-G", "g1")
    assert code == 0
    assert "Cluster is not N+1 happy, continuing but no guarantee that the cluster will end N+1 happy." in out


@pytest.mark.parametrize(("argv", "code", "message"), [
    (["-O", "nowhere"], 1, "Error: wrong node name(s) set as offline: nowhere\n"),
    (["-X", "-l", "0"], 1, "Error: hbal: Execution of commands possible only on LUXI\n"),
    (["--select-instances", "nothing"], 1, 'Unknown instance(s): ["nothing"]'),
    (["-U", "/nowhere", "--ignore-dynu"], 1, "Error: cannot read utilisation data from /nowhere: No such file"),
    (["--explain", "nothing"], 1, 'Error: Unknown instance(s): ["nothing"]: no instance of group group1 has this'),
    (["--priority", "urgent"], 1, "Error while parsing command line arguments:\nUnknown priority"),
    (["--method", "luck"], 1, "Error while parsing command line arguments:\nUnknown method"),
    (["--bogus"], 2, "Command line error: unrecognized option `--bogus'"),
    (["word"], 1, "Error: This program doesn't take any arguments.\n"),
    (["-m", "x"], 1, "Error: Only one of the rapi, luxi, and data files options should be given.\n"),
    (["-S", "/nowhere/x"], 1, "Error: cannot write /nowhere/x.original: No such"),
    (["-C/nowhere/x"], 1, "Error: Cannot write the commands to '/nowhere/x': No such"),
])
def test_refusals(argv: list[str], code: int, message: str, run: Run) -> None:
    found, _, err = run("-t", UNBALANCED, *argv)
    assert found == code
    assert message in err


def test_an_empty_cluster(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "empty.data"
    path.write_text(EMPTY)
    assert run("-t", str(path)) == (0, "Cluster is empty, exiting.\n", "")


def test_a_plan(run: Run) -> None:
    code, out, _ = run("-t", UNBALANCED, "--method=plan")
    assert code == 0
    lines = dict(re.findall(r"^Method (plan|greedy): +(score .*)$", out, re.MULTILINE))
    values = {name: re.findall(r"[\d.]+", line) for name, line in lines.items()}
    assert float(values["plan"][0]) < float(values["greedy"][0])
    assert int(values["plan"][3]) <= int(values["greedy"][3])
    assert f"to {values['plan'][0]}\n" in out
    assert length(out) == int(values["plan"][1])


def test_nothing_to_do(run: Run) -> None:
    code, out, _ = run("-t", UNBALANCED, "-e", "100")
    assert code == 0
    assert out.endswith("minimum score 100.000000).\nNothing to do, exiting\n")


def test_gains_that_are_too_small(run: Run) -> None:
    code, out, _ = run("-t", UNBALANCED, "--min-gain", "10000", "--min-gain-limit", "10000")
    assert code == 0
    assert "No solution found\n" in out


def test_selection_of_instances(run: Run) -> None:
    _, out, _ = run("-t", UNBALANCED, "--select-instances", "inst4,inst5")
    assert {line.split()[1] for line in out.splitlines() if " a=" in line} == {"inst4", "inst5"}
    _, out, _ = run("-t", UNBALANCED, "--exclude-instances", "inst14")
    assert "inst14" not in out


def test_utilisation(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "loads"
    path.write_text("".join(f"inst{index}.example.com {index} 1 1 1\n" for index in range(20)))
    plain, measured, ignored = (run("-t", UNBALANCED, "-l", "1", *argv)[1] for argv in (
        [], ["-U", str(path)], ["-U", str(path), "--ignore-dynu"]))
    assert len({plain, measured, ignored}) == 3


@pytest.mark.parametrize("argv", [["-l", "0"], ["--help"], ["--version"], ["-e", "100"]])
def test_numpy_is_loaded_only_to_search(argv: list[str]) -> None:
    script = ("import sys; from hbal.programs.hbal import main; code = main(sys.argv[1:]); "
              "assert not [name for name in sys.modules if name.startswith('numpy')]; sys.exit(code)")
    done = subprocess.run([sys.executable, "-c", script, "-t", UNBALANCED, *argv], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


# --- execution -----------------------------------------------------------------------------------------------------


class Cluster(FakeLuxi):
    """A master daemon whose jobs do at once what they say."""

    def __init__(self, data: ClusterData) -> None:
        super().__init__()
        self.data = data

    def _SubmitManyJobs(self, submitted: list[list[dict[str, Any]]]) -> list[list[Any]]:
        answers = super()._SubmitManyJobs(submitted)
        for ops in submitted:
            for op in ops:
                if not isinstance(self.results.get(op["OP_ID"]), tuple):
                    self.data = moved(self.data, op)
        return answers


def moved(data: ClusterData, op: dict[str, Any]) -> ClusterData:
    place = data.instance_index[op["instance_name"]]
    now, instances = data.instances[place], list(data.instances)
    if op["OP_ID"] == "OP_INSTANCE_MIGRATE":
        instances[place] = now._replace(primary=now.secondary, secondary=now.primary)
    else:
        instances[place] = now._replace(secondary=data.node_index[op["remote_node"]])
    return data._replace(instances=tuple(instances))


@pytest.fixture
def balanced() -> tuple[ClusterData, State, list[list[Step]]]:
    data = prepare(text.load(UNBALANCED))
    greedy = Greedy(build(data, 0), Restrictions(), Stop())
    return data, greedy.state, job_sets(list(greedy.steps()))


def execution(state: State, cluster: Cluster) -> Execution:
    def connect() -> AbstractContextManager[Cluster]:
        return nullcontext(cluster)

    return Execution(state, Label("hbal", "rebalancing via hbal", "low", "weekly"), connect, lambda _: cluster.data,
                     pause=lambda seconds: None)


Balanced = tuple[ClusterData, State, list[list[Step]]]


def test_all_steps_are_carried_out(balanced: Balanced, capsys: pytest.CaptureFixture[str]) -> None:
    data, state, sets = balanced
    cluster = Cluster(data)
    assert execution(state, cluster).run(sets) == 0
    for step in (step for jobs_of_set in sets for step in jobs_of_set):
        instance = cluster.data.instances[state.instance_ids[step.move.instance]]
        assert (instance.primary, instance.secondary) == (
            int(state.primary[step.move.instance]), int(state.secondary[step.move.instance]))
    out = capsys.readouterr().out
    assert out.count("Got job IDs ") == len(sets)
    assert f"Job set {len(sets)} of {len(sets)}: 1 of 1 jobs ended" in out
    op = cluster.jobs[1][0]
    assert op["priority"] == 10
    assert op["comment"].startswith("rebalancing via hbal ")
    assert op["reason"][0][:2] == ["hbal", "weekly"]


def test_opcodes_of_a_step(balanced: Balanced) -> None:
    _, state, sets = balanced
    step = next(step for jobs_of_set in sets for step in jobs_of_set if step.move.kind == 3)
    swap, replaced, again = execute.opcodes(step, state)
    assert swap == again == jobs.migrate(state.instances[step.move.instance].name)
    assert replaced["remote_node"] == state.nodes[step.move.target].name
    assert replaced["mode"] == "replace_new_secondary"


def test_a_job_that_fails_stops_it(balanced: Balanced) -> None:
    data, state, sets = balanced
    cluster = Cluster(data)
    cluster.results["OP_INSTANCE_REPLACE_DISKS"] = ("OpExecError", ["no disk"])
    with pytest.raises(JobsFailed, match=r"hbal: Not all jobs completed successfully: \[job \d+ error\]\nAborting\."):
        execution(state, cluster).run(sets)


def test_an_instance_that_was_moved_meanwhile_stops_it(balanced: Balanced) -> None:
    data, state, sets = balanced
    name = state.instances[sets[0][0].move.instance].name
    cluster = Cluster(moved(data, jobs.migrate(name)))
    with pytest.raises(JobsFailed, match=f"The cluster has changed: instance {name} is on "):
        execution(state, cluster).run(sets)
    assert cluster.jobs == {}


def test_a_set_that_would_break_n1_is_not_begun(balanced: Balanced) -> None:
    data, state, sets = balanced
    crowded = sets[0][0].new[0]
    nodes = list(data.nodes)
    nodes[crowded] = nodes[crowded]._replace(total_memory=7200.0)
    cluster = Cluster(data._replace(nodes=tuple(nodes)))
    with pytest.raises(JobsFailed, match="would no longer be N\\+1 safe"):
        execution(state, cluster).run(sets)
    assert cluster.jobs == {}


def test_an_interrupt_lets_the_set_end(balanced: Balanced, capsys: pytest.CaptureFixture[str]) -> None:
    data, state, sets = balanced
    running = execution(state, Cluster(data))
    running.pause = lambda seconds: os.kill(os.getpid(), signal.SIGINT)
    before = signal.getsignal(signal.SIGINT)
    assert running.run(sets) == 0
    assert signal.getsignal(signal.SIGINT) is before
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "Cancel request registered, will exit at the end of the current job set...",
        f"Execution was stopped: 1 job sets were submitted, {len(sets) - 1} remain."]
    assert captured.out.count("Got job IDs") == 1


def test_termination_ends_at_once(balanced: Balanced) -> None:
    data, state, sets = balanced
    running = execution(state, Cluster(data))
    running.pause = lambda seconds: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        running.run(sets)
    assert ended.value.code == 2


def test_polling_slows_down() -> None:
    pauses: list[float] = []
    answers = [["running"]] * 7 + [["success"]]
    client = FakeLuxi(QueryJobs=lambda ids, fields: [answers.pop(0)])
    assert jobs.wait(client, [5], pauses.append) == {5: "success"}
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]


def test_a_job_that_is_refused() -> None:
    client = FakeLuxi(SubmitManyJobs=[[True, 1], [False, "the queue is drained"]])
    with pytest.raises(JobsFailed, match="Job submission failed: the queue is drained"):
        jobs.submit(client, [[], []])


# --- the original --------------------------------------------------------------------------------------------------

ORIGINAL = Path("/usr/bin/hbal")
STEP = re.compile(r"^ +\d+\. (\S+) .* => .* (\S+) a=(.*)$", re.MULTILINE)


def outcome(out: str) -> tuple[str, list[tuple[str, str, str]]]:
    """The initial score, and instance, moves and score of each step."""
    found = re.search(r"^Initial score: (\S+)$", out, re.MULTILINE)
    return (found[1] if found else out), [(name, moves, score) for name, score, moves in STEP.findall(out)]


@pytest.mark.skipif(not ORIGINAL.exists(), reason="Debian's ganeti-htools is not installed")
@pytest.mark.parametrize("seed", range(40))
def test_steps_are_those_of_the_original(seed: int, run: Run, tmp_path: Path) -> None:
    case = hbal_unbalanced.case(seed, off=frozenset({"missing"}))
    (tmp_path / "data").write_text(case.text)
    argv: Sequence[str] = ("-t", str(tmp_path / "data"), *case.options)
    if case.loads is not None:
        (tmp_path / "loads").write_text(case.loads)
        argv = (*argv, "-U", str(tmp_path / "loads"))
    done = subprocess.run([ORIGINAL, *argv], capture_output=True, text=True, check=False)
    code, out, _ = run(*argv)
    assert code == done.returncode
    assert outcome(out) == outcome(done.stdout), sorted(case.features)
