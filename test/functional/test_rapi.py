# SPDX-License-Identifier: BSD-2-Clause
"""The remote API of a real cluster: every resource over TLS, with real jobs behind it."""

import json
import socket
import ssl
import sys
import threading
import time

import pytest

from gantry.rapi.client import JobFailed, RapiClient, RapiError
from gantry.rapi.routes import all_endpoints
from gantry.utils import x509

USERS = "admin secret write\nreader look read\nplain word\n"


@pytest.fixture(scope="module")
def cluster(shared_cluster):
    here = shared_cluster.paths()
    here.rapi.mkdir(exist_ok=True)
    here.rapi_users.write_text(USERS)
    shared_cluster.add("web1", "node1", disk_template="diskless", disks=[], nics=[])
    yield shared_cluster
    shared_cluster.remove("web1")


@pytest.fixture
def url(cluster):
    return f"https://{cluster.layout.address(cluster.master)}:5080"


@pytest.fixture
def open_client(cluster, url):
    opened = []

    def open_client(*credentials):
        opened.append(RapiClient(url, credentials=credentials or None, authority=str(cluster.paths().rapi_certificate)))
        return opened[-1]
    yield open_client
    for client in opened:
        client.close()


@pytest.fixture
def admin(open_client):
    return open_client("admin", "secret")


@pytest.fixture
def reader(open_client):
    return open_client("reader", "look")


def status(client, method, path, arguments=None, body=None):
    try:
        client._transport.ask(method, path, arguments, body)
    except RapiError as err:
        return err.status
    return 200


def test_a_reader_sees_everything(reader, admin, open_client):
    anyone = open_client()
    for client in (reader, admin, anyone):
        assert client.cluster.version() == 2
        assert client.cluster.info()["master"] == "node1"
        assert client.cluster.operating_systems() == ["gantry-guest"]
        assert client.nodes.names() == ["node1", "node2", "node3"]
        assert client.nodes.get("node1")["role"] == "M"
        assert client.nodes.role("node2") == "master-candidate"
        assert client.instances.names() == ["web1"]
        assert client.instances.get("web1") == client.instances.all()[0]
        assert client.instances.get("web1")["status"] == "running"
        assert client.instances.get("web1")["beparams"]["memory"] == client.instances.get("web1")["beparams"]["maxmem"]
        assert client.groups.get("default")["node_list"] == ["node1", "node2", "node3"]
        assert client.networks.names() == client.filters.uuids() == client.cluster.tags() == []
        job = client.jobs.ids()[0]
        assert client.jobs.get(job)["status"] == "success"
        assert {item["id"] for item in client.jobs.all()} >= {job}
        assert "name" in [field["name"] for field in client.queries.fields("node")]
        assert 'gantry_nodes{role="master"} 1.0' in client.cluster.metrics()
        assert "gantry_store_commit_seconds_count" in client.cluster.metrics()
    for client in (reader, admin):
        assert client.instances.console("web1")["instance"] == "web1"
        assert client.queries.query("node", ["name"])["data"][0] == [[0, "node1"]]
        assert client.queries.query("instance", ["name"], ["=", "pnode", "node1"])["data"] == [[[0, "web1"]]]
    with pytest.raises(RapiError):
        anyone.instances.console("web1")


def test_a_reader_changes_nothing(cluster, reader, open_client):
    before = cluster.query("job", ["id"])
    config = [cluster.query(what, ["name", "serial_no"]) for what in ("instance", "node", "group")]
    plain, anyone = open_client("plain", "word"), open_client()
    for endpoint in all_endpoints():
        if endpoint.need.value != "write":
            continue
        path = (endpoint.path.replace("{name}", "web1" if "instances" in endpoint.path else "node2")
                .replace("{disk:int}", "0").replace("{id:int}", "1").replace("{uuid}", "x"))
        arguments = {"tag": ["x"], "storage_type": "file", "output_fields": "name", "name": "x", "mode": "local"}
        for body in (None, {}):
            for client, wanted in ((reader, 403), (plain, 403), (anyone, 401)):
                assert status(client, endpoint.method, path, arguments, body) == wanted, (endpoint.method, path)
    assert cluster.query("job", ["id"]) == before
    assert [cluster.query(what, ["name", "serial_no"]) for what in ("instance", "node", "group")] == config


