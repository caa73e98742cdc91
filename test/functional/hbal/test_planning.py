# SPDX-License-Identifier: BSD-2-Clause
"""The programs that plan: hspace, hroller, hsqueeze, hail; whole outputs, exit codes, options, and files they write."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "data" / "hbal"
MIXED, EXTERNAL, NARROW, TWO, REQUEST = (str(DATA / name) for name in (
    "mixed.data", "external.data", "narrow.data", "two-groups.data", "allocate.json"))
SMALL = ("--standard-alloc", "20g,2g,1", "--tiered-alloc", "100g,4g,2")
GROUPS = ("--simulate", "p,3,400g,16g,8", "--simulate", "a,2,200g,8g,4")

Golden = Callable[[Path, str], None]
Run = Callable[..., tuple[int, str, str]]

CASES = [
    ("hspace", "hspace", ["-t", MIXED, "--disk-template", "plain", *SMALL]),
    ("hspace-machine", "hspace", ["-t", MIXED, "--disk-template", "drbd", "--machine-readable", *SMALL]),
    ("hspace-unchecked", "hspace", ["-t", MIXED, "--disk-template", "ext", "--no-capacity-checks", "-l", "5", *SMALL]),
    ("hspace-groups", "hspace", [*GROUPS, "--disk-template", "plain", "--independent-groups", *SMALL]),
    ("hspace-accept", "hspace", ["-t", EXTERNAL, "--disk-template", "ext", "--accept-existing-errors", *SMALL]),
    ("hspace-limits", "hspace", ["-t", MIXED, "--disk-template", "plain", "--max-cpu", "1.5", "--min-disk", "0.3",
                                 "--spindle-use", "2", "-O", "node-00-003", *SMALL]),
    ("hspace-spindles", "hspace", ["-t", MIXED, "--disk-template", "ext", "--spindle-use", "3",
                                   "--machine-readable", *SMALL]),
    ("hspace-shrunk", "hspace", ["-t", NARROW, "--disk-template", "plain", "--no-capacity-checks"]),
    ("hroller", "hroller", ["-t", MIXED]), ("hroller-verbose", "hroller", ["-t", MIXED, "-v"]),
    ("hroller-moves", "hroller", ["-t", MIXED, "--print-moves"]),
    ("hroller-empty", "hroller", ["-t", MIXED, "--full-evacuation", "--print-moves"]),
    ("hroller-down", "hroller", ["-t", MIXED, "--offline-maintenance", "--ignore-non-redundant", "--no-headers"]),
    ("hroller-first", "hroller", ["-t", MIXED, "--one-step-only"]),
    ("hroller-group", "hroller", ["-t", TWO, "-G", "group-01", "-f", "-O", "node1"]),
    ("hsqueeze", "hsqueeze", ["-t", EXTERNAL, "-C", "-v"]),
    ("hsqueeze-most", "hsqueeze", ["-t", EXTERNAL, "--target-resources", "0", "--no-headers"]),
    ("hsqueeze-back", "hsqueeze", ["-t", EXTERNAL, "--minimal-resources", "100", "-C"]),
    ("hsqueeze-none", "hsqueeze", ["-t", MIXED, "--target-resources", "1000"]),
    ("hail", "hail", [REQUEST]), ("hail-elsewhere", "hail", ["-t", MIXED, REQUEST]),
    ("hail-restricted", "hail", ["--restrict-allocation-to", "node1,node2", "--no-capacity-checks", REQUEST]),
]


@pytest.mark.parametrize(("name", "program", "argv"), CASES, ids=[case[0] for case in CASES])
def test_whole_outputs(run: Run, golden: Golden, name: str, program: str, argv: list[str]) -> None:
    code, out, err = run(program, *argv)
    golden(DATA / "golden" / f"{name}.txt", f"{out}--- stderr\n{err}--- {code}\n")


ORIGINAL = Path("/usr/bin/hbal")
OWN_WAY = {"hroller-group"}
"""The original counts nodes that were filtered out."""


@pytest.mark.skipif(not ORIGINAL.exists(), reason="Debian's ganeti-htools is not installed")
@pytest.mark.parametrize(("name", "program", "argv"), CASES, ids=[case[0] for case in CASES])
def test_the_original_says_the_same(run: Run, name: str, program: str, argv: list[str]) -> None:
    code, out, _ = run(program, *argv)
    done = subprocess.run([ORIGINAL, *argv], env={**os.environ, "HTOOLS": program}, capture_output=True, text=True,
                          check=False)
    if name not in OWN_WAY:
        assert (out.strip(), code) == (done.stdout.strip(), done.returncode)


def test_states_are_saved(run: Run, tmp_path: Path) -> None:
    for program, argv, suffixes, whens in (
            ("hspace", ["-t", MIXED, "--disk-template", "plain", "-l", "1", *SMALL], ("tiered", "standard"),
             ("after tiered allocation", "after standard allocation")),
            ("hroller", ["-t", MIXED], ("original",), ("before hroller run",)),
            ("hsqueeze", ["-t", EXTERNAL], ("original", "squeezed"), ("before hsqueeze run", "after hsqueeze run")),
            ("hsqueeze", ["-t", EXTERNAL, "--minimal-resources", "100"], ("original", "squeezed"),
             ("before hsqueeze run", "after hsqueeze expansion")),
            ("hail", [REQUEST], ("pre-ialloc", "post-ialloc"),
             ("before iallocator run", "after iallocator run"))):
        code, _, err = run(program, *argv, "-S", str(tmp_path / program))
        assert code == 0
        assert re.findall(r"The cluster state (.*) has been written to file '.*/(.*)'", err) == [
            (when, f"{program}.{suffix}") for when, suffix in zip(whens, suffixes, strict=True)]
        for suffix in suffixes:
            saved = str(tmp_path / f"{program}.{suffix}")
            assert run("hinfo", "-t", saved)[0] == 0, saved
    code, _, err = run("hspace", "-t", MIXED, "-S", str(tmp_path / "no" / "such"), "-l", "1", *SMALL,
                       "--disk-template", "plain")
    assert code == 1
    assert err.splitlines()[-1].endswith("such.tiered: No such file or directory")


def test_hail_as_others_start_it(run: Run, tmp_path: Path) -> None:
    """What is installed among the allocators: a program that takes a file and prints the answer."""
    program = "from hbal.programs.hail import main\nraise SystemExit(main())"
    (tmp_path / "hail").write_text(f"#!{sys.executable}\n{program}\n")
    (tmp_path / "hail").chmod(0o755)
    installed = Path(__file__).parents[3] / "tools" / "hbal" / "iallocators" / "hail"
    done = subprocess.run([installed, REQUEST], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True,
                          text=True, check=True)
    assert done.stdout == run("hail", REQUEST)[1]


@pytest.mark.parametrize(("spec", "template", "lack"), [
    ("p,1,200g,8g,8", "drbd", "Not enough"), ("u,3,200g,8g,8", "plain", "No"), ("p,0,200g,8g,8", "ext", "No")])
def test_a_cluster_without_nodes_to_allocate_on(run: Run, spec: str, template: str, lack: str) -> None:
    code, out, err = run("hspace", "--simulate", spec, "--disk-template", template)
    assert (code, err) == (1, f"Error: failure during allocation: {lack} online nodes\n")
    assert out.startswith("The cluster has ")


def test_several_masters(run: Run, tmp_path: Path) -> None:
    path = cluster(tmp_path, "n1|9|0|9|9|9|M n2|9|0|9|9|9|N n3|9|0|9|9|9|M", "")
    assert run("hroller", "-f", "-t", path) == (1, "", 'Error: Found more than one master node: ["n1","n3"]\n')


def test_a_group_that_there_is_not(run: Run) -> None:
    code, _, err = run("hroller", "-t", MIXED, "-G", "nowhere")
    assert (code, err) == (1, "Node group nowhere not found. Node group list is:\n  group-00\nError: Aborting.\n")


def cluster(tmp_path: Path, nodes: str, instances: str, tags: str = "") -> str:
    """A text file with one group: nodes as `name|memory|of the node|free|disk|free disk|role`, all with the tags,
    instances as `name|memory|disk|primary|secondary|template|forthcoming`.
    """
    text = ["group|uuid|preferred||\n"]
    for line in nodes.split():
        *sizes, role = line.split("|")
        text.append(f"{'|'.join(sizes)}|8|{role}|uuid|1|{tags}|N|0|1|1.0")
    text.append("")
    for line in instances.split():
        name, memory, disk, primary, secondary, template, forthcoming = line.split("|")
        text.append(f"{name}|{memory}|{disk}|1|running|Y|{primary}|{secondary}|{template}||1|-|{forthcoming}")
    path = tmp_path / "cluster.data"
    path.write_text("\n".join([*text, "\n"]))
    return str(path)


def test_an_instance_that_is_only_to_come_is_in_nobodys_way(run: Run, tmp_path: Path) -> None:
    """It has nothing to be moved, and reserves nothing that two reboots at once could take from it."""
    path = cluster(tmp_path, """
        node1|16384|0|16384|100000|100000|N
        node2|16384|0|16384|100000|100000|N
        node3|16384|0|16384|100000|100000|M""", """
        huge|20480|1024|node1||plain|Y
        one|1024|1024|node1|node3|drbd|Y
        other|1024|1024|node2|node3|drbd|Y""")
    for option in ("--print-moves", "--full-evacuation"):
        assert run("hroller", "-t", path, option) == (0, "'Node Reboot Groups'\nnode1,node2\nnode3\n", "")


def test_guests_that_came_last_leave_first(run: Run, tmp_path: Path) -> None:
    path = cluster(tmp_path, """
        node1|16384|0|10240|100000|97952|N
        node2|16384|0|16128|100000|97952|N
        node3|4096|0|4096|100000|98976|N
        node4|16384|0|16384|100000|98976|M""", """
        first|3072|1024|node1||plain|N
        second|3072|1024|node1||plain|N
        pair1|128|1024|node2|node3|drbd|N
        pair2|128|1024|node2|node4|drbd|N""")
    assert run("hroller", "-t", path, "--print-moves") == (
        0, "'Node Reboot Groups'\nnode1,node2\n  first node3\n  second node4\nnode3,node4\n", "")


def test_a_node_without_disk_takes_no_second_copy(run: Run, tmp_path: Path) -> None:
    path = cluster(tmp_path, """
        node1|16384|0|15360|1024|0|M
        node2|16384|0|16384|100000|98976|N
        node3|16384|0|16384|100000|100000|N""", "pair|1024|1024|node1|node2|drbd|N")
    assert run("hroller", "-t", path)[0] == 0
    assert run("hroller", "-t", path, "--full-evacuation") == (1, "", "Error: Failed to migrate instances off nodes\n")


SQUEEZED = """
        node1.example.com|16384|0|1024|100000|90000|M
        node2.example.com|16384|0|16384|100000|100000|N
        node3.example.com|16384|0|16384|100000|100000|Y"""


def test_no_node_is_switched_on_where_balancing_is_enough(run: Run, tmp_path: Path) -> None:
    path = cluster(tmp_path, SQUEEZED, """
        a.example.com|7680|1024|node1.example.com||ext|N
        b.example.com|7680|1024|node1.example.com||ext|N""", tags="htools:standby:auto")
    code, out, _ = run("hsqueeze", "-t", path, "--minimal-resources", "16", "-v", "-C")
    assert (code, out) == (0, """\
