# SPDX-License-Identifier: BSD-2-Clause
"""Cluster data over RAPI (`-m`): any compatible cluster, or a folder with the four answers (`file://DIR`)."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hbal.errors import LoadError
from hbal.load.cluster import assemble
from hbal.load.fields import Fields, decode
from hbal.model import ClusterData

PORT = 5080
CONNECT_SECONDS, TOTAL_SECONDS = 15, 60
RESOURCES = {"groups": "/2/groups?bulk=1", "nodes": "/2/nodes?bulk=1", "instances": "/2/instances?bulk=1",
             "info": "/2/info"}


def load(address: str) -> ClusterData:
    """The cluster at an address as people give it: a host (then https and the usual port), host:port (plain http),
    or a URL, which may hold user and password.  Raises LoadError.
    """
    fetch = _folder(address) if address.startswith("file://") else _server(address)
    answers = {name: decode(fetch(name), f"{name} of {visible(address)}") for name in RESOURCES}
    records = {name: _records(answers[name], name) for name in ("groups", "nodes", "instances")}
    return assemble(records["groups"], records["nodes"], records["instances"],
                    Fields(answers["info"], "invalid cluster info"), cpu_speeds=False)


def base_url(address: str) -> str:
    return address if ":" in address else f"https://{address}:{PORT}"


def visible(address: str) -> str:
    """The address without what is secret in it."""
    head, at, host = address.rpartition("@")
    scheme, slashes, _ = head.rpartition("://")
    return f"{scheme}{slashes}{host}" if at else address


def _records(answer: Any, name: str) -> list[Fields]:
    if not isinstance(answer, list):
        raise LoadError(f"{name}: Unable to read JSArray")
    found = []
    for record in answer:
        title = record.get("name") if isinstance(record, dict) else None
        found.append(Fields(record, f"invalid data for {name.removesuffix('s')} '{title}'"))
    return found


def _folder(address: str) -> Callable[[str], bytes]:
    folder = Path(unquote(urlsplit(address).netloc + urlsplit(address).path))

    def fetch(name: str) -> bytes:
        path = folder / f"{name}.json"
        try:
            return path.read_bytes()
        except (OSError, ValueError) as err:
            raise LoadError(f"{path}: {getattr(err, 'strerror', None) or err}") from err
    return fetch


def _server(address: str) -> Callable[[str], bytes]:
    import pycurl

    handle, base = pycurl.Curl(), base_url(address)
    handle.setopt(pycurl.CONNECTTIMEOUT, CONNECT_SECONDS)
    handle.setopt(pycurl.TIMEOUT, TOTAL_SECONDS)
    handle.setopt(pycurl.SSL_VERIFYPEER, 0)
    handle.setopt(pycurl.SSL_VERIFYHOST, 0)
    handle.setopt(pycurl.HTTPAUTH, pycurl.HTTPAUTH_BASIC)
    handle.setopt(pycurl.NOSIGNAL, 1)
    handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)

    def fetch(name: str) -> bytes:
        body = io.BytesIO()
        try:
            handle.setopt(pycurl.URL, base.rstrip("/") + RESOURCES[name])
            handle.setopt(pycurl.WRITEDATA, body)
            handle.perform()
        except (pycurl.error, ValueError) as err:
            raise LoadError(f"{visible(base)}: {err.args[-1]}") from err
        code = handle.getinfo(pycurl.RESPONSE_CODE)
        if code != 200:
            raise LoadError(f"{visible(base)} answered {RESOURCES[name]} with HTTP code {code}")
        return body.getvalue()
    return fetch
