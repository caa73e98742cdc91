# SPDX-License-Identifier: BSD-2-Clause
"""gnt-instance info."""

from typing import Any

from gantry.cli import jobs, output, submit
from gantry.cli.context import Context
from gantry.cli.node_info import marked
from gantry.utils.units import format_size

_UNKNOWN_STATE, _FAULTY = 2, 3


def run(ctx: Context) -> int:
    """Show instances, all or those named."""
    everything = bool(ctx.option("all"))
    if everything == bool(ctx.args):
        output.error("Please give the names of instances, or --all" if not everything else
                     "Names and --all exclude each other")
        return 1
    found = jobs.run(ctx, submit.op(ctx, instances=ctx.args))
    if not found:
        output.line("No instances.")
        return 1
    output.info([tree(instance, static=bool(ctx.option("static"))) for instance in found.values()])
    return 0


def tree(data: dict[str, Any], *, static: bool) -> list[tuple[str, Any]]:
    """What is shown of one instance."""
    state = f"configured to be {data['config_state']}"
    if not static and data["run_state"] is not None:
        state += f", actual state is {data['run_state']}"
    port = [] if data["network_port"] is None else [("Allocated network port", data["network_port"])]
    back_end = marked(data["be_actual"], data["be_instance"])
    back_end["memory"] = back_end.get("maxmem", "")
    return [
        ("Instance name", data["name"]), ("UUID", data["uuid"]), ("Serial number", data["serial_no"]),
        ("Creation time", output.date(data["ctime"])), ("Modification time", output.date(data["mtime"])),
        ("State", state), ("Nodes", _nodes(data)), ("Operating system", data["os"]),
        ("Operating system parameters", marked(data["os_actual"], data["os_instance"])), *port,
        ("Hypervisor", data["hypervisor"]), *_vnc(data),
        ("Hypervisor parameters", marked(data["hv_actual"], data["hv_instance"])),
        ("Back-end parameters", back_end),
        ("NICs", [_nic(number, nic) for number, nic in enumerate(data["nics"])]),
        ("Disk template", data["disk_template"]),
        ("Disks", [_disk(disk, data, static=static) for disk in data["disks"]]),
    ]


def _nodes(data: dict[str, Any]) -> list[Any]:
    secondaries = ", ".join(
        f"{node} (group {group}, group UUID {uuid})" for node, group, uuid in
        zip(data["snodes"], data["snodes_group_names"], data["snodes_group_uuids"], strict=True))
    return [[("primary", data["pnode"]), ("group", f"{data['pnode_group_name']} (UUID {data['pnode_group_uuid']})")],
            [("secondaries", secondaries)]]


def _vnc(data: dict[str, Any]) -> list[tuple[str, Any]]:
    bind, port = data["hv_actual"].get("vnc_bind_address"), data["network_port"]
    if not bind or port is None:
        return []
    if bind.startswith("/"):
        return [("console connection", f"vnc to {data['pnode']}:{bind}/{data['name']}.vnc")]
    host = data["pnode"] if bind in ("0.0.0.0", "::") else f"{bind} on node {data['pnode']}"  # noqa: S104  # shown only
    return [("console connection", f"vnc to {host}:{port} (display {port - 5900})")]


def _nic(number: int, nic: list[Any]) -> list[tuple[str, Any]]:
    name, uuid, address, mac, mode, link, vlan, _, network = nic
    shown = network.get("name") if isinstance(network, dict) else network
    return [(f"nic/{number}", ""), ("MAC", mac), ("IP", address), ("mode", mode), ("link", link), ("vlan", vlan),
            ("network", shown), ("UUID", uuid), ("name", name)]


def _disk(disk: dict[str, Any], data: dict[str, Any], *, static: bool) -> list[tuple[str, Any]]:
    size = "" if disk["size"] is None else f", size {format_size(disk['size'])}"
    lines: list[tuple[str, Any]] = [(disk["iv_name"], f"{disk['dev_type']}{size}")]
    if disk["spindles"] is not None:
        lines.append(("spindles", disk["spindles"]))
    lines.append(("access mode", disk["mode"]))
    drbd = disk.get("drbd_info")
    if drbd:
        lines += [("nodeA", f"{drbd['primary_node']}, minor={drbd['primary_minor']}"),
                  ("nodeB", f"{drbd['secondary_node']}, minor={drbd['secondary_minor']}"), ("port", drbd["port"])]
    elif disk["logical_id"]:
        place = disk["logical_id"]
        lines.append(("logical_id", "/".join(place) if disk["dev_type"] == "plain" else str(place)))
    if not static:
        lines.append(("on primary", _device(disk["pstatus"], disk["dev_type"])))
        if data["snodes"]:
            lines.append(("on secondary", _device(disk["sstatus"], disk["dev_type"])))
        lines += _not_redundant(disk)
    lines += [("name", disk["name"]), ("UUID", disk["uuid"])]
    children = [_child(number, child, data, static=static) for number, child in enumerate(disk["children"] or [])]
    return [*lines, ("child devices", children)] if children else lines


def _not_redundant(disk: dict[str, Any]) -> list[tuple[str, Any]]:
    """What only one of the nodes of a mirrored disk has, since when, and why."""
    size, since = disk.get("unsynced"), disk.get("unsynced_since")
    problem = [("problem", disk["problem"])] if disk.get("problem") else []
    if not size and since is None:
        return problem
    shown = "unknown" if size is None else f"{size} bytes"
    return [("not yet redundant", shown + (f", since {output.date(since)}" if since is not None else "")), *problem]


def _child(number: int, child: dict[str, Any], data: dict[str, Any], *, static: bool) -> list[tuple[str, Any]]:
    lines = _disk(child | {"iv_name": f"child {number}"}, data, static=static)
    return [line for line in lines if line[0] not in ("access mode", "name", "UUID")]


def _device(status: list[Any] | None, kind: str) -> str:
    """`PATH (MAJ:MIN)` and how it is."""
    if not status:
        return "not active"
    path, major, minor, percent, eta, degraded, local = status
    text = str(path) + ("" if major is None else f" ({major}:{minor})")
    if kind == "drbd":
        text += " in sync" if percent is None else (
            f" *RECOVERING* {percent:.2f}%, ETA " + (f"{eta}s" if eta is not None else "unknown"))
        text += ", status " + ("*DEGRADED*" if degraded else "ok")
        return text + {_FAULTY: " *MISSING DISK*", _UNKNOWN_STATE: " *UNCERTAIN STATE*"}.get(local, "")
    return text + (" *FAILED* (failed drive?)" if degraded else "")
