# SPDX-License-Identifier: BSD-2-Clause
"""A cluster of the machines, made with Gantry's own commands, and kept as a snapshot."""

from concurrent.futures import ThreadPoolExecutor

from qa import work
from qa.cluster import install
from qa.machines import lab, network
from qa.machines.lab import Lab
from qa.machines.machine import Machine

READY = "ready"
NAME = "cluster.qa"
VG = "xenvg"
_SECONDS = 900.0
_SMALL_GUESTS = ("min:memory-size=16,cpu-count=1,disk-count=0,disk-size=4,nic-count=0,spindle-use=1/"
                 "max:memory-size=512,cpu-count=8,disk-count=16,disk-size=1048576,nic-count=8,spindle-use=12")


def up(count: int, *, anew: bool = False) -> Lab:
    """The ready cluster: from its snapshot if that has this very tree, with the tree's code put in if it has an
    older one, made from nothing if there is none (or `anew`)."""
    facts = None if anew else lab.facts_of(READY)
    if facts is None or facts["count"] != str(count):
        return _make(count)
    cluster = lab.load(READY)
    if facts["gantry"] != install.key():
        work.say("putting the present code on the nodes")
        refresh(cluster)
        _keep(cluster)
    return cluster


def refresh(cluster: Lab) -> None:
    """The tree's code on all nodes, and daemons that run it."""
    cluster.each(install.install)
    cluster.each(restart_daemons)
    wait_for_master(cluster)


def restart_daemons(machine: Machine) -> None:
    """Those that run."""
    machine.sh("for daemon in gnt-noded gnt-masterd; do "
               "systemctl is-active $daemon >/dev/null && systemctl restart $daemon; done; true", seconds=_SECONDS)


def wait_for_master(cluster: Lab) -> None:
    """Until the master daemon answers."""
    cluster["node1"].sh("i=0; until gnt-job list >/dev/null 2>&1; do i=$((i + 1)); [ $i -lt 60 ]; sleep 1; done",
                        seconds=_SECONDS)


def _make(count: int) -> Lab:
    work.say(f"booting {count} machines")
    cluster = lab.create(count)
    work.say("installing Gantry")
    with ThreadPoolExecutor(1) as pool:
        packed = pool.submit(install.archive)
        cluster.each(_volume_group)
        packed.result()
    cluster.each(install.install)
    work.say("gnt-cluster init")
    master = cluster["node1"]
    master.run(*_init_command(), seconds=_SECONDS)
    for machine in cluster.machines[1:]:
        work.say(f"gnt-node add {machine.name}")
        master.run("gnt-node", "add", "--no-ssh-key-check", "-s", network.address(machine.number, 1), machine.name,
                   seconds=_SECONDS)
    # What init started runs beside the services; from here on they are kept running by the units.
    master.sh("kill $(cat /run/gantry/gnt-*.pid); while ls /run/gantry/gnt-*.pid >/dev/null 2>&1; do sleep 0.2; done",
              seconds=_SECONDS)
    master.run("systemctl", "restart", "gnt-noded", "gnt-masterd", seconds=_SECONDS)
    wait_for_master(cluster)
    _keep(cluster)
    return cluster


def _keep(cluster: Lab) -> None:
    """What was installed is on the disks then: a machine may lose its power right after it was resumed."""
    cluster.each(lambda machine: machine.run("sync", seconds=_SECONDS))
    work.say("saving the ready cluster")
    lab.save(cluster, READY, {"gantry": install.key(), "count": str(len(cluster.machines))})


def _volume_group(machine: Machine) -> None:
    machine.sh(f"pvcreate -q -y /dev/vdb; vgcreate -q {VG} /dev/vdb")


def _init_command() -> list[str]:
    return ["gnt-cluster", "init", "--no-etc-hosts", "--no-ssh-init", "--enabled-hypervisors=kvm",
            "--enabled-disk-templates=drbd,plain,file,diskless", f"--vg-name={VG}",
            "--drbd-usermode-helper=/bin/true", "-s", network.address(1, 1), "--master-netdev=br0",
            "--nic-parameters=mode=bridged,link=br0", f"--file-storage-dir={install.FILE_STORAGE}",
            "--hypervisor-parameters=kvm:kvm_path=/usr/bin/qemu-system-x86_64,kernel_path=,serial_console=true",
            "--default-iallocator=hail", f"--ipolicy-bounds-specs={_SMALL_GUESTS}", NAME]
