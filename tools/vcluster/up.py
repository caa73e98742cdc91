# SPDX-License-Identifier: BSD-2-Clause
"""Making a virtual cluster, and starting again what lies there."""

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

from gantry import constants, paths
from vcluster import guestkit, layout, processes
from vcluster.layout import Layout, VclusterError

GUEST_OS = "gantry-guest"
DEMO = "demo"
NOT_MASTER = 11
"""Exit status of a master daemon on a node that is not the master."""
SMALL_GUESTS = ("min:memory-size=16,cpu-count=1,disk-count=0,disk-size=4,nic-count=0,spindle-use=1/"
                "max:memory-size=32768,cpu-count=8,disk-count=16,disk-size=1048576,nic-count=8,spindle-use=12")
"""A policy under which guests of a few MiB are welcome."""


def up(folder: Path, *, count: int, hypervisor: str, demo: bool) -> Layout:
    """The cluster in `folder`, made if there is none, and running; with `demo`, a guest in it."""
    found = layout.load(folder)
    if found is None:
        _require_qemu(hypervisor)
        found = layout.create(folder, count=count, hypervisor=hypervisor)
        if hypervisor == "kvm":
            _say("preparing the small guest (kernel and initramfs)")
            guestkit.prepare(found.guest)
    if not is_initialised(found):
        _initialise(found)
    for node in found.nodes:
        _start(found, node, "gnt-noded")
    master = master_of(found)
    _start(found, master, "gnt-masterd")  # it asks the other nodes whether it may
    _start_rapi(found, master)
    if demo:
        _demo_guest(found)
    return found


def is_initialised(cluster: Layout) -> bool:
    """Whether the last step of the making, its last node, was done."""
    return all(paths.below(str(cluster.root(node))).ssconf("cluster_name").exists() for node in cluster.nodes)


def master_of(cluster: Layout) -> str:
    """The node that most nodes' files name as the master."""
    votes = []
    for node in cluster.nodes:
        file = paths.below(str(cluster.root(node))).ssconf("master_node")
        if file.exists():
            votes.append(file.read_text().strip())
    if not votes:
        raise VclusterError(f"the cluster in {cluster.folder} was never initialised; run `vcluster up`")
    return max(set(votes), key=votes.count)


def is_running(cluster: Layout, node: str, daemon: str) -> bool:
    """Whether the daemon's pid file names a living process."""
    try:
        pid = int(paths.below(str(cluster.root(node))).pid_file(daemon).read_text().split()[0])
        return Path(f"/proc/{pid}").exists()
    except (OSError, ValueError, IndexError):
        return False


def start_node(cluster: Layout, node: str) -> None:
    """Switch a node on: its node daemon, and the master's daemons if the node takes itself for the master; when
    another has taken over, they find out and do not stay."""
    _start(cluster, node, "gnt-noded")
    if node == master_of(cluster):
        _start(cluster, node, "gnt-masterd", allowed=(0, NOT_MASTER))
        if is_running(cluster, node, "gnt-masterd"):
            _start_rapi(cluster, node)


def rapi_address(cluster: Layout) -> str:
    return f"https://{cluster.address(master_of(cluster))}:{constants.RAPI_PORT}"


def _start_rapi(cluster: Layout, node: str) -> None:
    """Something else on this machine may have its port; everything but the remote API works without it."""
    try:
        _start(cluster, node, "gnt-rapi")
    except VclusterError as err:
        _say(str(err))


def _start(cluster: Layout, node: str, daemon: str, *, allowed: Collection[int] = (0,)) -> None:
    if not is_running(cluster, node, daemon):
        _run(cluster, node, [daemon], allowed=allowed)


