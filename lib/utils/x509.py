# SPDX-License-Identifier: BSD-2-Clause
"""Keys and certificates: the cluster's own authority, and what it issues to nodes.

A PEM text here is a key and a certificate in one, in either order, as `openssl req -x509 -keyout F -out F`
leaves them too.  Text that cannot be read raises CertificateError.
"""

import datetime
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gantry import paths
from gantry.errors import ConfigurationError

DAYS = 1825
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_SLACK = datetime.timedelta(minutes=5)

_SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class CertificateError(ConfigurationError):
    """A PEM text has no usable key or certificate."""


@dataclass(frozen=True)
class Subject:
    """Whom a certificate names: names and addresses as one list of strings."""

    common_name: str
    alt_names: tuple[str, ...]


def make_authority(cluster_name: str) -> str:
    """A new key and its self-signed CA certificate (RSA 2048, SHA-256, five years)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = _name(cluster_name)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (_builder(name, name, key.public_key(), _now() + datetime.timedelta(days=DAYS))
               .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
               .add_extension(_usage(signs_certificates=True), critical=True)
               .add_extension(identifier, critical=False)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
                              critical=False))
    return _key_pem(key) + _pem(builder.sign(key, hashes.SHA256()))


def issue(authority_pem: str, *, common_name: str, alt_names: Sequence[str]) -> str:
    """A new key and a certificate for both ends of TLS, for these names and addresses.

    It ends when the authority does, after five years at most.  Node keys are EC: their handshakes cost a
    fraction of RSA's.
    """
    authority, signer = _certificate(authority_pem), _key(authority_pem)
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(_now() + datetime.timedelta(days=DAYS), authority.not_valid_after_utc)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = (_builder(_name(common_name), authority.subject, key.public_key(), end)
               .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
               .add_extension(_usage(signs_certificates=False), critical=True)
               .add_extension(usage, critical=False)
               .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in alt_names]),
                              critical=False)
               .add_extension(_authority_identifier(authority), critical=False))
    return _key_pem(key) + _pem(builder.sign(signer, hashes.SHA256()))


def self_signed(name: str) -> str:
    """A new key and a certificate of its own for servers outside the cluster's authority, five years."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = (_builder(subject, subject, key.public_key(), _now() + datetime.timedelta(days=DAYS))
               .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
               .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
               .add_extension(x509.SubjectAlternativeName([_general_name(name)]), critical=False))
    return _key_pem(key) + _pem(builder.sign(key, hashes.SHA256()))


def digest(pem: str) -> str:
    """SHA-256 of the certificate, as `AA:BB:...`."""
    return _certificate(pem).fingerprint(hashes.SHA256()).hex(":").upper()


def certificate_only(pem: str) -> str:
    """The certificate without its key."""
    return _pem(_certificate(pem))


def key_only(pem: str) -> str:
    """The key without its certificate."""
    return _key_pem(_key(pem))


def has_key(pem: str) -> bool:
    return any(kind.endswith("PRIVATE KEY") for kind in _BLOCK.findall(pem))


def expiry(pem: str) -> float:
    """When the certificate ends, in seconds since 1970."""
    return _certificate(pem).not_valid_after_utc.timestamp()


def subject(pem: str) -> Subject:
    certificate = _certificate(pem)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        listed = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        listed = x509.SubjectAlternativeName([])
    return Subject(str(names[0].value) if names else "", tuple(str(item.value) for item in listed))


def own_uuid() -> str:
    """This node's UUID, from its certificate; empty before it has one."""
    try:
        return next(iter(subject(paths.here().node_certificate.read_text()).alt_names), "")
    except FileNotFoundError:
        return ""


def same_issuer(pem: str, authority_pem: str) -> bool:
    """Whether this authority's key signed the certificate."""
    try:
        _certificate(pem).verify_directly_issued_by(_certificate(authority_pem))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64] or "gantry")])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(owner: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
             end: datetime.datetime) -> x509.CertificateBuilder:
    # Begins a little in the past: the nodes' clocks differ.
    return (x509.CertificateBuilder().subject_name(owner).issuer_name(issuer).public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(_now(), end) - _SLACK).not_valid_after(end))


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(digital_signature=True, content_commitment=False, key_encipherment=False,
                         data_encipherment=False, key_agreement=False, key_cert_sign=signs_certificates,
                         crl_sign=signs_certificates, encipher_only=False, decipher_only=False)


def _authority_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Names the authority as it names itself: a certificate made by other tools may compute it differently."""
    try:
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        own = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _blocks(pem: str) -> list[tuple[str, bytes]]:
    return [(match[1], match[0].encode()) for match in _BLOCK.finditer(pem)]


def _certificate(pem: str) -> x509.Certificate:
    for kind, block in _blocks(pem):
        if kind == "CERTIFICATE":
            try:
                return x509.load_pem_x509_certificate(block)
            except ValueError as err:
                raise CertificateError(detail=f"the certificate cannot be read: {err}") from err
    raise CertificateError(detail="no certificate is there")


def _key(pem: str) -> _SigningKey:
    for kind, block in _blocks(pem):
        if kind.endswith("PRIVATE KEY"):
            try:
                key = serialization.load_pem_private_key(block, password=None)
            except (ValueError, TypeError, UnsupportedAlgorithm) as err:
                raise CertificateError(detail=f"the key cannot be read: {err}") from err
            if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
                raise CertificateError(detail="the key is neither RSA nor EC")
            return key
    raise CertificateError(detail="no key is there")


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: _SigningKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()
