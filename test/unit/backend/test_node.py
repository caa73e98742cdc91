# SPDX-License-Identifier: BSD-2-Clause
"""What a node says of itself, its certificates, and leaving the cluster."""

from types import SimpleNamespace

import pytest

from gantry import constants, paths
from gantry.backend import node
from gantry.errors import WrongInput, WrongState
from gantry.utils import x509


@pytest.fixture(scope="module")
def authority() -> str:
    return x509.make_authority("cluster.example.com")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    (tmp_path / "etc/gantry").mkdir(parents=True)
    (tmp_path / "etc/hostname").write_text("node1\n")
    paths.here().state.mkdir(parents=True)
    return paths.here()


def issue(authority: str) -> str:
    return x509.issue(authority, common_name="node1", alt_names=["uuid-1", "node1", "127.0.0.1"])


def verify(**what):
    report = node.node_verify(what=what)
    return {(problem.code, problem.warning) for problem in report.problems}, report


def test_version_names_the_node_by_its_certificate(here, authority):
    node.certificate_issue(pem=issue(authority), cluster_pem=x509.certificate_only(authority))
    found = node.version()
    assert (found.protocol, found.node) == (constants.PROTOCOL_VERSION, "uuid-1")


def test_version_answers_before_the_node_is_a_member(here):
    assert node.version().node == ""


def test_info_has_plausible_numbers(here, tmp_path):
    info = node.node_info(storage=[["file", str(tmp_path)], ["file", "/no/such/folder"], ["lvm-vg", "xenvg"]])
    assert info.memory_total >= info.memory_free > 0
    assert info.cpu_total >= info.cpu_sockets >= 1
    assert info.cpu_nodes >= 1
    assert len(info.boot_id) == 36
    ((kind, name, total, free),) = [(unit.kind, unit.name, unit.total, unit.free) for unit in info.storage]
    assert (kind, name) == ("file", str(tmp_path))
    assert total >= free


@pytest.mark.parametrize("wrong", ["no key", "stranger"])
def test_a_bad_certificate_changes_nothing(here, authority, wrong):
    good = issue(authority)
    node.certificate_issue(pem=good, cluster_pem=authority)
    bad = x509.certificate_only(good) if wrong == "no key" else issue(x509.make_authority("other"))
    with pytest.raises(WrongInput):
        node.certificate_issue(pem=bad, cluster_pem=authority)
    assert here.node_certificate.read_text() == good
    assert here.node_certificate.stat().st_mode & 0o777 == 0o400


def test_a_sound_node_has_no_problems(here, authority, tmp_path):
    node.certificate_issue(pem=issue(authority), cluster_pem=authority)
    (tmp_path / "disks").mkdir()
    here.file_storage_paths.write_text(f"{tmp_path}/disks\n")
    problems, report = verify(file_storage_dirs=[str(tmp_path / "disks")],
                              files=[str(here.file_storage_paths), "/nope"])
    assert problems == set()
    assert list(report.digests) == [str(here.file_storage_paths)]
    assert report.time > 1e9


def test_missing_certificates_are_reported(here):
    assert verify()[0] == {("ECLUSTERCERT", False), ("ECLUSTERCLIENTCERT", False)}


@pytest.mark.parametrize(("days", "expected"), [(-1, False), (3, False), (20, True)])
def test_certificates_that_end_soon_are_reported(here, authority, monkeypatch, days, expected):
    node.certificate_issue(pem=issue(authority), cluster_pem=authority)
    end = x509.expiry(here.node_certificate.read_text())
    monkeypatch.setattr("gantry.utils.clock.epoch", lambda: end - days * 86400)
    assert ("ECLUSTERCLIENTCERT", expected) in verify()[0]


def test_bad_storage_folders_are_reported(here, authority, tmp_path):
    node.certificate_issue(pem=issue(authority), cluster_pem=authority)
    here.file_storage_paths.write_text(f"{tmp_path}/etc/x\n{tmp_path}/disks\n")
    problems, _ = verify(file_storage_dirs=[str(tmp_path / "disks"), "/not/listed"])
    assert problems == {("ENODEFILESTORAGEPATHS", False), ("ENODEFILESTORAGEPATHUNUSABLE", False)}


def test_nodes_that_do_not_answer_are_reported(here, authority, monkeypatch):
    node.certificate_issue(pem=issue(authority), cluster_pem=authority)
    monkeypatch.setattr(constants, "NODED_PORT", 1)
    problems, report = verify(hosts={"node2": "127.0.0.77"})
    assert problems == {("ENODENET", False)}
    assert "node2" in report.problems[0].message


def test_disk_files_are_listed_without_their_records(here, tmp_path):
    for name in ("web1/d0", "web1/d0.owner", "sub/web2/d0.new", "stray"):
        (tmp_path / "disks" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "disks" / name).write_text("")
    _, report = verify(file_storage_dirs=[str(tmp_path / "disks")])
    assert set(report.disk_files) == {f"{tmp_path}/disks/web1/d0", f"{tmp_path}/disks/sub/web2/d0.new"}


def test_leaving_removes_what_made_it_a_member(here, authority, monkeypatch):
    monkeypatch.setattr(node, "_guests", lambda name: [])
    node.certificate_issue(pem=issue(authority), cluster_pem=authority)
    node.ssconf_write(values={"cluster_name": "c"}, serial=1)
    here.store.write_text("")
    for _ in range(2):
        node.node_leave()
    assert list(here.state.iterdir()) == []


def test_a_node_with_guests_does_not_leave(here, authority, monkeypatch):
    monkeypatch.setattr(node, "_guests", lambda name: [SimpleNamespace(name="web1")] if name == "kvm" else [])
    node.certificate_issue(pem=issue(authority), cluster_pem=authority)
    with pytest.raises(WrongState, match="web1"):
        node.node_leave()
    assert here.node_certificate.exists()
