# SPDX-License-Identifier: BSD-2-Clause
"""A real guest is exported while it runs, removed, and comes back from the export under another name.

The guest counts its boots and ticks on its disk, so that tells what came back.
"""

import configparser
import re

import pytest

pytestmark = pytest.mark.qemu

SECONDS = 60


@pytest.fixture(scope="module")
def cluster(qemu_cluster):
    qemu_cluster.gnt("gnt-instance", "add", "-t", "file", "--disk", "0:size=16m", "-o", "gantry-guest", "-n", "node1",
                     "-B", "memory=96m", "-O", "banner=hello%20there", "--tags=backed-up", "web1")
    return qemu_cluster


def ticks(cluster, after=0):
    cluster.until(lambda: cluster.on_disk(2) > after, seconds=SECONDS, what=f"a tick after {after}")
    return cluster.on_disk(2)


def exported(cluster, name="web1", node="node3"):
    """(config.ini, the dump's boots, its last tick)."""
    folder = cluster.paths(node).exports / name
    parser = configparser.RawConfigParser()
    parser.read_string((folder / "config.ini").read_text())
    dump = (folder / parser["instance"]["disk0_dump"]).read_bytes()
    assert len(dump) == 16 << 20
    return parser, *(int(dump[sector * 512:(sector + 1) * 512].strip(b"\0 \n")) for sector in (1, 2))


def test_it_goes_on_while_it_is_exported(cluster):
    before = ticks(cluster)
    text = cluster.gnt("gnt-backup", "export", "--noshutdown", "-n", "node3", "web1")
    assert [line for line in text.splitlines() if "shutting down" in line] == []
    assert re.search(r"pausing instance web1.*\n.*making a copy of disk/0.*\n.*resuming instance web1", text), text
    ini, boots, last = exported(cluster)
    assert (boots, last >= before) == (1, True)
    assert (ini["export"]["os"], ini["export"]["source"]) == ("gantry-guest", "node1")
    ticks(cluster, max(last, cluster.on_disk(2)))
    assert cluster.on_disk(1) == 1
    cluster.matches()
    cluster.nothing_left()


def test_it_is_started_again_at_once(cluster):
    last = ticks(cluster)
    cluster.gnt("gnt-backup", "export", "--shutdown-timeout=60", "--transport-compression=gzip-fast", "-n", "node2",
                "web1")
    _, boots, end = exported(cluster, node="node2")
    assert (boots, end >= last) == (1, True)
    cluster.until(lambda: cluster.on_disk(1) == 2, seconds=SECONDS, what="boot 2")
    assert cluster.gnt("gnt-backup", "list", "--no-headers") == "node2 web1\n", "the older one on node3 is gone"
    cluster.matches()


def test_what_fails_leaves_the_older_export(cluster):
    cluster.arm("fail", "call:export_finish:before", "node2")
    try:
        cluster.fails("gnt-backup", "export", "--noshutdown", "-n", "node2", "web1")
    finally:
        cluster.disarm()
    assert exported(cluster, node="node2")[1] == 1
    ticks(cluster, ticks(cluster))
    cluster.matches()
    cluster.nothing_left()


def test_it_comes_back_under_another_name(cluster):
    cluster.gnt("gnt-backup", "export", "--shutdown-timeout=60", "--remove-instance", "-n", "node3", "web1")
    assert (cluster.guests(), cluster.rows("instances")["instances"]) == ({}, {})
    _, boots, last = exported(cluster)
    assert "web9" in cluster.fails("gnt-backup", "import", "-n", "node2", "web9")
    cluster.gnt("gnt-backup", "import", "-n", "node2", "--src-dir=web1", "-t", "sharedfile", "web2")
    row = cluster.gnt("gnt-instance", "list", "--no-headers", "--separator=|", "-o",
                      "name,pnode,status,be/maxmem,os,tags,disk_template", "web2")
    assert row == "web2|node2|ADMIN_down|96|gantry-guest|backed-up|sharedfile\n"
    assert (cluster.on_disk(1), cluster.on_disk(2)) == (boots, last)
    cluster.gnt("gnt-instance", "startup", "web2")
    cluster.until(lambda: cluster.on_disk(1) == boots + 1, seconds=SECONDS, what="another boot")
    ticks(cluster)
    cluster.matches()
    cluster.nothing_left()
    cluster.verify()


def test_removed_nothing_is_left(cluster):
    cluster.gnt("gnt-backup", "remove", "web1")
    assert "not known" in cluster.fails("gnt-backup", "remove", "web1")
    cluster.gnt("gnt-instance", "remove", "-f", "--shutdown-timeout=0", "web2")
    assert [path for node in cluster.layout.nodes for path in cluster.paths(node).exports.glob("*")] == []
    assert not any("disk" in file for file in cluster.disk_files())