def console(cluster: Layout, instance: str, *, lines: int, seconds: float) -> list[str]:
    """What the guest says on its console: up to `lines` lines, waiting at most `seconds`."""
    env = os.environ | processes.environment(cluster, master_of(cluster))
    program = str(Path(sys.executable).parent / "gnt-instance")
    with subprocess.Popen([program, "console", instance], env=env, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as attached:
        assert attached.stdin  # noqa: S101 - a pipe
        assert attached.stdout  # noqa: S101 - a pipe
        text, end = b"", time.monotonic() + seconds
        while text.count(b"\n") < lines and time.monotonic() < end:
            ready, _, _ = select.select([attached.stdout], [], [], 0.5)
            if ready:
                part = os.read(attached.stdout.fileno(), 4096)
                if not part:
                    break
                text += part
        attached.stdin.close()
        attached.terminate()
    return [line.rstrip() for line in text.decode(errors="replace").splitlines() if line.strip()]


def _require_qemu(hypervisor: str) -> None:
    if hypervisor == "kvm" and shutil.which("qemu-system-x86_64") is None:
        raise VclusterError("QEMU is missing: `apt-get install qemu-system-x86` (as root), or use "
                            "--hypervisor fake for a cluster without real guests")


def _initialise(cluster: Layout) -> None:
    first, *others = cluster.nodes
    hypervisor = cluster.hypervisor
    command = ["gnt-cluster", "init", "--no-ssh-init", "--no-etc-hosts", f"--enabled-hypervisors={hypervisor}",
               "--enabled-disk-templates=sharedfile,file,diskless", "--master-netdev=lo",
               "--nic-parameters=mode=bridged,link=br0",
               f"--file-storage-dir={cluster.own}",
               f"--shared-file-storage-dir={cluster.shared}", f"--ipolicy-bounds-specs={SMALL_GUESTS}"]
    if hypervisor == "kvm":
        command.append("--hypervisor-parameters=kvm:kvm_path=/usr/bin/qemu-system-x86_64,kernel_path=")
    if not paths.below(str(cluster.root(first))).ssconf("cluster_name").exists():
        _say(f"initialising the cluster on {first}")
        _run(cluster, first, [*command, cluster.name])
    if hypervisor == "kvm":
        values = ",".join(f"{key}={_escape(value)}" for key, value in guestkit.hv_parameters(cluster.guest).items())
        _run(cluster, first, ["gnt-os", "modify", "-H", f"kvm:{values}", GUEST_OS])
    for node in others:
        if not paths.below(str(cluster.root(node))).ssconf("cluster_name").exists():
            _say(f"adding {node}")
            _run(cluster, first, ["gnt-node", "add", "--no-ssh-key-check", node])


def _demo_guest(cluster: Layout) -> None:
    master = master_of(cluster)
    there = processes.run(cluster, master, ["gnt-instance", "list", "--no-headers", "-o", "name,status",
                                            "--separator=:"], capture=True, seconds=60)
    if there.returncode != 0:
        raise VclusterError(f"gnt-instance list failed: {(there.stderr or there.stdout).strip()}")
    states = dict(line.split(":", 1) for line in there.stdout.split())
    if DEMO not in states:
        _say(f"creating the guest {DEMO}")
        _run(cluster, master, ["gnt-instance", "add", "-t", "sharedfile", "--disk", "0:size=64m", "-o", GUEST_OS,
                               "-B", "memory=128m,vcpus=1", "-n", cluster.nodes[-1], DEMO])
    elif states[DEMO] != "running":
        _say(f"starting the guest {DEMO}")
        _run(cluster, master, ["gnt-instance", "startup", DEMO])


def _escape(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace(",", "\\,")


def _run(cluster: Layout, node: str, argv: list[str], *, allowed: Collection[int] = (0,)) -> None:
    done = processes.run(cluster, node, argv, capture=True, seconds=600)
    if done.returncode not in allowed:
        raise VclusterError(f"`{' '.join(argv)}` on {node} failed with exit status {done.returncode}:\n"
                            f"{(done.stderr + done.stdout).strip()}")


def _say(text: str) -> None:
    print(f"* {text}", flush=True)
