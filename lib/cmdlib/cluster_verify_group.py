# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_VERIFY_GROUP: check the nodes and instances of one group."""

from dataclasses import replace
from typing import Any

from gantry.cmdlib import disk_look, hookenv, snapshots, verify_checks, verify_storage
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.disk_look import NodeDisks
from gantry.cmdlib.disks import LVM_TEMPLATES
from gantry.cmdlib.verify_checks import Seen
from gantry.cmdlib.verify_report import Problem, Report
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import DiskTemplate
from gantry.errors import NodeError
from gantry.objects.cluster import Cluster, Node, NodeGroup
from gantry.objects.instance import Instance
from gantry.objects.plan import Plan
from gantry.opcodes.cluster import ClusterVerifyGroup
from gantry.rpc import calls
from gantry.utils.clock import epoch


class ClusterVerifyGroupUnit(LogicalUnit[ClusterVerifyGroup, bool], op=ClusterVerifyGroup):
    """Result: whether no error was found.  It only looks, so all of it is done in `check`."""

    def locks(self, view: View) -> Locks:
        group = view.config.group(self.op.group_name)
        instances = _instances(view.config, group)
        nodes = {node.uuid for node in view.config.members_of(group.uuid)}
        nodes |= {node for instance in instances for node in view.config.secondaries_of(instance)}
        return Locks(shared={"instance": frozenset(instance.name for instance in instances),
                             "nodegroup": frozenset({group.uuid}), "node": frozenset(nodes)})

    async def check(self, view: View) -> bool:
        config, op = view.config, self.op
        group = config.group(op.group_name)
        report = Report(view.say, error_codes=op.error_codes, ignore=op.ignore_errors,
                        simulate=op.debug_simulate_errors)
        report.title(f"Verifying group '{group.name}'")
        members = config.members_of(group.uuid)
        if not members:
            report.title("Empty node group, skipping verification")
            return not report.failed
        online = tuple(node for node in members if not node.offline)
        count = f"({len(online)} nodes)"
        report.title(f"Gathering data {count}")
        report.title(f"Gathering information about nodes {count}")
        report.title("Gathering information about the master node")
        report.title(f"Gathering disk information {count}")
        instances = _instances(config, group)
        before = view.reservations.held(snapshots.RESERVED)
        seen = await self._look(view, online, instances)
        seen = replace(seen, passing=before | view.reservations.held(snapshots.RESERVED))
        self._report(report, config, seen, instances)
        report.title("Hooks Results")
        report.add_all(await self._hooks(view, online))
        return not report.failed

    async def _hooks(self, view: View, online: tuple[Node, ...]) -> list[Problem]:
        """Run the hooks of the check itself, which are a part of it: a script that fails is an error found."""
        config = view.config
        env = {"CLUSTER_TAGS": " ".join(sorted(config.cluster.tags)),
               **{f"NODE_TAGS_{node.name}": " ".join(sorted(node.tags)) for node in online}}
        hooks = Hooks(path="cluster-verify", object_type="CLUSTER", target=config.cluster.name, env=env)
        answers = await view.nodes.call_many(
            [node.uuid for node in online], calls.hooks_run, phase="post", path=hooks.path,
            env=hookenv.environment(config, self.op.OP_ID, "post", hooks))
        return [problem for node in online for problem in verify_checks.check_hooks(node, answers[node.uuid])]

    async def _look(self, view: View, online: tuple[Node, ...], instances: tuple[Instance, ...]) -> Seen:
        cluster, nodes = view.config.cluster, view.nodes
        uuids = [node.uuid for node in online]
        hypervisors = list(cluster.enabled_hypervisors)
        asked = epoch()
        versions = await nodes.call_many(uuids, calls.version)
        alive = list(verify_checks.answers_of(versions))
        hosts = [node.uuid for node in online if node.uuid in alive and node.vm_capable]
        what = {"hypervisors": hypervisors, "file_storage_dirs": _storage_dirs(view.config),
                "hosts": {node.name: node.primary_ip for node in view.config.online_nodes()}, "files": [],
                "links": _links(view.config, instances), **_lvm(cluster)}
        return Seen(online, asked, versions,
                    await nodes.call_many(alive, calls.node_verify, what=what),
                    await nodes.call_many(alive, calls.instances_info, hypervisors=hypervisors),
                    await nodes.call_many(alive, calls.node_info, storage=[]),
                    await self._disks(view, frozenset(alive), instances),
                    await nodes.call_many(hosts, calls.volumes_list) if _has_volumes(view.config) else {},
                    await nodes.call_many(hosts, calls.os_list),
                    await self._physical(view, hosts))

    async def _physical(self, view: View, hosts: list[str]) -> dict[str, list[dict[str, Any]] | NodeError]:
        config, vg = view.config, view.config.cluster.volume_group_name
        own = [uuid for uuid in hosts if effective.ndparams(config, config.nodes[uuid]).get("exclusive_storage")]
        return await view.nodes.call_many(own, calls.storage_list, kind="lvm-pv", name=vg) if vg and own else {}

    async def _disks(self, view: View, alive: frozenset[str],
                     instances: tuple[Instance, ...]) -> dict[str, NodeDisks | NodeError]:
        """Of the nodes that answer, and of mirrors' nodes in other groups."""
        config = view.config
        members = {node.uuid for node in config.members_of(config.group(self.op.group_name).uuid)}
        return await disk_look.look(view, {
            uuid: owned for uuid, owned in disk_look.by_node(config, instances).items()
            if uuid in alive or (uuid not in members and not config.nodes[uuid].offline)})

    def _report(self, report: Report, config: Config, seen: Seen, instances: tuple[Instance, ...]) -> None:
        report.title("Verifying configuration file consistency")
        report.title("Verifying node status")
        if report.simulate:
            report.add(Problem("ENODERPC", "node", seen.nodes[0].name if seen.nodes else "", "simulated error"))
        if self.op.verbose:
            for node in seen.nodes:
                role = "master" if node.uuid == config.cluster.master_node else (
                    "master candidate" if node.master_candidate else "regular")
                report.title(f"Verifying node {node.name} ({role})")
        report.add_all(verify_checks.check_nodes(config, seen))
        report.title("Verifying instance status")
        report.add_all(verify_checks.check_instances(config, seen, instances))
        report.add_all(verify_storage.check_disks(config, seen.disks, instances))
        report.add_all(verify_checks.check_strangers(config, seen))
        report.title("Verifying orphan volumes")
        report.add_all(verify_checks.check_orphan_disks(config, seen))
        report.add_all(verify_storage.check_volumes(config, seen.volumes, seen.nodes))
        report.add_all(verify_storage.check_physical(config, self.op.group_name, seen.physical))
        report.add_all(verify_storage.check_drbd(config, dict(verify_checks.answers_of(seen.reports))))
        if "nplusone_mem" not in self.op.skip_checks:
            report.title("Verifying N+1 Memory redundancy")
            report.add_all(verify_checks.check_n1(config, seen))
        report.title("Other Notes")
        for note in verify_checks.notes(config, seen, instances):
            report.notice(note)

    def plan(self, seen: bool) -> Plan:  # noqa: FBT001 - the one value there is
        return Plan(result=seen)


