# SPDX-License-Identifier: BSD-2-Clause
"""Every call a node daemon answers.  `lib/backend/` has a function of the same name for each.

All of them may be repeated: the second time ends like the first.  Sizes are MiB, times seconds.
"""
# mypy: disable-error-code="empty-body"
# ruff: noqa: FBT001  (arguments travel by name, there are no positional flags)

from typing import Any

from gantry.objects.dump import Dump, Meeting
from gantry.objects.instance import Disk
from gantry.objects.node import (
    ExtProvider,
    HookResult,
    InSync,
    NodeInfo,
    NodeReport,
    OsDefinition,
    StoreStatus,
    TaskStatus,
    Version,
)
from gantry.objects.vm import (
    Console,
    DeviceChange,
    DiskTarget,
    MigrationStatus,
    MigrationTarget,
    VmDisk,
    VmNic,
    VmSpec,
    VmStatus,
)
from gantry.rpc.declare import FAST, NORMAL, SLOW, call

# --- the node itself ---


@call(seconds=FAST, master_only=False)
def version() -> Version:
    """Who the node is, what it runs, and whom it takes for the master (its vote)."""


@call(seconds=NORMAL)
def node_info(storage: list[list[str]]) -> NodeInfo:
    """Memory, CPUs and space; `storage` lists [kind, name] of the units to measure (file, lvm-vg)."""


@call(seconds=SLOW)
def node_verify(what: dict[str, Any]) -> NodeReport:
    """Check the node itself; `what`: hypervisors, file_storage_dirs, hosts (name: address) to reach, files,
    links, volume_group, drbd_helper (what it should be, empty for any; its being there asks for DRBD)."""


@call(seconds=FAST)
def ssconf_write(values: dict[str, str], serial: int) -> None:
    """Replace the ssconf files; an older `serial` than the one on the node is ignored."""


@call(seconds=FAST)
def rapi_files_write(files: dict[str, str | None]) -> None:
    """Replace the copies of what the master's gnt-rapi works with (names as in `Paths.rapi_files`); None removes."""


@call(seconds=NORMAL)
def node_leave() -> None:
    """Leave the cluster: remove certificates, ssconf and the store; refused while guests run here."""


@call(seconds=NORMAL)
def certificate_issue(pem: str, cluster_pem: str) -> None:
    """Replace this node's certificate and the cluster's; used from the next connection on."""


@call(seconds=FAST)
def certificate_digest() -> str:
    """Digest of this node's certificate."""


@call(seconds=NORMAL)
def certificate_prepare() -> str:
    """Make this node a new certificate, which is not used yet; its digest."""


@call(seconds=NORMAL)
def certificate_use(digest: str) -> None:
    """Use the prepared certificate of this digest, from the next connection on."""


@call(seconds=NORMAL)
def certificate_drop() -> None:
    """Remove the prepared certificate, if there is one."""


@call(seconds=SLOW)
def hooks_run(phase: str, path: str, env: dict[str, str]) -> list[HookResult]:
    """Run the scripts of PATH-PHASE.d with exactly `env` (names with GANETI_ prefix) and PATH."""


@call(seconds=SLOW)
def test_delay(duration: float) -> None:
    """Sleep."""


# --- programs of the administrator ---


@call(seconds=SLOW)
def restricted_command(command: str) -> list[Any]:
    """Run an executable of the administrator's folder of such: [whether it succeeded, its output].  One that may not
    run is refused after a while, without a reason."""


@call(seconds=SLOW, task=True)
def oob_run(program: str, command: str, node: str, timeout: float, powered: bool) -> dict[str, Any]:
    """Run an out-of-band program for `node`, whose power is recorded as `powered`: {row: [state, value] for the table,
    warning: a line or empty, powered: its power from now on, where that is known}.  Never raises for what it does."""


@call(seconds=NORMAL)
def node_powercycle() -> str:
    """Reset this node in some seconds, as its power switch would; what to tell the operator."""


# --- master candidates: the copy of the store ---


@call(seconds=FAST, master_only=False)
def store_status() -> StoreStatus:
    """Term and serial of this node's copy."""


@call(seconds=FAST)
def store_append(records: list[dict[str, Any]]) -> StoreStatus:
    """Append journal records in order.  Records already there are skipped; a gap is refused by answering
    with the present status.  When it returns, what it names is on disk.
    """


