# SPDX-License-Identifier: BSD-2-Clause
"""What a node checks about itself for `gnt-cluster verify`: each function gives the problems it found."""

import hashlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gantry import constants, paths
from gantry.errors import Error
from gantry.hypervisor import base as drivers
from gantry.net import base as net
from gantry.objects.node import NodeProblem
from gantry.storage import allowed
from gantry.utils import clock, x509

DAY = 86400.0
WARN_DAYS, ERROR_DAYS = 30, 7
REACH_SECONDS = 5.0 * clock.PATIENCE


def certificates() -> Iterator[NodeProblem]:
    """Missing, foreign, expired and soon expiring certificates."""
    here = paths.here()
    texts: dict[Path, str] = {}
    for path, code in ((here.cluster_certificate, "ECLUSTERCERT"), (here.node_certificate, "ECLUSTERCLIENTCERT")):
        try:
            texts[path] = path.read_text()
            left = (x509.expiry(texts[path]) - clock.epoch()) / DAY
        except (OSError, UnicodeDecodeError, Error) as err:
            yield NodeProblem(code=code, message=f"the certificate {path} cannot be read: {err}")
            continue
        if left < 0:
            yield NodeProblem(code=code, message=f"the certificate {path} has expired; run gnt-cluster renew-crypto")
        elif left < WARN_DAYS:
            yield NodeProblem(code=code, warning=left >= ERROR_DAYS,
                              message=f"the certificate {path} expires in {left:.0f} days")
    if len(texts) == 2 and not x509.same_issuer(texts[here.node_certificate], texts[here.cluster_certificate]):
        yield NodeProblem(code="ECLUSTERCLIENTCERT",
                          message=f"the certificate {here.node_certificate} was not issued by this cluster")


def system() -> Iterator[NodeProblem]:
    for path in ("/proc/sys", "/sys/class"):
        if not os.path.isdir(path):
            yield NodeProblem(code="ENODESETUP", message=f"{path} is not there: procfs and sysfs must be mounted")


def storage_folders(folders: Sequence[str]) -> Iterator[NodeProblem]:
    """Folders that are not allowed or not usable here, and bad lines of the allow-list."""
    listed = allowed.allowed_folders()
    for folder in listed:
        problem = allowed.forbidden(folder)
        if problem:
            yield NodeProblem(code="ENODEFILESTORAGEPATHS", message=f"{paths.here().file_storage_paths}: {problem}")
    for name in folders:
        folder = Path(name)
        if not any(base == folder or base in folder.parents for base in listed):
            yield NodeProblem(code="ENODEFILESTORAGEPATHUNUSABLE",
                              message=f"{folder} is not listed in {paths.here().file_storage_paths}")
        elif not folder.is_dir():
            yield NodeProblem(code="ENODEFILESTORAGEPATHUNUSABLE", message=f"{folder} is not a folder")
        elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            yield NodeProblem(code="ENODEFILESTORAGEPATHUNUSABLE", message=f"{folder} is not writable")


def hypervisors(names: Sequence[str]) -> Iterator[NodeProblem]:
    for name in names:
        try:
            for message in drivers.load(name).verify():
                yield NodeProblem(code="ENODEHV", message=f"hypervisor {name}: {message}")
        except Error as err:
            yield NodeProblem(code="ENODEHV", message=f"hypervisor {name}: {err}")


def links(wanted: list[tuple[str, str]]) -> Iterator[NodeProblem]:
    """Bridges that network interfaces of guests need; `wanted` holds (mode, link)."""
    if wanted:
        try:
            for message in net.load().verify(wanted):
                yield NodeProblem(code="ENODENET", message=message)
        except Error as err:
            yield NodeProblem(code="ENODENET", message=str(err))


def reach(hosts: Mapping[str, str]) -> Iterator[NodeProblem]:
    """Whether the node daemons of the other nodes (name to address) accept connections from here."""
    if not hosts:
        return
    with ThreadPoolExecutor(max_workers=16) as pool:
        for name, problem in zip(hosts, pool.map(_connect, hosts.values()), strict=True):
            if problem:
                yield NodeProblem(code="ENODENET", message=f"tcp communication with node '{name}' failed: {problem}")


def disk_files(folders: Sequence[str]) -> Iterator[str]:
    """The disks below the storage folders, those that are half made included."""
    for name in folders:
        for parent, _, names in os.walk(name):
            yield from (os.path.join(parent, file) for file in sorted(names)
                        if parent != name and not file.endswith(".owner") and not file.startswith("."))


def digests(files: Sequence[str]) -> dict[str, str]:
    """SHA-256 by path; files that cannot be read are left out."""
    found = {}
    for name in files:
        try:
            with open(name, "rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            continue
    return found


def _connect(address: str) -> str:
    try:
        with socket.create_connection((address, constants.NODED_PORT), timeout=REACH_SECONDS):
            return ""
    except OSError as err:
        return f"{address} port {constants.NODED_PORT}: {err.strerror or err}"
