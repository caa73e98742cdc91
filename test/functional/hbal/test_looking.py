# SPDX-License-Identifier: BSD-2-Clause
"""The programs that look: hinfo, hscan, hcheck; whole outputs, exit codes, and what they import."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hbal.load import text
from support import hbal_random

DATA = Path(__file__).parents[2] / "data" / "hbal"
TWO, N1, REQUEST, RAPI = (str(DATA / name) for name in ("two-groups.data", "n1-failure.data", "allocate.json", "rapi"))
FIELDS = "+idx,fqdn,amem,plist,slist,ptags,peermap,spindle_count,hi_spindles,inst_spindles,bogus"

Golden = Callable[[Path, str], None]
Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(("name", "program", "argv"), [
    ("hinfo", "hinfo", ["-t", TWO]), ("hinfo-verbose", "hinfo", ["-t", TWO, "-v", "-v", "-p", "--print-instances"]),
    ("hinfo-fields", "hinfo", ["-t", TWO, "-q", f"-p{FIELDS}"]),
    ("hinfo-offline", "hinfo", ["-t", TWO, "-O", "node1", "--ignore-dynu", "-pname,status,cload"]),
    ("hinfo-rapi", "hinfo", ["-m", f"file://{RAPI}", "-p"]), ("hinfo-request", "hinfo", ["-I", REQUEST, "-p"]),
    ("hcheck", "hcheck", ["-t", N1]), ("hcheck-machine", "hcheck", ["-t", N1, "--machine-readable"]),
    ("hcheck-only", "hcheck", ["-t", N1, "--no-simulation", "--no-capacity-checks"]),
    ("hinfo-help", "hinfo", ["--help"]), ("hscan-completion", "hscan", ["--help-completion"]),
])
def test_whole_outputs(run: Run, golden: Golden, name: str, program: str, argv: list[str]) -> None:
    code, out, err = run(program, *argv)
    golden(DATA / "golden" / f"{name}.txt", f"{out}--- stderr\n{err}--- {code}\n")


@pytest.mark.parametrize(("argv", "code"), [
    ([N1], 1), ([N1, "--no-simulation"], 0), ([N1, "-q"], 1), ([N1, "-l", "0"], 1)])
def test_hcheck_says_by_its_exit_code_whether_there_is_work(run: Run, argv: list[str], code: int) -> None:
    assert run("hcheck", "-t", *argv)[0] == code


def test_a_clean_cluster(run: Run, tmp_path: Path) -> None:
    (tmp_path / "clean").write_text("g|u|preferred||\n\nn1|4096|0|4096|9|9|4|M|u|1||N|0|1|1.0\n\n\n\n")
    code, out, _ = run("hcheck", "-t", str(tmp_path / "clean"))
    assert code == 0
    assert out.startswith("No need to rebalance cluster, no problems found.\n")
    assert run("hcheck", "-q", "-t", str(tmp_path / "clean"))[1] == ""


def test_hcheck_of_a_cluster_that_balancing_mends(run: Run, tmp_path: Path) -> None:
    """The verdict is that of the beginning, for people as for a shell; a group without nodes is in no list."""
    nodes = "".join(f"n{index}|4096|0|{free}|9999|9000|4|N|u|1||N|0|1|1.0\n"
                    for index, free in enumerate((3072, 3072, 4096)))
    (tmp_path / "odd").write_text(f"empty|v|preferred||\ng|u|preferred||\n\n{nodes}\n"
                                  "a|1024|1|1|running|Y|n0||ext|x:1|1|-\nb|1024|1|1|running|Y|n0||ext|x:1|1|-\n\n"
                                  "htools:iextags:x\n\n")
    code, out, _ = run("hcheck", "-t", str(tmp_path / "odd"))
    assert code == 1
    assert [line.split()[3] for line in out.splitlines() if line.startswith("Statistics for group")] == ["g", "g"]
    assert [line for line in out.splitlines() if "conflicting" in line or "healthy" in line] == [
        *["    Nodes with conflicting instances: 1"] * 2, "    Cluster is not healthy: True",
        *["    Nodes with conflicting instances: 0"] * 2, "    Cluster is not healthy: True"]
    keys = {line.partition("=")[0] for line in run("hcheck", "-t", str(tmp_path / "odd"), "--machine-readable")[1]
            .splitlines()}
    assert {"HCHECK_GROUP_UUID_0", "HCHECK_INIT_GROUP_1_SCORE", "HCHECK_FINAL_GROUP_1_SCORE"} <= keys
    assert "HCHECK_INIT_GROUP_0_SCORE" not in keys


def test_hinfo_of_groups_without_nodes_and_of_nodes_that_are_all_offline(run: Run, tmp_path: Path) -> None:
    """They are in no table, and have no values to show."""
    (tmp_path / "off").write_text("e|v|preferred||\ng|u|preferred||\n\nn1|4096|0|4096|9|9|4|Y|u|1||N|0|1|1.0\n\n\n\n")
    code, out, _ = run("hinfo", "-v", "-t", str(tmp_path / "off"))
    assert code == 0
    assert "Cluster coefficients:\n   Field Value Weight\nCluster score: 0.00000000\n" in out
    assert [line.split()[0] for line in out.splitlines() if line.endswith(" True 0.00000000")] == ["g"]


def test_an_empty_cluster(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n" * 5)
    code, out, _ = run("hinfo", "-v", "-t", str(tmp_path / "empty"))
    assert code == 0
    assert "Cluster is empty.\nLoaded 0 nodes, 0 instances, 0 node groups\n" in out
    assert "Cluster score: 0.00000000\n" in out
    assert run("hcheck", "-t", str(tmp_path / "empty"))[0] == 0


def test_split_instances_are_named(run: Run, tmp_path: Path) -> None:
    split = tmp_path / "split"
    split.write_text(Path(TWO).read_text().replace("|node2.example.com|drbd", "|node3.example.com|drbd"))
    _, out, err = run("hinfo", "-t", str(split))
    assert "Found instances belonging to multiple node groups:\n" in out
    assert err.endswith("  inst1.example.com\n")
    assert run("hcheck", "--no-simulation", "-t", str(split))[0] == 0


@pytest.mark.parametrize(("free", "stuck"), [(4096, "0"), (1000, "1")])
def test_a_split_instance_fails_over_to_the_other_group(run: Run, tmp_path: Path, free: int, stuck: str) -> None:
    (tmp_path / "split").write_text(
        "g|u|preferred||\nh|v|preferred||\n\na|4096|0|2944|9000|8000|4|M|u|1||N|0|1|1.0\n"
        f"b|{free}|0|{free}|9000|8000|4|N|v|1||N|0|1|1.0\nc|4096|0|4096|9000|9000|4|N|u|1||N|0|1|1.0\n\n"
        "i|1024|1000|1|running|Y|a|b|drbd||1|-|N\ne|128|1000|1|running|Y|a||ext||1|-|N\n\n\n")
    code, out, _ = run("hcheck", "-t", str(tmp_path / "split"), "--no-simulation", "--machine-readable")
    assert code == 0
    assert f"HCHECK_INIT_GROUP_0_GN1_FAIL={stuck}\n" in out


def test_hscan_saves_what_hinfo_reads(run: Run, tmp_path: Path, golden: Golden) -> None:
    shutil.copytree(RAPI, tmp_path / "cluster")
    address = f"file://{tmp_path}/cluster"
    code, out, err = run("hscan", "-d", str(tmp_path), "-p", address)
    saved = tmp_path / f"{address.replace('/', '_')}.data"
    shown = re.sub(r" {2,}", "  ", out.replace(address, "CLUSTER"))
    golden(DATA / "golden" / "hscan.txt", f"{shown}--- stderr\n{err}--- {code}\n{saved.read_text()}")
    over_rapi, from_file = (run("hinfo", *argv)[1] for argv in (["-m", address], ["-t", str(saved)]))
    assert over_rapi == from_file


def test_hscan_goes_on_after_a_cluster_that_fails(run: Run, tmp_path: Path) -> None:
    code, out, err = run("hscan", "-d", str(tmp_path), "--no-headers", f"file://{tmp_path}/none", f"file://{RAPI}")
    assert code == 2
    assert err.startswith(f"\nError for file://{tmp_path}/none: failed to load data. Details:\n")
    assert out.startswith(f"file://{RAPI} ")
    assert out.count("\n") == 1


def test_hscan_shows_and_keeps_no_password(run: Run, tmp_path: Path) -> None:
    code, out, err = run("hscan", "-d", str(tmp_path), "http://user:secret@127.0.0.1:1")
    assert code == 2
    assert "secret" not in out + err


def test_hscan_into_no_folder(run: Run, tmp_path: Path) -> None:
    code, _, err = run("hscan", "-d", str(tmp_path / "none"), f"file://{RAPI}")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("Error: cannot write ")


@pytest.mark.parametrize(("argv", "code", "first"), [
    (["--bogus"], 2, "Command line error: unrecognized option `--bogus'"),
    (["--static-kvm-node-memory=x"], 1, "Error while parsing command line arguments:"),
    (["stray"], 1, "Error: This program doesn't take any arguments."),
    ([], 1, "Error: failed to load data, aborting: No backend selected! Exiting."),
    (["-t", "a", "-m", "b"], 1, "Error: Only one of the rapi, luxi, and data files options should be given."),
    (["-t", "/nonexistent"], 1, "Error: failed to load data, aborting: /nonexistent: No such file or directory"),
    (["-t", TWO, "-O", "nobody"], 1, "Error: wrong node name(s) set as offline: nobody"),
    (["-t", TWO, "--mond", "--mond-data=/nonexistent"], 1,
     "Error: cannot read monitoring data from /nonexistent: No such file or directory"),
])
def test_errors(run: Run, argv: list[str], code: int, first: str) -> None:
    found, out, err = run("hinfo", *argv)
    assert (found, out, err.splitlines()[0]) == (code, "", first)


@pytest.mark.parametrize("program", ["hinfo", "hscan", "hcheck"])
def test_version(run: Run, program: str) -> None:
    code, out, _ = run(program, "--version")
    assert code == 0
    assert re.fullmatch(rf"{program} \(ganeti\) version \S+\ncompiled with .+\nrunning on linux \S+\n", out)


def test_utilisation(run: Run, tmp_path: Path) -> None:
    (tmp_path / "u").write_text("inst1.example.com 9 1 1 1\n")
    with_loads = run("hcheck", "-t", TWO, "-U", str(tmp_path / "u"), "--machine-readable", "--no-simulation")[1]
    without = run("hcheck", "-t", TWO, "--ignore-dynu", "--machine-readable", "--no-simulation")[1]
    assert with_loads != without


@pytest.mark.parametrize("argv", [
    ["hinfo", "-t", TWO, "-p", "--print-instances", "-v"], ["hinfo", "-m", f"file://{RAPI}"], ["hcheck", "--help"],
    ["hcheck", "-t", TWO, "--no-simulation", "--no-capacity-checks"], ["hinfo", "--version"], ["hcheck", "--bogus"],
    ["hcheck", "-t", "/nonexistent"], ["hscan", "--help"]])
def test_numpy_is_not_imported_in_vain(argv: list[str]) -> None:
    script = ("import sys; sys.modules['numpy'] = None; import importlib; "
              "main = importlib.import_module('hbal.programs.' + sys.argv[1]).main; code = main(sys.argv[2:]); "
              "assert code in (0, 1, 2)")
    done = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("hinfo", path="/usr/bin") is None, reason="the original is not installed")
@pytest.mark.parametrize("seed", range(12))
def test_hinfo_of_the_original_says_the_same(run: Run, tmp_path: Path, seed: int) -> None:
    """Except for N+1, which it judges by reported free memory."""
    saved = tmp_path / "cluster"
    text.save(hbal_random.cluster(seed, nodes=4 + seed % 5, instances=1 + seed), str(saved))
    original = subprocess.run(["/usr/bin/hinfo", "-t", str(saved), "-p"], capture_output=True, text=True, check=True,
                              env={**os.environ, "LC_ALL": "C.UTF-8"})
    _, out, err = run("hinfo", "-t", str(saved), "-p")

    def comparable(printed: str) -> list[str]:
        return [line.replace("*", " ") for line in printed.splitlines()
                if not line.startswith(("Cluster is N+1", "   n1_cnt", "Cluster score"))]
    assert comparable(err) == comparable(original.stderr)
    assert [line.split() for line in comparable(out)] == [line.split() for line in comparable(original.stdout)]