@pytest.mark.parametrize("credentials", [("admin", "wrong"), ("nobody", "secret"), ("", "gnt_00000000_x")])
def test_wrong_credentials_see_nothing(open_client, credentials):
    assert status(open_client(*credentials), "GET", "/version") == 401


def test_the_life_of_an_instance(cluster, admin):
    jobs = admin.jobs
    made = admin.instances.create("db1", "file", [{"size": 16}], [{}], os="gantry-guest", pnode="node2",
                                  reason="for a test")
    jobs.wait_until_ended(made)
    trail = jobs.get(made)["ops"][0]["reason"]
    assert [entry[0] for entry in trail[:2]] == ["gnt:user", "gnt:library:rlib2:instances"]
    assert admin.instances.get("db1")["disk.sizes"] == [16]
    for submit in (
            lambda: admin.instances.shutdown("db1", timeout=0), lambda: admin.instances.startup("db1"),
            lambda: admin.instances.reboot("db1", shutdown_timeout=0),
            lambda: admin.instances.add_tags("db1", ["a", "b"]), lambda: admin.instances.remove_tags("db1", ["a"]),
            lambda: admin.instances.modify("db1", custom_beparams={"minmem": 32}),
            lambda: admin.instances.shutdown("db1", timeout=0), lambda: admin.instances.grow_disk("db1", 0, 8),
            lambda: admin.instances.rename("db1", "db2", ip_check=False, name_check=False)):
        jobs.wait_until_ended(submit())
    found = admin.instances.get("db2")
    assert (found["tags"], found["custom_beparams"]["minmem"], found["disk.sizes"], found["status"]) == (
        ["b"], 32, [24], "ADMIN_down")
    info = jobs.wait_until_ended(admin.instances.info("db2", static=True))[0]["db2"]
    assert info["run_state"] is None
    assert jobs.wait_until_ended(admin.instances.prepare_export("db2", "local")) == [None]
    assert jobs.wait_until_ended(admin.instances.export("db2", "node3", remove_instance=True)) == [[True, [True]]]
    assert status(admin, "GET", "/2/instances/db2") == 404
    exports = admin.queries.query("export", ["node", "export"], ["==", "export", "db2"])["data"]
    assert exports == [[[0, "node3"], [0, "db2"]]]
    jobs.wait_until_ended(admin.instances.create("db3", None, [], [], mode="import", src_path="db2", pnode="node1",
                                                 start=False))
    found = admin.instances.get("db3")
    assert (found["tags"], found["custom_beparams"]["minmem"], found["disk.sizes"], found["disk_template"]) == (
        ["b"], 32, [24], "file")
    jobs.wait_until_ended(admin.instances.remove_export("db2"))
    jobs.wait_until_ended(admin.instances.remove("db3"))
    assert status(admin, "GET", "/2/instances/db3") == 404


def test_groups_networks_filters_and_nodes(admin):
    wait = admin.jobs.wait_until_ended
    wait(admin.groups.create("g1", alloc_policy="last_resort"))
    wait(admin.groups.rename("g1", "g2"))
    assert admin.groups.get("g2")["alloc_policy"] == "last_resort"
    wait(admin.groups.remove("g2"))
    wait(admin.nodes.add_tags("node3", ["rack1"]))
    assert admin.nodes.tags("node3") == ["rack1"]
    wait(admin.nodes.remove_tags("node3", ["rack1"]))
    wait(admin.nodes.set_role("node3", "drained"))
    assert admin.nodes.role("node3") == "drained"
    wait(admin.nodes.set_role("node3", "regular"))
    if admin.nodes.role("node3") == "regular":  # the pool of candidates may have taken it back by itself
        wait(admin.nodes.set_role("node3", "master-candidate"))
    uuid = admin.filters.create(priority=5, predicates=[["jobid", ["<", "id", 1]]], action="REJECT")
    assert admin.filters.get(uuid)["action"] == "REJECT"
    assert admin.filters.replace(uuid, action="CONTINUE") == uuid
    admin.filters.remove(uuid)
    assert status(admin, "GET", f"/2/filters/{uuid}") == status(admin, "DELETE", f"/2/filters/{uuid}") == 404


