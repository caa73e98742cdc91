# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster info."""

from typing import Any

from gantry import paths
from gantry.cli import ipolicy, output
from gantry.cli.context import Context

_COLLECTOR_UNIT = 1e6

_PARAMETERS = (
    ("candidate pool size", "candidate_pool_size"),
    ("maximal number of jobs running simultaneously", "max_running_jobs"),
    ("maximal number of jobs simultaneously tracked by the scheduler", "max_tracked_jobs"),
    ("mac prefix", "mac_prefix"), ("master netdev", "master_netdev"), ("master netmask", "master_netmask"),
    ("use external master IP address setup script", "use_external_mip_script"),
    ("lvm volume group", "volume_group_name"), ("lvm reserved volumes", "reserved_lvs"),
    ("drbd usermode helper", "drbd_usermode_helper"), ("file storage path", "file_storage_dir"),
    ("shared file storage path", "shared_file_storage_dir"), ("gluster storage path", "gluster_storage_dir"),
    ("maintenance of node health", "maintain_node_health"), ("uid pool", "uid_pool"),
    ("default instance allocator", "default_iallocator"),
    ("default instance allocator parameters", "default_iallocator_params"),
    ("primary ip version", "primary_ip_version"), ("preallocation wipe disks", "prealloc_wipe_disks"),
    ("OS search path", "os_search"), ("ExtStorage Providers search path", "ext_search"),
    ("enabled disk templates", "enabled_disk_templates"), ("install image", "install_image"),
    ("instance communication network", "instance_communication_network"), ("zeroing image", "zeroing_image"),
    ("compression tools", "compression_tools"), ("enabled user shutdown", "enabled_user_shutdown"),
    ("modify ssh setup", "modify_ssh_setup"), ("ssh_key_type", "ssh_key_type"), ("ssh_key_bits", "ssh_key_bits"),
)


def run(ctx: Context) -> int:
    """Show the cluster."""
    output.info(tree(ctx.call("QueryClusterInfo")))
    return 0


def tree(found: dict[str, Any]) -> list[tuple[str, Any]]:
    """What is shown of QueryClusterInfo's answer."""
    known = found | {"os_search": [str(path) for path in paths.here().os_search], "ext_search": []}
    return [
        ("Cluster name", found["name"]), ("Cluster UUID", found["uuid"]),
        ("Creation time", output.date(found["ctime"])), ("Modification time", output.date(found["mtime"])),
        ("Master node", found["master"]),
        ("Architecture (this node)", f"{found['architecture'][0].replace('bits', 'bit')} ({found['architecture'][1]})"),
        ("Tags", ", ".join(sorted(found["tags"])) or "(none)"),
        ("Default hypervisor", found["default_hypervisor"]),
        ("Enabled hypervisors", ", ".join(found["enabled_hypervisors"])),
        ("Hypervisor parameters", found["hvparams"]),
        ("OS-specific hypervisor parameters", found["os_hvp"]), ("OS parameters", found["osparams"]),
        ("Hidden OSes", ", ".join(found["hidden_os"])), ("Blacklisted OSes", ", ".join(found["blacklisted_os"])),
        ("Cluster parameters", [(title, _text(key, known.get(key))) for title, key in _PARAMETERS]),
        ("Default node parameters", found["ndparams"]),
        ("Default instance parameters", found["beparams"]), ("Default nic parameters", found["nicparams"]),
        ("Default disk parameters", found["diskparams"]),
        ("Instance policy - limits for instances", ipolicy.tree(found["ipolicy"])),
        ("Data collectors", _collectors(found)),
    ]


def _text(key: str, value: Any) -> str:
    if key == "uid_pool":
        return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in value or [])
    if isinstance(value, list):
        return ", ".join(map(str, value)) or ("(none)" if key == "reserved_lvs" else "")
    if isinstance(value, dict):
        return ", ".join(f"{name}={item}" for name, item in sorted(value.items()))
    return "" if value is None else str(value)


def _collectors(found: dict[str, Any]) -> list[tuple[str, Any]]:
    intervals = found.get("data_collector_interval") or {}
    return [(name, [("active", active), ("interval", f"{intervals.get(name, 0) / _COLLECTOR_UNIT:.3f}s")])
            for name, active in sorted((found.get("enabled_data_collectors") or {}).items())]