Offline candidates: node2.example.com
Online candidates: node3.example.com
'Nodes to online'

Commands to run:
  echo Power Commands
  {blank}
  echo jobset 1, 1 jobs
    echo job 1/1
    gnt-instance migrate -f -n node2 a.example.com
""".replace("{blank}", ""))
    code, out, _ = run("hsqueeze", "-t", path, "--minimal-resources", "100", "-v")
    assert out.splitlines()[2:] == [
        "'Nodes to online'", "node3.example.com", "Onlining all nodes will not yield enough capacity"]


def test_what_is_only_to_come_keeps_no_node_on(run: Run, tmp_path: Path) -> None:
    path = cluster(tmp_path, SQUEEZED, "a.example.com|1024|1024|node1.example.com|node2.example.com|drbd|Y")
    _, out, _ = run("hsqueeze", "-t", path, "--minimal-resources", "0", "-v")
    assert out.splitlines()[0] == "Offline candidates: node2.example.com"


def test_hspace_counts_what_is_there(run: Run, tmp_path: Path) -> None:
    """Not what is only to come; memory that is missing counts as it is, also below 0."""
    path = cluster(tmp_path, """
        node1|16384|512|15872|100000|98976|M
        node2|16384|512|15972|100000|100000|N""", """
        here|1024|1024|node1||plain|N
        soon|1024|1024|node1||plain|Y""")
    _, out, _ = run("hspace", "-t", path, "--disk-template", "plain", "--machine-readable", *SMALL)
    lines = dict(line.removeprefix("HTS_").split("=") for line in out.splitlines() if line.startswith("HTS_INI"))
    assert (lines["INI_INST_CNT"], lines["INI_MEM_OVERHEAD"]) == ("1", "'-100'")


def test_independent_groups_are_those_that_can_lose_a_node(run: Run, tmp_path: Path) -> None:
    """With and without checks afterwards; offline nodes count only where errors are not accepted."""
    path = cluster(tmp_path, """
        node1|16384|0|4096|100000|98976|M
        node2|8192|0|8192|100000|100000|N""", "large|12288|1024|node1||plain|N")
    argv = ("-t", path, "--disk-template", "plain", "-l", "1", "--independent-groups", *SMALL)
    for option in ((), ("--no-capacity-checks",), ("--accept-existing-errors",)):
        code, _, err = run("hspace", *argv, *option)
        assert (code, err) == (1, "Error: failure during allocation: No online nodes\n"), option
    assert run("hspace", *argv, "-O", "node1")[0] == 1
    code, out, _ = run("hspace", *argv, "-O", "node1", "--accept-existing-errors")
    assert (code, "  -   1 instances allocated" in out) == (0, True)


def test_sizes_shrink_to_what_the_groups_to_allocate_on_allow(run: Run, tmp_path: Path) -> None:
    """Nodes without memory, and one with two CPUs left, among groups of which one takes nothing but small ones."""
    nodes = "".join(f"{name}|{memory}|1000|{memory - 1000}|99999|99999|4|{role}|u|1||N|0|{cpus}|1.0\n"
                    for name, memory, role, cpus in (("a", 1001, "M", 1), ("b", 1001, "N", 1), ("c", 9000, "N", 14)))
    low, high = "1,1024,1,1,1", "8,4096,16,8,12"
    (tmp_path / "shrunk").write_text(
        f"g|u|preferred||\nother|v|unallocable||\n\n{nodes}\n\n\n|512,{low}|512,{low};8192,{high}|plain|4.0|32.0\n"
        f"g|512,{low}|512,{low};8192,{high}|plain|4.0|32.0\nother|64,{low}|64,{low};8192,{high}|plain|4.0|32.0\n")
    _, out, _ = run("hspace", "-t", str(tmp_path / "shrunk"), "--no-capacity-checks", "--accept-existing-errors")
    assert "  -   1 instances of spec MEM 512, DSK 4096, CPU 2\n" in out


def test_the_map_of_allocations_has_physical_spindles(run: Run, tmp_path: Path) -> None:
    nodes = "".join(f"n{number}|9000|0|9000|99999|99999|4|N|u|4||Y|4|1|1.0\n" for number in (1, 2))
    (tmp_path / "spindles").write_text(f"g|u|preferred||\n\n{nodes}\n\n\n")
    argv = ("-t", str(tmp_path / "spindles"), "--disk-template", "plain", "-l", "1", "-v",
            "--tiered-alloc", "20g,2g,1,3", "--standard-alloc", "10g,1g,1,2")
    assert run("hspace", *argv)[2].splitlines() == [
        "Tiered allocation map", " new-0 n2  2048 20480 1 3", "Standard allocation map", " new-0 n2  1024 10240 1 2"]


def test_a_table_of_reasons(run: Run, tmp_path: Path) -> None:
    request = json.loads(Path(REQUEST).read_text())
    request["request"]["memory"] = 10**6
    (tmp_path / "request").write_text(json.dumps(request))
    code, out, err = run("hail", "-v", str(tmp_path / "request"))
    assert code == 0
    assert json.loads(out)["success"] is False
    assert "Node" in err
    assert "FailDisk the group's instance policy forbids it" in err


@pytest.mark.parametrize(("program", "argv", "code", "first"), [
    ("hail", [], 1, "Error: This program needs an input file."),
    ("hail", ["a", "b"], 1, "Error: Only one argument is accepted (the input file)"),
    ("hspace", ["-t", MIXED, "--disk-template", "floppy"], 1, "Error while parsing command line arguments:"),
    ("hspace", ["-t", MIXED, "--standard-alloc", "1,2"], 1, "Error while parsing command line arguments:"),
    ("hspace", ["--simulate", "x,3,4,5,6"], 1, "Error: failed to load data, aborting: "),
    ("hspace", ["--simulate", "p,-3,4,5,6"], 1, "Error: failed to load data, aborting: "),
    ("hroller", ["-t", MIXED, "-O", "nobody"], 1, "Error: wrong node name(s) set as offline: nobody"),
    ("hroller", ["-t", MIXED, "stray"], 1, "Error: This program doesn't take any arguments."),
    ("hsqueeze", ["-t", EXTERNAL, "--target-resources", "much"], 1, "Error while parsing command line arguments:"),
    ("hsqueeze", ["-t", EXTERNAL, "-X"], 1, "Error: "),
    ("harep", ["stray"], 1, "Error: this program doesn't take any arguments."),
    ("harep", ["--fly"], 2, "Command line error: unrecognized option `--fly'"),
    ("harep", ["-L/no/socket"], 1, "Error: harep: ")])
def test_refusals(run: Run, program: str, argv: list[str], code: int, first: str) -> None:
    got, out, err = run(program, *argv)
    assert (got, out) == (code, "")
    assert err.startswith(first), err
