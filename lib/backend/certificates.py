# SPDX-License-Identifier: BSD-2-Clause
"""This node's own certificate, renewed in two moves: a new one is made beside it, and later takes its place.

Between the two the other nodes are told of it.  The key never leaves the node.
"""

from gantry import paths
from gantry.errors import WrongState
from gantry.rpc import credentials
from gantry.utils import files, x509


def certificate_digest() -> str:
    return credentials.own_digest()


def certificate_prepare() -> str:
    """Asked again, it gives the one that is prepared."""
    here = paths.here()
    authority, own = credentials.read_pem(here.cluster_certificate), credentials.read_pem(here.node_certificate)
    if not x509.has_key(authority):
        raise WrongState(detail=f"{here.cluster_certificate} has no key here: no certificate can be issued")
    waiting = here.prepared_certificate
    if waiting.exists() and x509.same_issuer(waiting.read_text(), authority):
        return x509.digest(waiting.read_text())
    names = x509.subject(own)
    fresh = x509.issue(authority, common_name=names.common_name, alt_names=names.alt_names)
    files.write_atomic(waiting, fresh, mode=0o400)
    return x509.digest(fresh)


def certificate_use(*, digest: str) -> None:
    """Harmless when it is in use already."""
    here = paths.here()
    if certificate_digest() != digest:
        if not here.prepared_certificate.exists() or x509.digest(here.prepared_certificate.read_text()) != digest:
            raise WrongState(detail="the certificate that is to be used is not prepared on this node")
        files.write_atomic(here.node_certificate, here.prepared_certificate.read_text(), mode=0o400)
    certificate_drop()
    here.reissued.unlink(missing_ok=True)


def certificate_drop() -> None:
    paths.here().prepared_certificate.unlink(missing_ok=True)
