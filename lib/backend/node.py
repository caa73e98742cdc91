# SPDX-License-Identifier: BSD-2-Clause
"""Calls about the node itself: what it is, what it has, its certificates, its end as a member."""

import os
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from gantry import constants, paths
from gantry.backend import checks, ssconf, storage_checks, store, volumes
from gantry.errors import NotFound, WrongInput, WrongState
from gantry.hypervisor import base as hypervisors
from gantry.leader import promise
from gantry.objects.node import NodeInfo, NodeReport, Version
from gantry.utils import clock, x509
from gantry.utils.files import sync_folder, write_atomic

MIB = 1 << 20


def version() -> Version:
    term, master = promise.read()
    return Version(protocol=constants.PROTOCOL_VERSION, release=constants.RELEASE_VERSION, node=x509.own_uuid(),
                   term=term, master=master)


def node_info(*, storage: list[list[str]]) -> NodeInfo:
    """Units that are not there are left out of `storage`."""
    memory = psutil.virtual_memory()
    guests = _guest_memory()
    used = memory.total - memory.available
    return NodeInfo(boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                    memory_total=memory.total // MIB, memory_free=memory.available // MIB,
                    memory_node=max(0, used - guests) // MIB, cpu_total=psutil.cpu_count() or 1,
                    cpu_sockets=_cpu_sockets(), cpu_nodes=_numa_nodes(),
                    storage=tuple(unit for kind, name in storage for unit in volumes.measure(kind, name)))


def node_verify(*, what: dict[str, Any]) -> NodeReport:
    here = paths.here()
    problems = [*checks.certificates(), *checks.system(),
                *checks.storage_folders(what.get("file_storage_dirs") or []),
                *checks.hypervisors(what.get("hypervisors") or []),
                *checks.links([(mode, link) for mode, link in what.get("links") or []]),
                *checks.reach(what.get("hosts") or {}),
                *(storage_checks.volume_group(what["volume_group"]) if what.get("volume_group") else [])]
    facts, more = storage_checks.drbd(what["drbd_helper"]) if "drbd_helper" in what else (None, [])
    tasks = sorted(path.name for path in here.tasks.iterdir()) if here.tasks.is_dir() else []
    return NodeReport(time=clock.epoch(), problems=(*problems, *more), task_ids=tuple(tasks), drbd=facts,
                      disk_files=tuple(checks.disk_files(what.get("file_storage_dirs") or [])),
                      digests=checks.digests(what.get("files") or []))


def ssconf_write(*, values: dict[str, str], serial: int) -> None:
    ssconf.write(values, serial)


def rapi_files_write(*, files: dict[str, str | None]) -> None:
    known = paths.here().rapi_files()
    unknown = sorted(files.keys() - known.keys())
    if unknown:
        raise WrongInput(detail=f"{', '.join(unknown)} cannot be written: gnt-rapi has {', '.join(sorted(known))} only")
    for name, text in files.items():
        if text is None:
            known[name].unlink(missing_ok=True)
        else:
            write_atomic(known[name], text, mode=0o400 if known[name].suffix == ".pem" else 0o600)


def node_leave() -> None:
    here = paths.here()
    running = sorted(guest.name for name in constants.HypervisorName for guest in _guests(name))
    if running:
        raise WrongState(detail=f"this node cannot leave the cluster: the guests {', '.join(running)} run here")
    store.store_forget()
    ssconf.remove()
    for path in (*here.state.glob("cluster.db*"), *here.state.glob(f"{here.term.name}*"), here.reissued,
                 here.node_certificate, here.cluster_certificate, *here.rapi_files().values()):
        path.unlink(missing_ok=True)
    for folder in (here.tasks, here.vm_specs, here.owners):
        shutil.rmtree(folder, ignore_errors=True)
    sync_folder(here.state)


def certificate_issue(*, pem: str, cluster_pem: str) -> None:
    """Refuses a certificate without its key, and one that the cluster's authority did not issue."""
    if not x509.has_key(pem):
        raise WrongInput(detail="the new node certificate comes without its key")
    if not x509.same_issuer(pem, cluster_pem):
        raise WrongInput(detail="the new node certificate was not issued by the new cluster certificate")
    here = paths.here()
    write_atomic(here.cluster_certificate, cluster_pem, mode=0o400)
    write_atomic(here.node_certificate, pem, mode=0o400)
    here.reissued.unlink(missing_ok=True)


def test_delay(*, duration: float) -> None:
    clock.SYSTEM.sleep(duration)


def _guests(hypervisor: str) -> list[Any]:
    try:
        return hypervisors.load(hypervisor).list()
    except NotFound:
        return []


def _guest_memory() -> int:
    """Bytes of real memory that the guests' processes hold: the host's own use is what remains."""
    pages = 0
    folder = paths.here().kvm / "pid"
    for file in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError, ValueError, IndexError):  # it has just ended
            pages += int(Path(f"/proc/{int(file.read_text())}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@cache
def _cpu_sockets() -> int:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return len({line for line in lines if line.startswith("physical id")}) or 1


@cache
def _numa_nodes() -> int:
    return len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) or 1
