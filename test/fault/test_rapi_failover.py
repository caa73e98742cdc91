# SPDX-License-Identifier: BSD-2-Clause
"""The remote API moves with the master: the same certificate, users and tokens, at the new master only."""

from gantry.rapi.client import RapiClient
from gantry.utils import clock


def client(cluster, *credentials):
    url = f"https://{cluster.layout.address(cluster.master)}:5080"
    return RapiClient(url, credentials=credentials, authority=str(cluster.paths("node1").rapi_certificate))


def copied(cluster, node):
    """Whether the node's files are those of the master."""
    theirs = cluster.paths(node).rapi_files()
    return all(theirs[name].exists() and theirs[name].read_bytes() == path.read_bytes()
               for name, path in cluster.paths().rapi_files().items())


def test_the_next_master_serves_the_same_clients(own_cluster):
    cluster = own_cluster
    assert cluster.is_running("gnt-rapi")
    here = cluster.paths()
    here.rapi.mkdir(exist_ok=True)
    here.rapi_users.write_text("admin secret write\n")
    token = cluster.gnt("gnt-rapi-token", "add", "ci", "--role", "write").strip()
    cluster.until(lambda: copied(cluster, "node2") and copied(cluster, "node3"), what="the candidates have copies")
    assert {path.stat().st_mode & 0o077 for path in cluster.paths("node2").rapi_files().values()} == {0}

    cluster.gnt("gnt-cluster", "master-failover", node="node2")
    cluster.master = "node2"
    cluster.died("gnt-rapi", "node1")
    for credentials in (("admin", "secret"), ("", token)):
        with client(cluster, *credentials) as asked:
            assert asked.cluster.info()["master"] == "node2"
            asked.jobs.wait_until_ended(asked.nodes.add_tags("node2", [f"at{clock.nanoseconds()}"]))

    cluster.power_cut("node2")
    cluster.gnt("gnt-cluster", "master-failover", node="node3")
    cluster.master = "node3"
    cluster.power_on("node2")
    cluster.died("gnt-rapi", "node2")
    with client(cluster, "admin", "secret") as asked:
        assert asked.cluster.info()["master"] == "node3"
