# SPDX-License-Identifier: BSD-2-Clause
"""The certificate that clients of the remote API see."""

from pathlib import Path

from OpenSSL import SSL

from gantry.errors import ConfigurationError
from gantry.rpc import credentials
from gantry.rpc.tls import Contexts


def contexts(certificate: Path, key: Path) -> Contexts:
    """From files in PEM form, which may be the same; a chain may follow the certificate.  Read again when changed."""
    def make() -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        try:
            context.set_min_proto_version(SSL.TLS1_2_VERSION)
            context.set_options(SSL.OP_NO_COMPRESSION)
            context.use_certificate_chain_file(str(certificate))
            context.use_privatekey_file(str(key))
            context.check_privatekey()
        except SSL.Error as err:
            raise ConfigurationError(detail=f"{certificate} and {key} do not work for TLS: {_words(err)}") from err
        return context
    return Contexts(lambda: credentials.stamp(certificate, key), make)


def _words(err: SSL.Error) -> str:
    reasons = [str(item[-1]) for item in err.args[0]] if err.args and isinstance(err.args[0], list) else []
    return "; ".join(reasons) or "they are missing or cannot be read"