@call(seconds=SLOW)
def store_snapshot(part: int, last: bool, rows: list[list[Any]], status: StoreStatus,
                   replaces: StoreStatus) -> StoreStatus:
    """Replace the copy: parts 0, 1, ... of [table, key, value as JSON text], in use once the last part is there.
    Refused when the copy does not stand at `replaces`: the request is a late one."""


@call(seconds=FAST)
def store_forget(status: StoreStatus | None) -> None:
    """This node is no master candidate any more: remove its copy, if it still stands at `status` (None: anyhow)."""


@call(seconds=FAST, master_only=False)
def leader_accept(term: int, master: str) -> bool:
    """Vote: promise to obey `master` (node UUID) in `term` and nobody of a lower one.  False: a higher
    or equal term was promised to somebody else."""


@call(seconds=FAST)
def leader_in_sync(known: InSync) -> bool:
    """Remember which master candidates hold every acknowledged change.  False: something newer is known."""


@call(seconds=FAST, master_only=False)
def leader_known() -> InSync:
    """The newest `leader_in_sync` this node has heard."""


@call(seconds=FAST)
def master_stop() -> None:
    """Stop the master daemon and gnt-rapi on this node, if they run: another node took over."""


@call(seconds=NORMAL)
def master_ip_start(netdev: str, address: str, netmask: int, external: bool) -> None:
    """Bring the cluster's address up here; harmless when it is.  Raises when another host answers there.
    `external`: by the site's own script."""


@call(seconds=NORMAL)
def master_ip_stop(netdev: str, address: str, netmask: int, external: bool) -> None:
    """Take the cluster's address down here; harmless when it is not up."""


# --- tasks ---


@call(seconds=FAST)
def task_start(task: str, call: str, args: dict[str, Any]) -> TaskStatus:
    """Start a call that is declared as a task, unless a task of this id is there already."""


@call(seconds=NORMAL)
def task_status(task: str, wait: float, seen: float) -> TaskStatus:
    """State of a task; waits up to `wait` seconds for its end or a fraction other than `seen`."""


@call(seconds=NORMAL)
def task_cancel(task: str) -> TaskStatus:
    """End a task and undo what it did in part."""


@call(seconds=FAST)
def task_forget(tasks: list[str]) -> None:
    """Remove the records of finished tasks."""


# --- disks ---


@call(seconds=SLOW, task=True)
def disk_create(disk: Disk, owner_epoch: int, wipe: bool) -> None:
    """Make the disk, of its full size, empty; of a mirrored one this node's end."""


@call(seconds=SLOW, task=True)
def disk_remove(disk: Disk) -> None:
    """Remove the disk (of a mirrored one this node's end) and, when it was the last one, its folder; harmless when it
    is gone.  A device that is up goes down first, refused when something uses it."""


@call(seconds=SLOW, task=True)
def disk_grow(disk: Disk, size: int) -> None:
    """Grow the disk to `size` MiB (of a mirrored one this node's volumes); harmless when it has that size already."""


@call(seconds=SLOW)
def disks_assemble(disks: list[Disk], instance: str, owner_epoch: int) -> list[str]:
    """Bring the devices up for the owner of this epoch; paths in the order given.  A mirrored one keeps its role
    and looks for its peer from now on, which is not waited for.  Raises StaleOwner."""


@call(seconds=SLOW)
def disks_open(disks: list[Disk], instance: str, owner_epoch: int) -> list[str]:
    """Make the disks usable for the owner of this epoch: assembled, mirrored ones primary; paths in the order
    given.  All or none.  Refused for data that is not the newest known.  Raises StaleOwner."""


@call(seconds=SLOW)
def disks_force(disks: list[Disk], instance: str, owner_epoch: int) -> list[str]:
    """Like `disks_open`, whatever is known of better data elsewhere, which is lost then; also the start of the first
    synchronisation of a new pair."""


@call(seconds=SLOW)
def disks_demote(disks: list[Disk], instance: str) -> None:
    """Give up the primary role; the devices stay up.  Refused while something uses them."""


