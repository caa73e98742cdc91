# SPDX-License-Identifier: BSD-2-Clause
"""Exported while the guest writes, from snapshots of plain and mirrored disks; what was promised before comes back."""

from qa import work
from qa.cluster import mirror
from qa.cluster.cluster import Cluster, wait_until
from qa.cluster.console import Console
from qa.cluster.guest import Guest, recorder
from qa.work import QaError

EXPORTS = "/var/lib/gantry/export"


def run(cluster: Cluster) -> None:
    there_and_back(cluster, "plain", "node1", target="node2", again=("drbd", "node3:node1"))
    there_and_back(cluster, "drbd", "node1:node2", target="node3", again=("plain", "node3"))


def there_and_back(cluster: Cluster, template: str, nodes: str, *, target: str, again: tuple[str, str]) -> None:
    """A guest on `template`, exported to `target` without and with a stop, becomes another one on `again`."""
    with recorder(cluster, f"{template}1", template, nodes) as guest:
        promised = guest.wait_for_records(20)
        volumes = mirror.volumes(cluster, guest.primary)
        seconds = mirror.timed(lambda: cluster.gnt("backup", "export", "--noshutdown", "-n", target, guest.name))
        found = exported(cluster, guest, target, promised)
        work.say(f"{guest.name} exported while it writes in {seconds:.1f} s: {found} records, {promised + 1} promised")
        promised = guest.wait_for_records(5)
        cluster.gnt("backup", "export", "--shutdown-timeout=20", "--transport-compression=gzip-fast", "-n", target,
                    guest.name)
        found = exported(cluster, guest, target, promised)
        wait_until(lambda: sum(line.text == "UP" for line in guest.console.lines()) >= 2, "the guest boots again",
                   seconds=60)
        guest.wait_for_records(5)
        work.say(f"stopped, exported, started again: {found} records exported, {guest.check()} on the disk by now")
        if mirror.volumes(cluster, guest.primary) != volumes:
            raise QaError(f"snapshots are left on {guest.primary}: {mirror.volumes(cluster, guest.primary)}")
        other(cluster, guest, found, *again)
    cluster.gnt("backup", "remove", f"{template}1")


def exported(cluster: Cluster, guest: Guest, node: str, promised: int) -> int:
    """How many whole records the export begins with: all that were promised before it was made."""
    dumps = cluster[node].sh(f"ls {EXPORTS}/{guest.name}").split()
    if len(dumps) != 2 or "config.ini" not in dumps:
        raise QaError(f"the export of {guest.name} on {node} has {dumps}")
    dumps.remove("config.ini")
    found = guest.records_at(node, f"{EXPORTS}/{guest.name}/{dumps[0]}", guest.console.last() + 1)
    if found <= promised:
        raise QaError(f"{guest.name} was promised record {promised} before its export, which has {found} in order")
    return found


def other(cluster: Cluster, guest: Guest, least: int, template: str, nodes: str) -> None:
    """The export as another instance, which goes on where the exported one was."""
    name = f"{guest.name}again"
    cluster.gnt("backup", "import", "-t", template, "-n", nodes, f"--src-dir={guest.name}", name)
    cluster.gnt("instance", "startup", name)
    with Console(list(cluster.lab), cluster.instance(name, "uuid")[0]) as console:
        back = Guest(cluster, name, console)
        back.wait_for_records(5)
        said = [int(line.text.split()[1], 16) for line in console.lines() if line.text.startswith("FOUND ")]
        if not said or said[0] < least:
            raise QaError(f"{name} found {said} records on its disk, {least} were in the export")
        work.say(f"{name} on {template} found {said[0]} records and went on: {back.check()}")
    cluster.gnt("instance", "remove", "-f", "--shutdown-timeout=0", name)
