# SPDX-License-Identifier: BSD-2-Clause
"""A node's new certificate: prepared beside the old one, then used."""

import pytest

from gantry import paths
from gantry.backend import certificates
from gantry.errors import WrongState
from gantry.utils import x509


@pytest.fixture(autouse=True)
def member(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    here = paths.here()
    here.state.mkdir(parents=True)
    authority = x509.make_authority("cluster")
    here.cluster_certificate.write_text(authority)
    here.node_certificate.write_text(x509.issue(authority, common_name="node1", alt_names=["uuid-1", "127.0.0.1"]))
    return here


def test_it_is_prepared_once_and_used_twice_without_harm(member):
    before = certificates.certificate_digest()
    digest = certificates.certificate_prepare()
    assert certificates.certificate_prepare() == digest != before
    assert certificates.certificate_digest() == before
    member.reissued.write_text("x")
    for _ in range(2):
        certificates.certificate_use(digest=digest)
        assert certificates.certificate_digest() == digest
    assert not member.prepared_certificate.exists()
    assert not member.reissued.exists()
    text = member.node_certificate.read_text()
    assert x509.subject(text) == x509.Subject("node1", ("uuid-1", "127.0.0.1"))
    assert x509.has_key(text)
    assert member.node_certificate.stat().st_mode & 0o777 == 0o400


def test_what_is_dropped_or_was_never_prepared_is_not_used(member):
    before, digest = certificates.certificate_digest(), certificates.certificate_prepare()
    certificates.certificate_drop()
    certificates.certificate_drop()
    for wanted in (digest, "AA:BB"):
        with pytest.raises(WrongState):
            certificates.certificate_use(digest=wanted)
    assert certificates.certificate_digest() == before


def test_one_of_another_authority_is_prepared_anew(member):
    digest = certificates.certificate_prepare()
    member.cluster_certificate.write_text(x509.make_authority("other"))
    assert certificates.certificate_prepare() != digest


def test_without_the_authoritys_key_none_is_made(member):
    member.cluster_certificate.write_text(x509.certificate_only(member.cluster_certificate.read_text()))
    with pytest.raises(WrongState, match="no key"):
        certificates.certificate_prepare()
