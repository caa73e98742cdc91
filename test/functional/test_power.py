# SPDX-License-Identifier: BSD-2-Clause
"""Power, health and the administrator's own commands on nodes; and looks inside the master daemon."""

import pytest

PROGRAM = """#!/bin/sh
case $1 in
  power-status) test -e {0}/$2.off && echo '{{"powered": false}}' || echo '{{"powered": true}}' ;;
  power-off) touch {0}/$2.off ;;
  power-on) rm -f {0}/$2.off ;;
  health) echo '[["fan", "OK"], ["psu", "CRITICAL"]]' ;;
esac
"""
RULE = "-" * 48


@pytest.fixture(scope="module")
def cluster(own_cluster):
    program = own_cluster.folder / "oob"
    program.write_text(PROGRAM.format(own_cluster.folder))
    program.chmod(0o755)
    own_cluster.gnt("gnt-cluster", "modify", "--node-parameters", f"oob_program={program}")
    own_cluster.add("up", "node2")
    return own_cluster


def roles(cluster):
    return cluster.gnt("gnt-node", "list", "--no-headers", "--separator=|", "-o", "name,offline,powered").split()


def status(cluster):
    return cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "status", "up").strip()


def test_power_and_health(cluster):
    assert cluster.gnt("gnt-node", "power", "status").splitlines()[-4:] == [
        "Node  Status", "node1 powered", "node2 powered", "node3 powered"]
    assert cluster.gnt("gnt-node", "health", "node3").endswith(
        "Node  Status\nnode3 fan=OK\n      psu=CRITICAL\n")
    assert "node3 invoked" in cluster.gnt("gnt-node", "power", "-f", "off", "node3")
    assert roles(cluster) == ["node1|N|Y", "node2|N|Y", "node3|Y|N"]
    cluster.gnt("gnt-node", "power", "on", "node3")
    cluster.gnt("gnt-node", "modify", "-f", "-O", "no", "node3")
    assert roles(cluster) == ["node1|N|Y", "node2|N|Y", "node3|N|Y"]
    assert "master" in cluster.fails("gnt-node", "power", "-f", "off", "node1")


def test_an_emergency(cluster):
    assert "node1" in cluster.fails("gnt-cluster", "epo", "-f")
    assert cluster.fails("gnt-cluster", "epo", "node2")  # nobody says yes
    cluster.gnt("gnt-cluster", "epo", "-f", "--all", "--shutdown-timeout=0")
    assert roles(cluster) == ["node1|N|Y", "node2|Y|N", "node3|Y|N"]
    assert cluster.guests().get("up", []) == []
    text = cluster.gnt("gnt-cluster", "epo", "-f", "--on", "--power-delay=0.1", "--groups", "default")
    assert " for up ...\n" in text
    assert roles(cluster) == ["node1|N|Y", "node2|N|Y", "node3|N|Y"]
    assert status(cluster) == "running"


def test_a_restricted_command(cluster):
    for node, code in (("node2", 0), ("node3", 1)):
        file = cluster.paths(node).restricted_commands / "hello"
        file.parent.mkdir(parents=True)
        file.parent.chmod(0o755)
        file.write_text(f"#!/bin/sh\necho hello\nexit {code}\n")
        file.chmod(0o755)
    assert cluster.gnt("gnt-node", "restricted-command", "hello", "node2").endswith(f"{RULE}\nNode: node2\nhello\n")
    done = cluster.run("gnt-node", "restricted-command", "-M", "hello", "node3", "node2")
    assert done.returncode == 1
    assert done.stdout.endswith("node3: Command 'hello' exited with exit code 1; output: hello\nnode2: hello\n")
    assert "nodes" in cluster.fails("gnt-node", "restricted-command", "hello")


def test_a_node_is_reset(cluster):
    before = cluster.pid("gnt-noded", "node3")
    assert "Reboot scheduled" in cluster.run("gnt-node", "powercycle", "--yes", "node3").stderr
    cluster.until(lambda: cluster.is_running("gnt-noded", "node3") and cluster.pid("gnt-noded", "node3") != before,
                  what="the node is up again")
    assert "--force" in cluster.fails("gnt-node", "powercycle", "--yes", "node1")
    cluster.until(lambda: cluster.run("gnt-cluster", "verify").returncode == 0, what="the cluster is well")


def test_looks_inside(cluster):
    assert cluster.run("gnt-debug", "test-jobqueue").stdout.endswith("Job queue test successful\n")
    assert "secret parameters arrived: a\n" in cluster.gnt("gnt-debug", "test-osparams",
                                                           "--os-parameters-secret", "a=unseen7")
    assert "unseen7" not in cluster.gnt("gnt-job", "info", "1") + cluster.gnt("gnt-job", "list", "-o", "ops")
    assert cluster.gnt("gnt-debug", "wconfd", "echo", "x") == "Answer: x\n"
    assert cluster.gnt("gnt-debug", "wconfd", "listalllocks") == ""
    assert cluster.gnt("gnt-node", "list-drbd", "node2") == "Node Minor Instance Disk Role PeerNode\n"
    assert "already" in cluster.gnt("gnt-cluster", "upgrade", "--to", "3.0")
    assert "2.16" in cluster.fails("gnt-cluster", "upgrade", "--to", "2.16")
    assert "Precisely one" in cluster.fails("gnt-cluster", "upgrade")