def _instances(config: Config, group: NodeGroup) -> tuple[Instance, ...]:
    return tuple(instance for node in config.members_of(group.uuid) for instance in config.primaries_of(node.uuid))


def _links(config: Config, instances: tuple[Instance, ...]) -> list[list[str]]:
    """[mode, link] of every network interface in the group: any of its nodes may get any of its guests."""
    found = set()
    for instance in instances:
        group = config.nodes[instance.primary_node].group
        for nic in instance.nics:
            params = effective.nicparams(config, nic, group)
            found.add((params["mode"], params["link"]))
    return [list(pair) for pair in sorted(found)]


def _has_volumes(config: Config) -> bool:
    cluster = config.cluster
    return bool(cluster.volume_group_name) and not LVM_TEMPLATES.isdisjoint(cluster.enabled_disk_templates)


def _lvm(cluster: Cluster) -> dict[str, Any]:
    """What nodes check of LVM and DRBD, when the cluster uses them."""
    templates = set(cluster.enabled_disk_templates)
    what: dict[str, Any] = {}
    if cluster.volume_group_name and not LVM_TEMPLATES.isdisjoint(templates):
        what["volume_group"] = cluster.volume_group_name
    if DiskTemplate.DRBD in templates:
        what["drbd_helper"] = cluster.drbd_usermode_helper or ""
    return what


def _storage_dirs(config: Config) -> list[str]:
    cluster = config.cluster
    folders = {"file": cluster.file_storage_dir, "sharedfile": cluster.shared_file_storage_dir}
    return [folder for template, folder in folders.items() if template in cluster.enabled_disk_templates and folder]
