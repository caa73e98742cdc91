# SPDX-License-Identifier: BSD-2-Clause
"""This node's certificate files: noticing that they changed, and issuing anew what an admin made invalid."""

import hashlib
from pathlib import Path

from gantry import paths
from gantry.errors import ConfigurationError
from gantry.utils import clock, files, x509

Stamp = tuple[tuple[int, int, int], ...]


def stamp(*wanted: Path) -> Stamp:
    """A value that changes when one of the files does; a missing file has one too."""
    found = []
    for path in wanted:
        try:
            facts = path.stat()
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((facts.st_mtime_ns, facts.st_ino, facts.st_size))
    return tuple(found)


def own_stamp() -> Stamp:
    here = paths.here()
    return stamp(here.node_certificate, here.cluster_certificate)


def own_digest() -> str:
    """Digest of this node's certificate as it is now."""
    return x509.digest(read_pem(paths.here().node_certificate))


def read_pem(path: Path) -> str:
    """The text of a certificate file; raises ConfigurationError."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigurationError(detail=f"cannot read {path}: {err}") from err


def check_own() -> bool:
    """Make sure that the cluster's authority vouches for this node; whether a certificate had to be issued.

    An admin whose cluster certificate expired puts a new key and certificate into the cluster's file on
    every node.  The node then issues itself a new certificate under its old names.  Its digest is unknown
    to the others until the master distributes it, so until then candidates are known by their UUID (see
    `admission.py`).  Raises ConfigurationError when nothing can be done here.
    """
    here = paths.here()
    own, authority = read_pem(here.node_certificate), read_pem(here.cluster_certificate)
    for path, text in ((here.node_certificate, own), (here.cluster_certificate, authority)):
        try:
            x509.expiry(text)
        except x509.CertificateError as err:
            raise ConfigurationError(detail=f"{path} is damaged: {err}") from err
    if x509.expiry(authority) < clock.epoch():
        raise ConfigurationError(detail=f"the cluster's certificate {here.cluster_certificate} has expired; "
                                        "put a new key and certificate there on all nodes and start again")
    if x509.same_issuer(own, authority) and x509.expiry(own) > clock.epoch():
        return False
    if not x509.has_key(authority):
        raise ConfigurationError(
            detail=f"{here.node_certificate} was not issued by {here.cluster_certificate} or has expired, and "
                   "the key to issue a new one is not on this node; run gnt-cluster renew-crypto on the master")
    names = x509.subject(own)
    fresh = x509.issue(authority, common_name=names.common_name, alt_names=names.alt_names)
    files.write_atomic(here.reissued, digest_of(here.ssconf("master_candidates_certs")))
    files.write_atomic(here.node_certificate, fresh)
    return True


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content; of nothing when it is missing."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return hashlib.sha256(b"").hexdigest()
