# SPDX-License-Identifier: BSD-2-Clause
"""Certificates are what TLS, the list of candidates and an admin with openssl make of them."""

import ssl

import pytest

from gantry.utils import clock, command, x509
from support.nodes import authority


@pytest.fixture(scope="module")
def issued():
    return x509.issue(authority(), common_name="node1", alt_names=["a-uuid", "node1", "127.0.0.3"])


def test_an_issued_certificate_names_its_node_and_is_the_authoritys(issued):
    assert x509.subject(issued) == x509.Subject("node1", ("a-uuid", "node1", "127.0.0.3"))
    assert x509.same_issuer(issued, authority())
    assert not x509.same_issuer(issued, issued)


def test_another_authority_of_the_same_name_is_noticed(issued):
    assert not x509.same_issuer(issued, x509.make_authority("cluster.example.org"))


def test_the_authority_holds_for_five_years_and_a_node_no_longer_than_it(issued):
    days = (x509.expiry(authority()) - clock.epoch()) / 86400
    assert 1824 < days <= 1825
    assert x509.expiry(issued) <= x509.expiry(authority())


def test_the_digest_is_that_of_the_certificate_alone(issued):
    text = x509.digest(issued)
    assert len(text.split(":")) == 32
    assert text == text.upper() == x509.digest(x509.certificate_only(issued))


def test_key_and_certificate_are_found_in_either_order(issued):
    swapped = x509.certificate_only(issued) + x509.key_only(issued)
    assert x509.has_key(swapped)
    assert not x509.has_key(x509.certificate_only(swapped))
    assert x509.digest(swapped) == x509.digest(issued)


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused_with_a_sentence(text):
    with pytest.raises(x509.CertificateError, match="certificate"):
        x509.digest(text)


def test_a_certificate_without_its_key_issues_nothing():
    with pytest.raises(x509.CertificateError, match="no key"):
        x509.issue(x509.certificate_only(authority()), common_name="n", alt_names=[])


def test_a_file_made_by_openssl_is_an_authority(tmp_path):
    where = tmp_path / "server.pem"
    command.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-days", "1825", "-nodes", "-x509",
                 "-keyout", str(where), "-out", str(where), "-batch"], seconds=60)
    made = where.read_text()
    issued = x509.issue(made, common_name="node1", alt_names=["u"])
    assert x509.same_issuer(issued, made)
    context = ssl.create_default_context(cadata=x509.certificate_only(made))
    assert context.cert_store_stats()["x509_ca"] == 1
