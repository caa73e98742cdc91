# SPDX-License-Identifier: BSD-2-Clause
"""What is done with plain and mirrored disks of a running instance, by command: volumes, devices and records agree."""

from collections.abc import Iterator

import pytest

from support.definitions import remove_written, write_os
from support.disk_cluster import DiskCluster, disk_cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiskCluster]:
    with disk_cluster(tmp_path_factory.mktemp("c")) as made:
        yield made


def test_a_mirror_is_grown_moved_and_converted(cluster: DiskCluster) -> None:
    cluster.add("web1", node="node1", snode="node2", disk_template="drbd", disks=[{"size": 8}])
    cluster.gnt("gnt-instance", "grow-disk", "web1", "0", "4m")
    [one], [two] = cluster.minors("node1").values(), cluster.minors("node2").values()
    assert one["size"] == two["size"] == 12 << 10
    said = cluster.gnt("gnt-instance", "replace-disks", "-s", "web1")
    assert "STEP 6/6 Removing old storage" in said
    cluster.matches()
    said = cluster.gnt("gnt-node", "evacuate", "-f", "-s", "-n", "node3", "node2")
    assert said.splitlines()[-1] == "All instances evacuated successfully."
    assert (cluster.volumes("node2"), len(cluster.volumes("node3"))) == (set(), 2)
    assert "give --live" in cluster.fails("gnt-instance", "modify", "-t", "plain", "web1")
    said = cluster.gnt("gnt-instance", "modify", "-t", "plain", "--live", "web1")
    assert " - disk_template -> plain" in said
    assert cluster.minors("node1") == {}
    cluster.gnt("gnt-instance", "modify", "--disk", "add:size=4m", "web1")
    assert " - disk/0 -> hotplug:done" in cluster.gnt("gnt-instance", "modify", "--disk", "0:remove", "web1")
    cluster.gnt("gnt-instance", "move", "-f", "-n", "node2", "--shutdown-timeout=0", "web1")
    assert (cluster.volumes("node1"), len(cluster.volumes("node2"))) == (set(), 1)
    cluster.matches()
    cluster.verify()
    cluster.remove("web1")


def test_an_export_is_made_of_snapshots_and_comes_back(cluster: DiskCluster) -> None:
    cluster.add("web1", node="node1", disk_template="plain", disks=[{"size": 8}, {"size": 4}])
    places = {item["size"]: item["lvm"] for item in cluster.rows("disks")["disks"].values()}
    for size, place in places.items():
        with (cluster.paths("node1").devices / place["vg"] / place["lv"]).open("r+b") as file:
            file.seek(2 << 20)
            file.write(f"written on {size}".encode())
    said = cluster.gnt("gnt-backup", "export", "--noshutdown", "-n", "node2", "web1")
    assert said.count("making a snapshot") == said.count("removing the snapshot") == 2
    cluster.matches()
    cluster.gnt("gnt-backup", "import", "-t", "drbd", "-n", "node3:node1", "--src-dir=web1", "web2")
    found = {item["size"]: item["drbd"]["ends"] for item in cluster.rows("disks")["disks"].values() if "drbd" in item}
    names = {uuid: node["name"] for uuid, node in cluster.rows("nodes")["nodes"].items()}
    for size, ends in found.items():
        for end in ends:
            content = (cluster.paths(names[end["node"]]).devices / end["data"]["vg"] / end["data"]["lv"]).read_bytes()
            assert content[2 << 20:].startswith(f"written on {size}".encode()), names[end["node"]]
    assert len(found) == 2
    cluster.matches()
    cluster.nothing_left()
    cluster.verify()
    cluster.gnt("gnt-backup", "remove", "web1")
    for name in ("web1", "web2"):
        cluster.remove(name)


def test_an_export_that_is_canceled_leaves_nothing(cluster: DiskCluster) -> None:
    write_os(cluster, "slow", export='head -c 5000000 "$EXPORT_DEVICE"; sleep 600')
    cluster.add("web1", node="node1", disk_template="plain", os_type="slow")
    before = cluster.volumes("node1")
    job = cluster.submit({"OP_ID": "OP_BACKUP_EXPORT", "instance_name": "web1", "target_node": "node2",
                          "shutdown": False})
    written = cluster.paths("node2").exports / ".web1.new"
    cluster.until(lambda: list(written.glob("[!.]*")), what="the dump is being written")
    assert len(cluster.volumes("node1") - before) == 1
    cluster.gnt("gnt-job", "cancel", str(job))
    assert cluster.wait_job(job)["status"] == "canceled"
    assert (cluster.volumes("node1"), list(cluster.paths("node2").exports.iterdir())) == (before, [])
    assert cluster.gnt("gnt-backup", "list", "--no-headers") == ""
    cluster.nothing_left()
    cluster.remove("web1")
    remove_written(cluster)