@call(seconds=SLOW)
def disks_close(disks: list[Disk], instance: str) -> None:
    """End the use of the disks on this node, devices are down afterwards; harmless when they are not open."""


@call(seconds=NORMAL)
def disks_status(disks: list[Disk]) -> list[dict[str, Any]]:
    """For each: {path, exists, size (MiB), open, used, remains, owner_epoch, major, minor, mirror}; see DiskStatus
    and MirrorStatus of `lib/storage/base.py`.  `mirror` is None for disks that are not mirrored."""


@call(seconds=NORMAL)
def disks_rename(disks: list[Disk], new: list[Disk]) -> None:
    """Move each disk to the place of its counterpart in `new`; harmless when it is there already."""


@call(seconds=SLOW, task=True)
def disk_snapshot(disk: Disk, snapshot: Disk, size: int) -> None:
    """Make `snapshot`, a disk that holds what `disk` holds now; harmless when it is there.  Where both share their
    blocks there is room for `size` MiB of changes, after which the snapshot is lost; else the contents are copied,
    and nobody may write meanwhile.  Refused for data that is not up to date here."""


# --- what is on disks ---


@call(seconds=SLOW, task=True)
def disk_wipe(disk: Disk, start: int, size: int) -> None:
    """Overwrite `size` MiB of the disk with zeros, from `start` MiB on; it need not be open."""


@call(seconds=SLOW, task=True)
def disk_copy(source: Disk, target: Disk) -> None:
    """Copy everything from one opened disk onto another one on this node, which is at least as large."""


@call(seconds=SLOW, task=True)
def disk_receive(disk: Disk, source: str, listen: str, port: int, compress: str) -> None:
    """Fill the opened disk with what the node `source` (UUID) sends to this address, while `disk_send` runs there."""


@call(seconds=SLOW, task=True)
def disk_send(disk: Disk, target: str, host: str, port: int, compress: str) -> None:
    """Send everything on the opened disk to the node `target` (UUID), where `disk_receive` runs; packed by the tool
    `compress`, or `none`."""


# --- mirrored disks ---


@call(seconds=SLOW)
def drbd_connect(disks: list[Disk], instance: str, dual_primary: bool) -> None:
    """Have the connections with exactly these settings; those that are up stay up."""


@call(seconds=NORMAL)
def drbd_disconnect(disks: list[Disk]) -> None:
    """Let each end here stand alone; harmless when it does."""


@call(seconds=SLOW, task=True)
def drbd_wait_connected(disks: list[Disk]) -> None:
    """End when all are connected; raises what keeps one from it."""


@call(seconds=SLOW, task=True)
def drbd_wait_synced(disks: list[Disk]) -> None:
    """End when both ends of all are up to date; a stall is kicked once, then raised, like a lost disk or a split
    brain."""


@call(seconds=NORMAL)
def drbd_watch(minors: list[int], seen: list[list[str]], wait: float) -> list[list[str]]:
    """[status, problem] of each of these minors; waits up to `wait` seconds until that is not `seen`."""


@call(seconds=SLOW)
def drbd_replace_local(disk: Disk, new: Disk) -> None:
    """Exchange this end's volumes for those of `new` (same minor, made by `disk_create` of `new`); what they hold then
    comes from the peer, which must be up to date."""


@call(seconds=SLOW)
def drbd_replace_peer(disk: Disk, new: Disk) -> None:
    """Leave the peer of `disk` and connect to the one of `new`, with its port and secret (same minor here)."""


@call(seconds=SLOW)
def drbd_resize(disk: Disk, size: int) -> None:
    """On the primary, once both ends' volumes are larger: make the device `size` MiB; harmless when it is."""


@call(seconds=SLOW)
def drbd_discard(disks: list[Disk], instance: str) -> None:
    """After a split brain, on the secondary: give up what was written here alone and take the peer's data."""


# --- storage units ---


@call(seconds=NORMAL)
def volumes_list() -> list[dict[str, Any]]:
    """All logical volumes: {vg, name, size (MiB), devices (names of physical ones), online}."""


@call(seconds=NORMAL)
def storage_list(kind: str, name: str) -> list[dict[str, Any]]:
    """Storage units: {name, size, used, free, allocatable}, in MiB; `kind` lvm-pv or lvm-vg (`name`: the volume group),
    or file, sharedfile, gluster (`name`: the folder)."""


