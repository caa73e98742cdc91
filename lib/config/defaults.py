# SPDX-License-Identifier: BSD-2-Clause
"""The cluster object of a new cluster: every parameter has a value at this level."""

from collections.abc import Mapping
from typing import Any

from gantry.errors import WrongInput
from gantry.objects import hvparams, ipolicy, params
from gantry.objects.base import Params
from gantry.objects.cluster import Cluster
from gantry.utils import clock

FILE_STORAGE = "/srv/ganeti/file-storage"
SHARED_FILE_STORAGE = "/srv/ganeti/shared-file-storage"
IALLOCATOR = "hail"
"""It is a part of the product, so it is there on every cluster."""
_AS_GIVEN = ("candidate_pool_size", "maintain_node_health", "prealloc_wipe_disks", "default_iallocator_params",
             "master_netdev", "master_netmask", "use_external_mip_script", "gluster_storage_dir", "install_image",
             "zeroing_image", "ssh_key_type", "ssh_key_bits")


def new_cluster(*, uuid: str, name: str, master_ip: str, master_node: str, options: Mapping[str, Any]) -> Cluster:
    """`options`: the long options of `gnt-cluster init` by name.  Raises ParameterError or WrongInput."""
    given = {key: value for key, value in options.items() if value is not None}
    templates = tuple(given.get("enabled_disk_templates") or ("drbd", "plain"))
    hypervisors = tuple(given.get("enabled_hypervisors") or ("kvm",))
    policy = ipolicy.merge_ipolicy(ipolicy.default_ipolicy(templates), given.get("ipolicy", {}), group=False)
    ipolicy.check_complete(policy, templates)
    lvm = bool({"drbd", "plain"} & set(templates))
    now = clock.epoch()
    fields: dict[str, Any] = {key: given[key] for key in _AS_GIVEN if key in given}
    return Cluster(
        uuid=uuid, name=name, master_ip=master_ip, master_node=master_node, ctime=now, mtime=now,
        enabled_hypervisors=hypervisors, enabled_disk_templates=templates,
        mac_prefix=str(given.get("mac_prefix") or "aa:00:00").lower(),
        volume_group_name=given.get("vg_name") or ("xenvg" if lvm else None),
        drbd_usermode_helper=given.get("drbd_usermode_helper") or ("/bin/true" if "drbd" in templates else None),
        file_storage_dir=given.get("file_storage_dir") or FILE_STORAGE,
        shared_file_storage_dir=given.get("shared_file_storage_dir") or SHARED_FILE_STORAGE,
        default_iallocator=given.get("default_iallocator", IALLOCATOR),
        hvparams=_hypervisors(hypervisors, given.get("hypervisor_parameters", {})),
        beparams={"default": _backend(given.get("backend_parameters", {}))},
        nicparams={"default": {**params.NIC_DEFAULTS, **params.check_nic(given.get("nic_parameters", {}))}},
        ndparams={**params.ND_DEFAULTS, **params.check_nd(given.get("node_parameters", {}))},
        diskparams=_disks(given.get("disk_parameters", {}), given.get("vg_name")),
        ipolicy=policy, modify_ssh_setup=not given.get("no_ssh_init"), modify_etc_hosts=not given.get("no_etc_hosts"),
        enabled_user_shutdown=bool(given.get("user_shutdown")),
        uid_pool=tuple((low, high) for low, high in given.get("uid_pool") or ()),
        hv_state_static=dict(given.get("hypervisor_state", {})), disk_state_static=dict(given.get("disk_state", {})),
        primary_ip_family={4: 2, 6: 10}[given.get("primary_ip_version", 4)],
        compression_tools=tuple(given.get("compression_tools") or ("gzip", "gzip-fast", "gzip-slow")), **fields)


def _hypervisors(enabled: tuple[str, ...], given: Mapping[str, Params]) -> dict[str, Params]:
    found: dict[str, Params] = {name: dict(values) for name, values in hvparams.DEFAULTS.items()}
    for name, values in given.items():
        found[str(name)] = {**found.get(name, {}), **hvparams.check(name, dict(values))}
    for name in enabled:
        if name not in found:
            raise WrongInput(detail=f"Hypervisor '{name}' is not known; there are {', '.join(found)}")
        hvparams.check_merged(name, found[name])
    return {str(name): values for name, values in found.items()}


def _backend(given: Mapping[str, Any]) -> Params:
    merged = {**params.BE_DEFAULTS, **params.check_be(given)}
    params.check_be_effective(merged)
    return merged


def _disks(given: Mapping[str, Params], vg_name: str | None) -> dict[str, Params]:
    checked = params.check_disk(given)
    found = {template: {**values, **checked.get(template, {})} for template, values in params.DISK_DEFAULTS.items()}
    if vg_name and "drbd" in found and not checked.get("drbd", {}).get("metavg"):
        found["drbd"]["metavg"] = vg_name
    return found
