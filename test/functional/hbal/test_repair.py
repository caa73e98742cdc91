# SPDX-License-Identifier: BSD-2-Clause
"""harep at a living cluster: what it finds broken it repairs as far as tags allow, and remembers how that went."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.disk_cluster import DiskCluster, disk_cluster

HAREP = (sys.executable, "-c", "from hbal.programs.harep import main; raise SystemExit(main())", "-L")
GOLDEN = Path(__file__).parents[2] / "data" / "hbal" / "golden"
ALLOW = "ganeti:watcher:autorepair:"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiskCluster]:
    """All repairs are allowed for `web`, which is mirrored; `local` is on one node."""
    with disk_cluster(tmp_path_factory.mktemp("c"), nodes=4) as made:
        made.add("web", node="node2", snode="node3", disk_template="drbd", disks=[{"size": 16}])
        made.add("local", node="node4", disk_template="plain", disks=[{"size": 16}])
        made.gnt("gnt-instance", "add-tags", "web", f"{ALLOW}reinstall")
        yield made


def round_over(cluster: DiskCluster, *options: str) -> dict[str, int]:
    """How many instances were in which state in a round, whose jobs have ended then."""
    out = cluster.gnt(*HAREP, "--job-delay", "0", *options)
    cluster.until(lambda: not cluster.query("job", ["id"], ["|", *(["=", "status", state] for state in (
        "running", "queued", "waiting"))]), what="all jobs have ended")
    rows = re.findall(r"^ (\S+(?: \S+)?) +(\d+)$", out, re.MULTILINE)
    return {name: int(count) for name, count in rows if count != "0"}


def records(cluster: DiskCluster, name: str) -> list[str]:
    """The repairs that the tags of an instance tell of, without times and jobs."""
    [[tags]] = cluster.query("instance", ["tags"], ["=", "name", name])
    return [" ".join((mark[0], mark[1], *mark[4:5])) if mark[0] == "result" else " ".join(mark[:2])
            for mark in (tag.removeprefix(ALLOW).split(":") for tag in tags) if mark[0] in ("pending", "result")]


def places(cluster: DiskCluster, name: str) -> list[str]:
    [[primary, secondaries]] = cluster.query("instance", ["pnode", "snodes"], ["=", "name", name])
    return [primary, *secondaries]


def lose(cluster: DiskCluster, node: str) -> None:
    cluster.power_cut(node)
    cluster.gnt("gnt-node", "modify", "-f", "--offline=yes", node)


def bring_back(cluster: DiskCluster, node: str) -> None:
    cluster.power_on(node)
    cluster.gnt("gnt-node", "modify", "-f", "--offline=no", node)


def repaired(cluster: DiskCluster, name: str, kind: str) -> None:
    """Two rounds: one repairs, the next one sees that it is done."""
    assert round_over(cluster) == {"Healthy": 1, "Pending repair": 1}
    assert records(cluster, name) == [f"pending {kind}"]
    assert round_over(cluster) == {"Healthy": 2}
    assert records(cluster, name) == [f"result {kind} success"]
    [[status]] = cluster.query("instance", ["status"], ["=", "name", name])
    assert status == "running"


def test_mirrors_are_mended_and_guests_brought_over(cluster: DiskCluster,
                                                    golden: Callable[[Path, str], None]) -> None:
    lose(cluster, "node3")
    out = cluster.gnt(*HAREP, "--dry-run")
    golden(GOLDEN / "harep-dry.txt", re.sub(r"fix-storage:\S+", "fix-storage:UUID:TIME:", out))
    assert records(cluster, "web") == []
    repaired(cluster, "web", "fix-storage")
    primary, secondary = places(cluster, "web")
    assert primary == "node2" != secondary != "node3"
    bring_back(cluster, "node3")
    lose(cluster, "node2")
    assert round_over(cluster) == {"Healthy": 1, "Pending repair": 1}
    assert (records(cluster, "web"), places(cluster, "web")) == (["pending failover"], [secondary, "node2"])
    repaired(cluster, "web", "fix-storage")
    bring_back(cluster, "node2")


def test_what_is_not_allowed_is_only_told(cluster: DiskCluster) -> None:
    lose(cluster, "node4")
    assert "local: autorepair is not enabled" in cluster.gnt(*HAREP)
    cluster.gnt("gnt-cluster", "add-tags", f"{ALLOW}failover")
    assert "local: reinstall is needed, failover is allowed" in cluster.gnt(*HAREP)
    assert round_over(cluster) == {"Healthy": 1, "Needs repair": 1}
    assert records(cluster, "local") == ["result reinstall enoperm"]
    cluster.gnt("gnt-group", "add-tags", "default", f"{ALLOW}suspend")
    assert "local: autorepair is suspended\n" in cluster.gnt(*HAREP)
    cluster.gnt("gnt-group", "remove-tags", "default", f"{ALLOW}suspend")


def test_lost_disks_are_made_anew_elsewhere(cluster: DiskCluster) -> None:
    cluster.gnt("gnt-instance", "add-tags", "local", f"{ALLOW}reinstall")
    repaired(cluster, "local", "reinstall")
    assert places(cluster, "local") != ["node4"]
    bring_back(cluster, "node4")
    assert round_over(cluster) == {"Healthy": 2}


def test_a_repair_that_failed_is_not_tried_again(cluster: DiskCluster) -> None:
    [node] = places(cluster, "local")
    if node == cluster.master:
        cluster.gnt("gnt-instance", "move", "-f", "-n", "node4", "local")
        node = "node4"
    lose(cluster, node)
    cluster.arm("fail", "job:OP_INSTANCE_RECREATE_DISKS:planned")
    assert round_over(cluster)["Pending repair"] >= 1
    assert round_over(cluster)["Failure"] == 1
    assert records(cluster, "local") == ["result reinstall failure"]
    assert round_over(cluster)["Failure"] == 1
