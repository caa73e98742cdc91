# SPDX-License-Identifier: BSD-2-Clause
"""gnt-instance add and gnt-backup import."""

from typing import Any

from gantry.cli import jobs, output, submit, values
from gantry.cli.context import Context
from gantry.errors import WrongInput

_DISKLESS = "diskless"


def add(ctx: Context) -> int:
    """Create an instance."""
    if ctx.option("os_type") is None and "os-image" not in (ctx.option("os_parameters") or {}) and not ctx.option(
            "commit"):
        raise WrongInput(detail="Missing OS type: name an OS definition with -o, or an image with the OS parameter "
                                "os-image")
    jobs.run_or_submit(ctx, submit.op(ctx, mode="create", **creation(ctx)))
    return 0


def import_(ctx: Context) -> int:
    """Create an instance from an export; what is not given comes from there.  It is left stopped."""
    jobs.run_or_submit(ctx, submit.op(ctx, mode="import", start=False, **creation(ctx, importing=True)))
    return 0


def creation(ctx: Context, *, importing: bool = False) -> dict[str, Any]:
    """Parameters that need more than the option's own syntax."""
    for name in ("no_name_check", "no_ip_check"):
        if ctx.option(name):
            output.error(f"WARNING: --{name.replace('_', '-')} is deprecated and has no effect: the check is off "
                         "unless asked for")
    if ctx.option("ip_check") and not ctx.option("name_check"):
        raise WrongInput(detail="--ip-check needs --name-check: the address is the one that the name resolves to")
    found: dict[str, Any] = {"disks": disks(ctx, importing=importing), "nics": nics(ctx, importing=importing)}
    if ctx.option("backend_parameters") is not None:
        found["beparams"] = values.beparams(ctx.options.backend_parameters)
    return found | hypervisor(ctx) | placement(ctx)


def hypervisor(ctx: Context) -> dict[str, Any]:
    """`HV[:K=V,...]`."""
    given = ctx.option("hypervisor_parameters")
    if given is None:
        return {}
    name, params = given
    if not isinstance(params, dict):
        raise WrongInput(detail=f"'{name}' cannot be removed; the form is HYPERVISOR:KEY=VALUE,...")
    return {"hypervisor": name, "hvparams": params}


def placement(ctx: Context) -> dict[str, Any]:
    """`PNODE[:SNODE]`, unless an allocator is to choose."""
    given = ctx.option("node")
    if given is None:
        return {}
    if ctx.option("iallocator") is not None:
        raise WrongInput(detail="A node and an allocator cannot both be given: -n says where, -I lets choose")
    primary, _, secondary = given.partition(":")
    if not primary:
        raise WrongInput(detail=f"Missing primary node in '{given}'; the form is PNODE[:SNODE]")
    return {"pnode": primary} | ({"snode": secondary} if secondary else {})


def disks(ctx: Context, *, importing: bool) -> list[dict[str, Any]]:
    """Out of --disk or -s."""
    given, size, template = ctx.option("disk"), ctx.option("os_size"), ctx.option("disk_template")
    if given and size is not None:
        raise WrongInput(detail="--disk and --os-size exclude each other")
    if template == _DISKLESS:
        if given or size is not None:
            raise WrongInput(detail="A diskless instance takes no disks: leave out --disk and --os-size")
        return []
    if size is not None:
        return [{"size": size}]
    if not given:
        if importing or ctx.option("commit"):
            return []
        raise WrongInput(detail="No disk information specified")
    found = values.new_devices(given, "disk")
    for number, disk in enumerate(found):
        _check_disk(number, disk)
    return found


def _check_disk(number: int, disk: dict[str, Any]) -> None:
    if "adopt" in disk and "size" in disk:
        raise WrongInput(detail=f"disk {number}: size and adopt exclude each other")
    if not {"adopt", "size"} & disk.keys():
        raise WrongInput(detail=f"disk {number}: its size (or what to adopt) is missing")
    if "adopt" in disk:
        group, slash, volume = disk["adopt"].partition("/")
        if slash and group:  # vg/lv; a device path stays as it is
            disk |= {"vg": group, "adopt": volume}
        disk["size"] = 0


def nics(ctx: Context, *, importing: bool) -> list[dict[str, Any]]:
    """Out of --net; without it one NIC with everything automatic."""
    given = ctx.option("net")
    if ctx.option("no_nics"):
        if given:
            raise WrongInput(detail="--net and --no-nics exclude each other")
        return []
    if given:
        return values.new_devices(given, "nic")
    return [] if importing else [{}]
