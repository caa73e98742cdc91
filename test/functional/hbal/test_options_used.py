# SPDX-License-Identifier: BSD-2-Clause
"""Options that other tests of the programs leave out: each changes what comes out, as its help says."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import hbal_unbalanced

DATA = Path(__file__).parents[2] / "data" / "hbal"
MIXED, UNBALANCED, N1, REQUEST, RAPI = (str(DATA / name) for name in (
    "mixed.data", "unbalanced.data", "n1-failure.data", "allocate.json", "rapi"))
PROGRAMS = ("hail", "harep", "hbal", "hcheck", "hinfo", "hroller", "hscan", "hspace", "hsqueeze")
SMALL = ("--disk-template", "plain", "--standard-alloc", "20g,2g,1", "--tiered-alloc", "100g,4g,2")

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_tells_about_itself(run: Run, program: str) -> None:
    code, out, err = run(program, "-V")
    assert (code, err) == (0, "")
    assert re.fullmatch(rf"{program} \(ganeti\) version \S+\ncompiled with .+\nrunning on linux \S+\n", out)
    code, out, err = run(program, "-h")
    assert (code, err, out.splitlines()[1]) == (0, "", f"Usage: {program} [OPTION...]")
    code, completion, err = run(program, "--help-completion")
    assert (code, err) == (0, "")
    options = [line for line in completion.splitlines() if line.startswith("-")]
    assert all(line.split()[0].split(",")[-1] in out for line in options)
    assert completion.splitlines()[len(options):] == {"hail": ["file 1 1"], "hscan": ["host 0 none"]}.get(program, [])


def kvm(tmp_path: Path) -> str:
    """A request on a cluster of KVM nodes, which report little memory of their own."""
    (tmp_path / "kvm").write_text(Path(REQUEST).read_text())
    return str(tmp_path / "kvm")


@pytest.mark.parametrize(("program", "more"), [
    ("hail", ["-p"]), ("hspace", ["-p", *SMALL, "-l", "1", "--no-capacity-checks", "-I"]), ("hbal", ["-p", "-I"]),
    ("hinfo", ["-p", "-I"])])
def test_memory_of_kvm_nodes(run: Run, tmp_path: Path, program: str, more: list[str]) -> None:
    for option, memory in ((["--static-kvm-node-memory=2000"], "2000"), (["--static-kvm-node-memory=0"], "1024"),
                           ([], "4096")):
        _, out, err = run(program, *option, *more, kvm(tmp_path))
        [first, *_] = [line.split() for line in (out + err).splitlines() if " node1 " in f"{line} "]
        assert memory in first, (option, first)


def test_hroller_and_hsqueeze_count_memory_of_kvm_nodes(run: Run) -> None:
    for program, more in (("hroller", ["-f", "--ignore-non-redundant", "-m", f"file://{RAPI}"]),
                          ("hsqueeze", ["-t", MIXED])):
        code, _, err = run(program, "--static-kvm-node-memory=1", *more)
        assert (code, "Error" in err) == (0, False), err


def reports(names: list[str], collector: str, data: Any) -> str:
    return json.dumps([{"node": name, "reports": [{"name": collector, "data": data}]} for name in names])


def test_loads_that_nodes_measured(run: Run, tmp_path: Path) -> None:
    names = [f"node-00-00{number}" for number in range(6)]
    total, xen = tmp_path / "total", tmp_path / "xen"
    total.write_text(reports(names, "cpu-avg-load", {"cpu_total": 3.0}))
    xen.write_text(reports(names, "xen-cpu-avg-load", {f"inst-{number}": 0.25 for number in range(16)}))
    plain = run("hbal", "-t", MIXED, "-l", "0", "-v", "-v")[1]
    measured = run("hbal", "-t", MIXED, "-l", "0", "-v", "-v", "--mond", "--mond-data", str(total))[1]
    by_domain = run("hbal", "-t", MIXED, "-l", "0", "-v", "-v", "--mond", "--mond-xen", "--mond-data", str(xen))[1]
    assert len({plain, measured, by_domain}) == 3
    assert "cpu_load_cv" in measured
    total.write_text(reports(names[1:], "cpu-avg-load", {"cpu_total": 3.0}))
    arguments = ["-t", MIXED, "-l", "0", "--mond", "--mond-data", str(total)]
    code, _, err = run("hbal", *arguments)
    assert (code, err) == (0, "Didn't receive an answer by all MonDs, cpu-avg-load's data will be ignored.\n")
    code, _, err = run("hbal", *arguments, "--exit-on-missing-mond-data")
    assert (code, err.splitlines()[-1]) == (1, "Error: Not all required data available")
    assert run("hbal", *arguments, "--exit-on-missing-mond-data", "--ignore-dynu")[0] == 0


def request(tmp_path: Path, **changes: Any) -> str:
    message = json.loads(Path(REQUEST).read_text())
    message["request"] |= {"disks": [{"size": 2048}], "disk_space_total": 2048} | changes
    (tmp_path / "request").write_text(json.dumps(message))
    return str(tmp_path / "request")


def test_hail_may_break_what_may_be_broken(run: Run, tmp_path: Path) -> None:
    """An exclusion tag is on node1 already; node2 is a secondary only."""
    asked = request(tmp_path, tags=["t:1"], disk_template="plain", required_nodes=1,
                    **{"restrict-to-nodes": ["node1"]})
    strict, lenient = (json.loads(run("hail", *options, asked)[1]) for options in ([], ["--ignore-soft-errors"]))
    assert strict["info"].endswith("failure reasons: FailTags: 1")
    assert lenient["result"] == ["node1"]


def test_hail_without_loads(run: Run, tmp_path: Path) -> None:
    asked = request(tmp_path, disk_template="plain", required_nodes=1)
    infos = [json.loads(run("hail", "--no-capacity-checks", *options, asked)[1])["info"]
             for options in ([], ["--ignore-dynu"])]
    scores = [float(match[1]) for info in infos if (match := re.search(r"score: (\S+),", info))]
    assert len(scores) == 2
    assert scores[0] != scores[1]
    code, _, err = run("hail", "--mond=no", "--mond-xen", asked)
    assert (code, err) == (0, "")


def test_hspace_takes_what_others_take(run: Run) -> None:
    for source in (["-m", f"file://{RAPI}"], ["-I", REQUEST]):
        code, out, err = run("hspace", *source, *SMALL, "-q", "--accept-existing-errors", "-p")
        assert code == 0, err
        assert out.startswith("The cluster has ")
        assert "Standard allocation status:" in err


def test_hroller_takes_what_others_take(run: Run) -> None:
    for source in (["-m", f"file://{RAPI}"], ["-I", REQUEST]):
        code, out, err = run("hroller", *source, "-f", "-q", "--ignore-non-redundant")
        assert (code, out.splitlines()[0]) == (0, "'Node Reboot Groups'"), err


def test_hroller_leaves_nodes_out(run: Run) -> None:
    """Each node but two has a guest without a second copy."""
    everything, redundant = (set(re.split(r"[\n,]", run("hroller", "-t", MIXED, "--no-headers", *options)[1])) - {""}
                             for options in ([], ["--skip-non-redundant"]))
    assert len(everything) == 6
    assert redundant < everything
    rows = [line.split("|") for line in Path(MIXED).read_text().splitlines() if line.startswith("inst-")]
    assert not redundant & {row[6] for row in rows if row[8] != "drbd"}


@pytest.mark.parametrize("options", [
    ["--no-disk-moves"], ["--no-instance-moves"], ["-E"], ["--max-cpu", "1"], ["--min-disk", "0.8"],
    ["-g", "1000", "--min-gain-limit", "1000"], ["-e", "1000"], ["--select-instances", "inst0"],
    ["--exclude-instances", "inst0,inst1,inst2,inst3,inst4"]])
def test_hcheck_simulates_as_hbal_searches(run: Run, tmp_path: Path, options: list[str]) -> None:
    case = hbal_unbalanced.case(3, on=frozenset({"different"}), off=frozenset(hbal_unbalanced.FEATURES) - {"different"})
    lines = case.text.splitlines()
    node = next(place for place, line in enumerate(lines) if line.startswith("node0|"))
    columns = lines[node].split("|")
    columns[7] = "Y"
    lines[node] = "|".join(columns)
    (tmp_path / "case").write_text("\n".join(lines) + "\n\n\n")
    source = ["-t", str(tmp_path / "case")]
    out = run("hbal", *source, *options)[1]
    checked = run("hcheck", *source, *options)[1]
    final = re.search(r"^Cluster score improved from \S+ to (\S+)$", out, re.MULTILINE)
    initial = re.search(r"^Initial score: (\S+)$", out, re.MULTILINE)
    assert initial is not None
    scores = re.findall(r"^ +Group score: (\S+)$", checked, re.MULTILINE)
    assert scores == [initial[1], final[1] if final else initial[1]]


@pytest.mark.parametrize("options", [["--exclusion-tags", "t"], ["--ignore-soft-errors"]])
def test_hcheck_knows_the_rules_of_hbal(run: Run, options: list[str]) -> None:
    code, out, _ = run("hcheck", "-t", N1, *options)
    assert code == 1
    assert out.startswith("Cluster needs rebalancing.\n")


def test_hscan_says_that_there_is_no_master_here(run: Run, tmp_path: Path) -> None:
    code, _, err = run("hscan", "-d", str(tmp_path), f"-L{tmp_path}/socket")
    assert code == 2
    assert err.startswith("\nError for LOCAL: failed to load data. Details:\n")