@call(seconds=NORMAL)
def storage_modify(kind: str, name: str, changes: dict[str, Any]) -> None:
    """Change a unit; there is `allocatable` (bool) of lvm-pv only."""


@call(seconds=SLOW)
def storage_repair(vg: str) -> None:
    """Take missing physical volumes out of the volume group; refused while a logical volume needs one of them."""


@call(seconds=NORMAL)
def extstorage_list() -> list[ExtProvider]:
    """All providers of external storage found on the search path, the invalid ones too."""


# --- operating systems ---


@call(seconds=NORMAL)
def os_list() -> list[OsDefinition]:
    """All OS definitions found on the search path, the invalid ones too."""


@call(seconds=SLOW)
def os_verify(os: str, params: dict[str, str], force_variant: bool) -> None:
    """Run the definition's `verify parameters`; raises when the OS or variant is missing or it refuses."""


@call(seconds=SLOW, task=True)
def os_create(os: str, disks: list[Disk], env: dict[str, str]) -> None:
    """Run the `create` script on opened disks.  `env` has all but DISK_n_PATH and OS_*, which the node adds."""


@call(seconds=SLOW, task=True)
def os_rename(os: str, disks: list[Disk], env: dict[str, str]) -> None:
    """Run the `rename` script; `env` has OLD_INSTANCE_NAME."""


# --- exports ---


@call(seconds=NORMAL)
def export_list() -> list[str]:
    """Names of the exports on this node; those that are still being written are none."""


@call(seconds=NORMAL)
def export_info(path: str) -> str:
    """What `config.ini` of an export says; `path` is that of its folder, or its name."""


@call(seconds=SLOW)
def export_begin(name: str) -> None:
    """Make an empty place for an export that will be written."""


@call(seconds=SLOW)
def export_drop(name: str) -> None:
    """Remove what was written of an export that will not be finished; harmless when there is nothing."""


@call(seconds=SLOW)
def export_finish(name: str, config: str, dumps: list[str]) -> None:
    """All of these dumps are there: from now on it is an export, described by `config`, in the place of one of the
    same name."""


@call(seconds=SLOW, task=True)
def export_remove(name: str) -> None:
    """Harmless when it is gone."""


@call(seconds=SLOW, task=True)
def export_send(dump: Dump, target: Meeting, compress: str) -> int:
    """Send what the `export` script prints to the node where `export_receive` runs: how many bytes.  `env` as for
    `os_create`, with EXPORT_INDEX."""


@call(seconds=SLOW, task=True)
def export_receive(name: str, dump: str, size: int, source: Meeting, compress: str) -> int:
    """Write what `export_send` sends, about `size` MiB, into the file `dump` of an unfinished export:
    how many bytes."""


@call(seconds=SLOW, task=True)
def import_send(path: str, dump: str, target: Meeting, compress: str) -> None:
    """Send the file `dump` of an export (`path` as of `export_info`) to the node where `import_receive` runs."""


@call(seconds=SLOW, task=True)
def import_receive(dump: Dump, source: Meeting, compress: str) -> None:
    """Run the `import` script with what `import_send` sends.  `env` as for `os_create`, with IMPORT_INDEX."""


# --- guests ---


@call(seconds=NORMAL)
def instances_info(hypervisors: list[str]) -> list[VmStatus]:
    """All guests that run (or are paused) on this node."""


@call(seconds=NORMAL)
def instance_spec(instance: str) -> VmSpec | None:
    """What the guest (UUID) that runs here was started with; None when none runs.  A migration keeps it."""


@call(seconds=SLOW)
def instance_start(spec: VmSpec, paused: bool) -> VmStatus:
    """Open the disks and start the guest; when it runs already with this owner, nothing is done."""


@call(seconds=SLOW, task=True)
def instance_stop(instance: str, hypervisor: str, timeout: float, force: bool) -> None:
    """ACPI shutdown, then after `timeout` seconds the end; `force` or 0 ends it at once.  Harmless when
    it does not run.  `instance` is the UUID."""


@call(seconds=SLOW)
def instance_reset(instance: str, hypervisor: str) -> None:
    """Soft reboot: reset inside the same QEMU process."""