def test_what_fails_says_so(admin):
    with pytest.raises(JobFailed, match="nosuch"):
        admin.jobs.wait_until_ended(admin.instances.startup("nosuch"))
    for target, wanted in (("/2/instances/nosuch", 404), ("/2/jobs/99999999", 404), ("/2/nodes/node1?lock=1", 500),
                           ("/2/query/os?fields=name", 500), ("/2/query/nosuch?fields=name", 502),
                           ("/2/instances/nosuch/console", 404), ("/2/instances/nosuch/tags", 404)):
        assert status(admin, "GET", target) == wanted, target
    assert status(admin, "GET", "/2/jobs/99999999/wait", None, {"fields": ["status"]}) == 404
    assert status(admin, "PUT", "/2/query/node", None, {"fields": ["name"], "qfilter": ["=", "nosuch", 1]}) == 500


def test_a_drained_queue(cluster, admin):
    with cluster.client() as client:
        client.call("SetDrainFlag", [True])
        try:
            assert status(admin, "PUT", "/2/instances/web1/startup") == 503
        finally:
            client.call("SetDrainFlag", [False])


def test_the_same_key_from_many_at_once_submits_one_job(cluster, url):
    answers = []

    def send():
        client = RapiClient(url, credentials=("admin", "secret"), verify=False)
        client._transport.handle = keyed(client._transport.handle)
        client._transport.aim = keyed(client._transport.aim)
        answers.append(client.instances.add_tags("web1", ["key"]))
        client.close()

    def keyed(call):
        def with_key(*args):
            *first, headers = args
            return call(*first, [item for item in headers if "Idempotency" not in item] + ["Idempotency-Key: same"])
        return with_key
    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 6
    assert len(set(answers)) == 1
    cluster.wait_job(answers[0])
    restart(cluster)
    send()
    assert len(set(answers)) == 1


def restart(cluster):
    cluster.kill("gnt-rapi")
    done = cluster.run(sys.executable, "-m", "gantry.server.rapi")
    assert done.returncode == 0, done.stderr


def test_the_master_daemon_comes_back(cluster, admin):
    assert admin.instances.names() == ["web1"]
    cluster.kill("gnt-masterd")
    assert status(admin, "GET", "/2/instances") == 502
    assert admin.cluster.version() == 2
    cluster.start("gnt-masterd")
    assert admin.instances.names() == ["web1"]


def test_events_tell_what_happens(admin, open_client):
    stream = open_client().events.listen()
    assert next(stream) is None
    job = admin.instances.shutdown("web1", timeout=0)
    seen, end = [], time.monotonic() + 60
    while time.monotonic() < end and not (
            ("job", job, "success") in seen and any(item[2] == "ADMIN_down" for item in seen)):
        event = next(stream)
        if event is not None:
            seen.append((event.kind, event.data.get("id") or event.data.get("name"), event.data.get("status")))
    assert ("job", job, "success") in seen
    assert ("instance", "web1", "ADMIN_down") in seen
    stream.close()
    admin.jobs.wait_until_ended(admin.instances.startup("web1"))


def test_tokens(cluster, open_client):
    def token(*argv):
        return cluster.gnt(sys.executable, "-m", "gantry.rapi.token_program", *argv).strip()
    shown = token("add", "ci", "--role", "write", "--days", "1")
    client = open_client("", shown)
    assert client.instances.activate_disks("web1") > 0
    token("revoke", shown.split("_")[1])
    assert status(client, "GET", "/version") == 401


def test_broken_clients_do_not_end_it(cluster, admin):
    place = (cluster.layout.address(cluster.master), 5080)
    for data in (b"", b"\x16\x03\x01\x00\x05garbage", b"\0" * 1000, b"GET / HTTP/1.1\r\n"):
        with socket.create_connection(place, timeout=20) as sock:
            sock.sendall(data)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(place, timeout=20) as sock, context.wrap_socket(sock) as tls:
        tls.sendall(b"PUT /2/modify HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n")
        answer = tls.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == 413
    assert admin.cluster.version() == 2
    assert "Traceback" not in cluster.paths().log_file("gnt-rapi").read_text()


def test_a_new_certificate_is_used_at_once(cluster, url):
    own = cluster.paths().rapi_certificate
    old = own.read_text()
    try:
        own.chmod(0o600)
        own.write_text(x509.self_signed("new"))
        with RapiClient(url, authority=str(own)) as client:
            assert client.cluster.version() == 2
    finally:
        own.write_text(old)


def test_it_runs_on_the_master_only(cluster):
    done = cluster.run(sys.executable, "-m", "gantry.server.rapi", node="node2")
    assert done.returncode == 11
    assert "not the master" in done.stderr
