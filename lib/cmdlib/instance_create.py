# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_CREATE: a new instance, its disks, its operating system (or what an export holds), its first start.

The instance is recorded before its first disk is made and taken out after the last one was removed: at no
moment is there a disk that no record names.
"""

from dataclasses import dataclass, replace

from gantry.cmdlib import adopt, checks, disks, hookenv, importing, mirror, nics, osenv, placement, steps, vmspec
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.instance_params import check_merged, check_nics, merge_hv, without_defaults
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import AdminState, DiskTemplate
from gantry.errors import WrongInput
from gantry.iallocator.request import Wanted
from gantry.objects.cluster import Cluster, Node
from gantry.objects.instance import Disk, Instance
from gantry.objects.params import check_tags, merge_be, merge_own
from gantry.objects.plan import Plan, Step, ref
from gantry.objects.vm import VmSpec
from gantry.opcodes.instance import InstanceCreate
from gantry.utils import clock

MEMORY = "memory"
"""Kind of reservations: node and instance (UUIDs) and MiB by slashes."""


@dataclass(frozen=True, kw_only=True)
class New:
    """What will be made; `records` are the disks as they are recorded.  `env` is for the OS scripts, None when none
    will run; `adopted` are the specs of volumes that are taken over; `source` is the export that is imported.
    """

    guest: steps.Guest
    records: tuple[Disk, ...]
    spec: VmSpec
    env: dict[str, str] | None
    adopted: tuple[adopt.Spec, ...]
    source: importing.Source | None
    start: bool
    wipe: bool
    hooks: Hooks


class InstanceCreateUnit(LogicalUnit[InstanceCreate, New], op=InstanceCreate):
    """Undone at any point, it leaves nothing behind."""

    def locks(self, view: View) -> Locks:
        exclusive = {"instance": frozenset({self.op.instance_name.lower()})}
        if self.op.pnode is None:
            return Locks(exclusive=exclusive)
        config = view.config
        nodes = [config.node(name) for name in (self.op.pnode, self.op.snode) if name is not None]
        here = frozenset(node.uuid for node in nodes)
        shared, own = {"nodegroup": frozenset(node.group for node in nodes)}, {"node": here, "node-res": here}
        mirrored = (self.op.disk_template or config.cluster.enabled_disk_templates[0]) == DiskTemplate.DRBD
        if mirrored or self.op.mode == "import":
            return Locks(exclusive=exclusive, shared=shared | own)  # to copy disks may take hours
        return Locks(exclusive=exclusive | own, shared=shared)

    async def check(self, view: View) -> New:
        self._refuse_what_is_not_offered()
        if self.op.mode != "import":
            return await self._look(view, None)
        source = await importing.find(view, self.op)
        whole = InstanceCreateUnit(importing.completed(view, self.op, source))
        return await whole._look(view, source)

    async def _look(self, view: View, source: importing.Source | None) -> New:
        op, config = self.op, view.config
        name, address = await checks.name(view, op.instance_name, name_check=op.name_check, ip_check=op.ip_check)
        nodes = await self._nodes(view, name)
        node = nodes[0]
        starts = op.start and not op.no_install
        if op.no_install and op.start:
            view.say("No-installation mode selected, disabling startup")
        instance = self._record(view, name, node)
        place = nics.Place(group=config.groups[node.group], auto_ip=address, conflicts_check=op.conflicts_check)
        instance = replace(instance, nics=nics.create_all(view, place, op.nics))
        check_nics(instance)
        layout = disks.layout(config, instance.disk_template, name, [node.uuid for node in nodes],
                              subdir=op.file_storage_dir, driver=op.file_driver)
        adopts = adopt.wanted(instance.disk_template, op.disks, op.iallocator)
        specs = await adopt.sized(view, node.uuid, layout.vg, op.disks) if adopts else op.disks
        made = tuple(disks.create(view, layout, index, spec) for index, spec in enumerate(specs))
        disks.check_names(made)
        disks.check_spindles(config, [node.uuid for node in nodes], made)
        instance, made = _with_slots(config, instance, made)
        if instance.disk_template is DiskTemplate.DRBD:
            made = tuple(replace(disk, degraded_since=instance.ctime) for disk in made)
        checks.policy(view, instance, made, ignore=op.ignore_ipolicy)
        await self._ask_node(view, instance, starts=starts)
        if not adopts:
            await disks.require_space(view, layout, made)
        guest = steps.Guest(instance=instance, disks=disks.annotated(config, instance, made), node=node,
                            peers=tuple(nodes[1:]))
        return New(guest=guest, records=made, spec=vmspec.build(config, instance, made), start=starts,
                   env=None if adopts else self._env(view, guest), adopted=tuple(specs) if adopts else (),
                   source=source, wipe=config.cluster.prealloc_wipe_disks,
                   hooks=self._hooks(config, guest, source, starts=starts))

    def _env(self, view: View, guest: steps.Guest) -> dict[str, str] | None:
        if not guest.disks or self.op.no_install:
            return None
        return osenv.script_env(view.config, guest.instance, guest.disks, debug_level=self.op.debug_level,
                                secret={key: ref(steps.SECRETS, key) for key in self.op.osparams_secret or {}})

    def plan(self, seen: New) -> Plan:
        guest, instance = seen.guest, seen.guest.instance
        plan = [Step(title=f"adding instance {guest.name} to cluster config",
                     action=steps.put_all(instance, seen.records), undo=steps.delete_all(instance, seen.records))]
        plan += self._disks(seen)
        if seen.env is not None and seen.source is not None:
            plan += importing.restore(guest, seen.source, seen.env, self.op.compress)
        elif seen.env is not None:
            plan.append(steps.os_script(guest, "os_create", seen.env, "* running the instance OS create scripts... "
                                        f"{instance.os} for {guest.name} on {guest.place}"))
        if guest.mirrored:
            plan += [mirror.wait_synced(guest), *mirror.seen_whole(guest)] if self.op.wait_for_sync else [
                mirror.wait_connected(guest)]
        if seen.start:
            plan += steps.remember(guest, f"remembering that instance {guest.name} is to run",
                                   admin_state=AdminState.UP, disks_active=True)
            plan += steps.start(guest, seen.spec)
        elif guest.mirrored and not self.op.wait_for_sync:
            plan += steps.remember(guest, f"remembering that the disks of instance {guest.name} are to go on syncing",
                                   disks_active=True)
        elif guest.mirrored or seen.env is not None:
            plan += steps.close_disks(guest)
        return Plan(steps=tuple(plan), result=[node.name for node in (guest.node, *guest.peers)],
                    reserves=_reserves(seen))

    def _disks(self, seen: New) -> tuple[Step, ...]:
        """Made, or adopted, and opened where anybody needs that: a new pair synchronises while the OS is installed."""
        guest = seen.guest
        opened = steps.open_disks(guest) if seen.env is not None or seen.start else ()
        if seen.adopted:
            return (adopt.rename(guest, seen.adopted), *opened)
        made = [steps.create_disk(guest, index, disk, wipe=seen.wipe) for index, disk in enumerate(guest.disks)]
        if guest.mirrored:
            opened = (mirror.assemble_pair(guest), mirror.promote_new(guest))
        return (*made, *opened)

    def hooks(self, seen: New) -> Hooks:
        return seen.hooks

    # --- parts of the check --------------------------------------------------------------------------------

    def _refuse_what_is_not_offered(self) -> None:
        op = self.op
        if op.mode not in ("create", "import"):
            raise WrongInput(detail=f"mode {op.mode} of creating an instance is not offered by this release; "
                                    "'create' and 'import' are")
        if op.forthcoming or op.commit:
            raise WrongInput(detail="forthcoming instances are not offered by this release")
        if op.no_nics and op.nics:
            raise WrongInput(detail="no_nics and nics exclude each other")
        if op.instance_communication:
            raise WrongInput(detail="the instance communication network is not offered by this release")
        installs = op.mode == "create" and not op.no_install and not any(spec.get("adopt") for spec in op.disks)
        if installs and op.os_type is None:
            raise WrongInput(detail="No guest OS specified: name one of gnt-os list, or use --no-install")

    async def _nodes(self, view: View, name: str) -> list[Node]:
        """The primary node, and the secondary one of mirrored disks."""
        op, config = self.op, view.config
        mirrored = self._template(config) is DiskTemplate.DRBD
        if op.snode is not None and not mirrored:
            view.warn(f"The secondary node {op.snode} is left out: only disks of template drbd are mirrored")
        if op.pnode is not None and op.iallocator is None and mirrored:
            nodes = placement.pair(view, op.pnode, op.snode)
        else:
            nodes = await placement.for_new(view, op.pnode, op.iallocator, self._wanted(config, name))
        for node in nodes:
            if op.group_name is not None and config.group(op.group_name).uuid != node.group:
                raise WrongInput(detail=f"Node {node.name} is not in node group {op.group_name}")
        return nodes

    def _wanted(self, config: Config, name: str) -> Wanted:
        """What an allocator is told of the instance."""
        op = self.op
        networks = tuple(None if nic.get("network") in (None, "none") else config.network(nic["network"]).uuid
                         for nic in op.nics)
        return Wanted(name=name, template=self._template(config), hypervisor=self._hypervisor(config.cluster),
                      beparams=effective.beparams_above(config.cluster) | merge_be({}, op.beparams),
                      os=op.os_type or "", networks=networks, tags=tuple(op.tags),
                      disks=tuple(disk for disk in op.disks if isinstance(disk.get("size"), int)),
                      group=None if op.group_name is None else config.group(op.group_name).name)

    def _hypervisor(self, cluster: Cluster) -> str:
        hypervisor = self.op.hypervisor or cluster.enabled_hypervisors[0]
        if hypervisor not in cluster.enabled_hypervisors:
            raise WrongInput(detail=f"Selected hypervisor ({hypervisor}) not enabled in the cluster "
                                    f"({', '.join(cluster.enabled_hypervisors)})")
        return hypervisor

    def _record(self, view: View, name: str, node: Node) -> Instance:
        """The instance without devices."""
        op, cluster = self.op, view.config.cluster
        hypervisor = self._hypervisor(cluster)
        instance = Instance(
            uuid=view.new_uuid(), name=name, primary_node=node.uuid, os=op.os_type or "", hypervisor=hypervisor,
            disk_template=self._template(view.config), ctime=clock.epoch(), mtime=clock.epoch(),
            hvparams=merge_hv(hypervisor, {}, op.hvparams), beparams=merge_be({}, op.beparams),
            osparams=merge_own({}, op.osparams), osparams_private=merge_own({}, op.osparams_private or {}),
            network_port=mirror.free_port(view), tags=check_tags(op.tags))
        if op.identify_defaults:
            above = effective.hvparams_above(cluster, hypervisor, instance.os)
            instance = replace(instance, hvparams=without_defaults(instance.hvparams, above),
                               beparams=without_defaults(instance.beparams, effective.beparams_above(cluster)))
        check_merged(view.config, instance)
        return instance

    def _template(self, config: Config) -> DiskTemplate:
        op, enabled = self.op, config.cluster.enabled_disk_templates
        template = DiskTemplate(op.disk_template or enabled[0])
        if template not in enabled:
            raise WrongInput(detail=f"Disk template '{template}' is not enabled in cluster. Enabled disk templates "
                                    f"are: {', '.join(enabled)}")
        if template not in disks.TEMPLATES:
            raise WrongInput(detail=f"Disk template '{template}' is not offered by this release; offered are "
                                    f"{', '.join(sorted(disks.TEMPLATES))}")
        if template is DiskTemplate.DISKLESS and op.disks:
            raise WrongInput(detail="A diskless instance cannot have disks")
        if template is not DiskTemplate.DISKLESS and not op.disks:
            raise WrongInput(detail="No disk information specified")
        return template

    async def _ask_node(self, view: View, instance: Instance, *, starts: bool) -> None:
        op, config, node = self.op, view.config, [instance.primary_node]
        if instance.os:
            params = osenv.parameters(config, instance) | (op.osparams_secret or {})
            await checks.os_on(view, node, instance.os, params, force_variant=op.force_variant)
        await checks.hypervisor_on(view, node, instance.hypervisor, effective.hvparams(config, instance))
        if starts:
            await self._reserve_memory(view, instance)

    @staticmethod
    async def _reserve_memory(view: View, instance: Instance) -> None:
        """Others that are being created may count on the same memory: they share the node's lock."""
        wanted, stem = effective.beparams(view.config, instance)["maxmem"], f"{instance.primary_node}/"
        promised = sum(int(value.rpartition("/")[2]) for value in view.reservations.taken(MEMORY)
                       if value.startswith(stem))
        await checks.memory(view, instance.primary_node, wanted + promised, f"creating instance {instance.name}")
        view.reservations.reserve(MEMORY, f"{stem}{instance.uuid}/{wanted}")

    def _hooks(self, config: Config, guest: steps.Guest, source: importing.Source | None, *, starts: bool) -> Hooks:
        env = hookenv.instance_env(config, guest.instance, guest.disks, status=starts, types=False)
        nodes = (guest.node.uuid, *(node.uuid for node in guest.peers))
        more = {"ADD_MODE": self.op.mode} | (importing.hook_env(source) if source is not None else {})
        return hookenv.hooks(config, "instance-add", env | more, of=None, pre=nodes)


def _with_slots(config: Config, instance: Instance, made: tuple[Disk, ...]) -> tuple[Instance, tuple[Disk, ...]]:
    """Instance and disks with a PCI slot for each device: disks first."""
    hv = effective.hvparams(config, instance)
    slots = iter(vmspec.free_slots(hv, (), len(made) + len(instance.nics)))
    placed = tuple(replace(disk, pci=next(slots)) for disk in made)
    return replace(instance, nics=tuple(replace(nic, pci=next(slots)) for nic in instance.nics),
                   disks=tuple(disk.uuid for disk in placed)), placed


def _reserves(seen: New) -> tuple[tuple[str, str], ...]:
    instance = seen.guest.instance
    found = [("name", instance.name), (mirror.PORT, str(instance.network_port))]
    for nic in instance.nics:
        found.append(("mac", nic.mac))
        if nic.ip and nic.network:
            found.append(("ip", nic.ip))
    if seen.source is not None:
        found += importing.reserves(seen.source, instance.name)
    return (*found, *mirror.reserves(seen.records), *adopt.reserves(instance.primary_node, seen.adopted))
