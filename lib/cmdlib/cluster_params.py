# SPDX-License-Identifier: BSD-2-Clause
"""The cluster after `gnt-cluster modify`: pure, from the opcode and the cluster before."""

import re
from collections.abc import Iterable
from typing import Any

from gantry.errors import WrongInput
from gantry.objects import hvparams, ipolicy, params
from gantry.objects.cluster import Cluster
from gantry.objects.paramtype import merge_own
from gantry.opcodes.cluster import ClusterSetParams

_MAC_PREFIX = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){2}$")

PLAIN = ("candidate_pool_size", "max_running_jobs", "max_tracked_jobs", "maintain_node_health",
         "prealloc_wipe_disks", "default_iallocator", "default_iallocator_params", "master_netdev",
         "master_netmask", "reserved_lvs", "use_external_mip_script", "modify_etc_hosts", "file_storage_dir",
         "shared_file_storage_dir", "gluster_storage_dir", "install_image", "instance_communication_network",
         "zeroing_image", "compression_tools", "enabled_user_shutdown")
"""Fields that are taken as given, under the same name in the opcode and the cluster."""


def changed_fields(cluster: Cluster, op: ClusterSetParams) -> dict[str, Any]:
    """New values by field of the cluster; raises ParameterError or WrongInput."""
    fields: dict[str, Any] = {name: getattr(op, name) for name in PLAIN if getattr(op, name) is not None}
    for change in (_lists, _parameters, _os_parameters, _resources, _storage):
        fields.update(change(cluster, op))
    return {name: value for name, value in fields.items() if value != getattr(cluster, name)}


def _lists(cluster: Cluster, op: ClusterSetParams) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if op.enabled_hypervisors is not None:
        for name in op.enabled_hypervisors:
            hvparams.schema(name)
        fields["enabled_hypervisors"] = tuple(op.enabled_hypervisors)
    for name in ("hidden_os", "blacklisted_os"):
        edits = getattr(op, name)
        if edits is not None:
            fields[name] = _edited(getattr(cluster, name), edits)
    if op.mac_prefix is not None:
        if not _MAC_PREFIX.match(op.mac_prefix.lower()):
            raise WrongInput(detail=f"Invalid MAC prefix '{op.mac_prefix}': three octets such as aa:00:00 are expected")
        fields["mac_prefix"] = op.mac_prefix.lower()
    fields.update(_uids(cluster, op))
    return fields


def _edited(present: Iterable[str], edits: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    names = list(present)
    for action, name in edits:
        if action == "add" and name not in names:
            names.append(name)
        elif action == "remove" and name in names:
            names.remove(name)
    return tuple(names)


def _uids(cluster: Cluster, op: ClusterSetParams) -> dict[str, Any]:
    pool = list(op.uid_pool if op.uid_pool is not None else cluster.uid_pool)
    for low, high in op.add_uids or ():
        if any(low <= last and first <= high for first, last in pool):
            raise WrongInput(detail=f"Cannot add the uids {low}-{high}: they overlap the pool")
        pool.append((low, high))
    for span in op.remove_uids or ():
        if tuple(span) not in [tuple(item) for item in pool]:
            raise WrongInput(detail=f"Cannot remove the uids {span[0]}-{span[1]}: the pool has no such range")
        pool = [item for item in pool if tuple(item) != tuple(span)]
    given = op.uid_pool is not None or op.add_uids or op.remove_uids
    return {"uid_pool": tuple((low, high) for low, high in sorted(pool))} if given else {}


def _parameters(cluster: Cluster, op: ClusterSetParams) -> dict[str, Any]:
    """At cluster level every parameter has a value: what is reset gets the built-in one."""
    fields: dict[str, Any] = {}
    if op.hvparams is not None:
        fields["hvparams"] = dict(cluster.hvparams)
        for hypervisor, values in op.hvparams.items():
            own = merge_own(cluster.hvparams.get(hypervisor, {}), values, hvparams.schema(hypervisor))
            merged = {**hvparams.DEFAULTS.get(hypervisor, {}), **own}
            hvparams.check_merged(hypervisor, merged)
            fields["hvparams"][hypervisor] = merged
    if op.beparams is not None:
        merged = params.BE_DEFAULTS | params.merge_be(cluster.beparams.get("default", {}), op.beparams)
        params.check_be_effective(merged)
        fields["beparams"] = {"default": merged}
    if op.nicparams is not None:
        merged = params.NIC_DEFAULTS | params.merge_nic(cluster.nicparams.get("default", {}), op.nicparams)
        params.check_nic_effective(merged, has_ip=True)
        fields["nicparams"] = {"default": merged}
    if op.ndparams is not None:
        fields["ndparams"] = params.ND_DEFAULTS | params.merge_nd(cluster.ndparams, op.ndparams)
    if op.diskparams is not None:
        disk = params.merge_disk(cluster.diskparams, op.diskparams)
        fields["diskparams"] = {template: params.DISK_DEFAULTS[template] | disk.get(template, {})
                                for template in {**cluster.diskparams, **op.diskparams}}
    return fields


def _os_parameters(cluster: Cluster, op: ClusterSetParams) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if op.os_hvp is not None:
        fields["os_hvp"] = {name: dict(values) for name, values in cluster.os_hvp.items()}
        for os, by_hypervisor in op.os_hvp.items():
            own = fields["os_hvp"].setdefault(os, {})
            for hypervisor, values in by_hypervisor.items():
                hvparams.schema(hypervisor)
                own[hypervisor] = merge_own(own.get(hypervisor, {}), values, hvparams.SCHEMAS[hypervisor])
    for name in ("osparams", "osparams_private_cluster"):
        given = getattr(op, name)
        if given is not None:
            present = getattr(cluster, name)
            merged = {**present, **{os: merge_own(present.get(os, {}), values) for os, values in given.items()}}
            fields[name] = {os: values for os, values in merged.items() if values}
    return fields


def _resources(cluster: Cluster, op: ClusterSetParams) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if op.hv_state is not None:
        fields["hv_state_static"] = {**cluster.hv_state_static, **op.hv_state}
    if op.disk_state is not None:
        fields["disk_state_static"] = {**cluster.disk_state_static, **op.disk_state}
    collectors = {name: dict(values) for name, values in cluster.data_collectors.items()}
    for name, active in (op.enabled_data_collectors or {}).items():
        collectors.setdefault(name, {})["active"] = active
    for name, interval in (op.data_collector_interval or {}).items():
        collectors.setdefault(name, {})["interval"] = interval
    if op.enabled_data_collectors or op.data_collector_interval:
        fields["data_collectors"] = collectors
    return fields


def _storage(cluster: Cluster, op: ClusterSetParams) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    templates = tuple(op.enabled_disk_templates or cluster.enabled_disk_templates)
    if op.enabled_disk_templates is not None:
        fields["enabled_disk_templates"] = templates
    if op.vg_name is not None:
        if not op.vg_name and {"plain", "drbd"} & set(templates):
            raise WrongInput(detail="The volume group cannot be unset while the disk templates drbd or plain are "
                                    "enabled")
        fields["volume_group_name"] = op.vg_name or None
    if op.drbd_helper is not None:
        fields["drbd_usermode_helper"] = op.drbd_helper or None
    if op.ipolicy is not None or op.enabled_disk_templates is not None:
        policy = {**ipolicy.default_ipolicy(templates), **cluster.ipolicy}
        if op.ipolicy is not None:
            policy = ipolicy.merge_ipolicy(policy, op.ipolicy, group=False)
        ipolicy.check_complete(policy, templates)
        fields["ipolicy"] = policy
    return fields