@call(seconds=NORMAL)
def instance_pause(instance: str, hypervisor: str, paused: bool) -> None:
    """Stop or continue the guest's CPUs."""


@call(seconds=NORMAL)
def instance_balloon(instance: str, hypervisor: str, memory: int) -> None:
    """Set the guest's memory."""


@call(seconds=NORMAL)
def instance_console(instance: str, hypervisor: str, name: str, host: str) -> Console:
    """How to reach the console; `host` is the node's name as the operator reaches it."""


@call(seconds=SLOW)
def hypervisor_validate(hypervisor: str, hvparams: dict[str, Any]) -> None:
    """Check parameters against this node (files, machine types); raises with the reason."""


# --- devices of guests that run ---


@call(seconds=NORMAL)
def instance_hotplug_obstacle(instance: str, hypervisor: str, change: DeviceChange) -> str:
    """Why the guest cannot get and lose these devices while it runs, as a sentence; empty when it can."""


@call(seconds=SLOW)
def instance_disk_add(instance: str, hypervisor: str, disk: VmDisk, index: int, owner_epoch: int) -> dict[str, str]:
    """Open the disk and give it to the running guest, as its `index`th; {outcome: what the operator reads}.
    Nothing is left of it when that fails."""


@call(seconds=SLOW)
def instance_disk_remove(instance: str, hypervisor: str, disk: Disk) -> dict[str, str]:
    """Take the disk from the guest, if it runs and has it, and close it.  Raises when the guest does not let go of it,
    and then nothing has changed."""


@call(seconds=SLOW)
def instance_nic_add(instance: str, hypervisor: str, nic: VmNic, index: int) -> dict[str, str]:
    """Connect the interface and give it to the running guest, as its `index`th; as `instance_disk_add`."""


@call(seconds=SLOW)
def instance_nic_remove(instance: str, hypervisor: str, nic: str) -> dict[str, str]:
    """Take the interface (UUID) from the guest; as `instance_disk_remove`."""


@call(seconds=NORMAL)
def instance_disk_resized(instance: str, hypervisor: str, disk: Disk, size: int) -> None:
    """Tell the guest, if it runs and has the disk, that it has `size` MiB now.  Never shrinks."""


@call(seconds=SLOW, task=True)
def instance_disk_exchange(instance: str, hypervisor: str, old: Disk, new: Disk, owner_epoch: int) -> None:
    """Copy `old` onto `new` under the running guest, then let it use `new` only, and close `old`.  Both have one UUID
    and size; both exist.  Fails, is cancelled or cut off: the guest uses one of them, which is complete; asked
    again, it ends as the first time would have, also when the guest has died: then what it used last is copied."""


# --- migration ---


@call(seconds=SLOW)
def migration_accept(spec: VmSpec, listen: str) -> MigrationTarget:
    """Target: open the disks and wait for the guest.  Asked again, the same answer."""


@call(seconds=SLOW)
def migration_receive_disks(spec: VmSpec, listen: str) -> DiskTarget:
    """Target, after `migration_accept`: let the source write the guest's disks, which were made here before.  Asked
    again, the same answer."""


@call(seconds=SLOW, task=True)
def migration_mirror_disks(instance: str, hypervisor: str, target: DiskTarget, bandwidth: int) -> None:
    """Source, before `migration_send`: copy all disks of the guest to the target, and keep them alike until it is
    there.  `bandwidth` MiB/s.  Undone by `migration_finish_source` without success."""


@call(seconds=SLOW, task=True)
def migration_send(instance: str, hypervisor: str, target: MigrationTarget, live: bool, bandwidth: int,
                   downtime: int) -> MigrationStatus:
    """Source: send the guest; ends when it runs on the target (completed), or raises and it runs here on.
    `bandwidth` MiB/s, `downtime` ms."""


@call(seconds=SLOW)
def migration_finish_target(spec: VmSpec, success: bool) -> bool:
    """Target: when `success`, make sure the guest runs here and configure late NICs; else end it.  Whether
    it runs here.
    """


@call(seconds=SLOW)
def migration_finish_source(instance: str, hypervisor: str, success: bool) -> None:
    """Source: when `success`, end the old process and close the disks; else let the guest run on, its disks
    copied no more."""
