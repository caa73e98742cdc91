# SPDX-License-Identifier: BSD-2-Clause
"""What is done with plain and mirrored disks of a running instance, by command: volumes, devices and records agree."""

from collections.abc import Iterator

import pytest

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
