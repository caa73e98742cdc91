# SPDX-License-Identifier: BSD-2-Clause
"""Plain and mirrored disks through commands and daemons, on LVM and DRBD without a kernel."""

from collections.abc import Iterator

import pytest

from support import provider
from support.disk_cluster import DiskCluster, disk_cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiskCluster]:
    with disk_cluster(tmp_path_factory.mktemp("c")) as made:
        yield made


def nothing_left(cluster: DiskCluster) -> None:
    for node in cluster.layout.nodes:
        assert (cluster.volumes(node), cluster.minors(node)) == (set(), {}), node


def test_a_plain_instance_lives_and_leaves_nothing(cluster: DiskCluster) -> None:
    cluster.add("web1", disk_template="plain", disks=[{"size": 16}, {"size": 8}])
    assert len(cluster.volumes("node2")) == 2
    assert len(cluster.gnt("gnt-node", "volumes", "--no-headers", "node2").splitlines()) == 2
    cluster.gnt("gnt-instance", "reboot", "--shutdown-timeout=0", "web1")
    cluster.remove("web1")
    nothing_left(cluster)


def test_a_mirrored_instance_lives_and_leaves_nothing(cluster: DiskCluster) -> None:
    cluster.add("web2", node="node1", snode="node2", disk_template="drbd", disks=[{"size": 16}])
    [one], [two] = cluster.minors("node1").values(), cluster.minors("node2").values()
    assert (one["role"], one["disk"], two["role"], two["disk"]) == ("Primary", "UpToDate", "Secondary", "UpToDate")
    cluster.gnt("gnt-instance", "shutdown", "--timeout=0", "web2")
    assert cluster.minors("node1") == cluster.minors("node2") == {}
    cluster.gnt("gnt-instance", "startup", "web2")
    cluster.gnt("gnt-instance", "migrate", "-f", "web2")
    assert [end["role"] for node in ("node1", "node2") for end in cluster.minors(node).values()] == \
        ["Secondary", "Primary"]
    cluster.remove("web2")
    nothing_left(cluster)


def test_a_mirror_is_watched(cluster: DiskCluster) -> None:
    cluster.add("web4", node="node2", snode="node3", disk_template="drbd", disks=[{"size": 16}])
    cluster.disks.cut(*(cluster.layout.address(node) for node in ("node2", "node3")))
    cluster.until(lambda: since(cluster, "web4") is not None, what="the loss of the connection is remembered")
    cluster.power_cut("node2")
    assert "it had not all data" in cluster.fails("gnt-instance", "failover", "-f", "web4")
    cluster.power_on("node2")
    cluster.disks.heal()
    cluster.gnt("gnt-instance", "activate-disks", "web4")
    cluster.until(lambda: since(cluster, "web4") is None, what="it is remembered that both ends are whole again")
    cluster.remove("web4")
    nothing_left(cluster)


def since(cluster: DiskCluster, name: str) -> object:
    """Since when the instance is known not to be whole at both ends."""
    rows = {row[0]: row[1] for row in cluster.query("instance", ["name", "mirror.since"])}
    return rows[name]


def test_storage_units(cluster: DiskCluster) -> None:
    rows = cluster.gnt("gnt-node", "list-storage", "-t", "lvm-vg", "--no-headers", "--separator=:",
                       "-o", "node,name,size")
    assert rows.splitlines()[0] == "node1:xenvg:40960"


def test_an_external_volume_lives_and_leaves_nothing(cluster: DiskCluster) -> None:
    volumes = cluster.folder / "volumes"
    for node in cluster.layout.nodes:
        provider.write(cluster.paths(node).ext_search[0] / "files", volumes)
    assert "For nodegroup: default --> valid" in cluster.gnt("gnt-storage", "diagnose")
    refused = cluster.fails("gnt-instance", "add", "-t", "ext", "--disk", "0:size=16m,provider=files,smell=bad", "-o",
                            "gantry-guest", "-n", "node1", "web3")
    assert "does not take smell; it takes colour, speed" in refused
    cluster.gnt("gnt-instance", "add", "-t", "ext", "--disk", "0:size=16m,provider=files,colour=red", "-o",
                "gantry-guest", "-n", "node1", "web3")
    cluster.gnt("gnt-instance", "grow-disk", "web3", "0", "4m")
    [volume] = volumes.glob("*.ext.disk0")
    assert volume.stat().st_size == 20 << 20
    assert (volumes / f"{volume.name}.info").read_text() == "originstname+web3\n"
    cluster.gnt("gnt-instance", "failover", "-f", "-n", "node2", "web3")
    cluster.remove("web3")
    assert list(volumes.glob("*.ext.disk0*")) == [volumes / f"{volume.name}.info"]
