# SPDX-License-Identifier: BSD-2-Clause
"""Backend, NIC, node and disk parameters: their schemas, defaults and checks; limits and the syntax of tags.

Instance policies are in `ipolicy.py`, hypervisor parameters in `hvparams.py`; the levels that values are
inherited through are in `lib/config/effective.py`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gantry.constants import MAX_TAG_LENGTH, MAX_TAGS
from gantry.errors import ParameterError, WrongInput
from gantry.objects.base import Params
from gantry.objects.ipolicy import (
    InstanceSpec,
    check_instance,
    check_ipolicy,
    default_ipolicy,
    merge_ipolicy,
)
from gantry.objects.paramtype import (
    RESET,
    Check,
    Kind,
    ParamType,
    declare,
    defaults,
    merge_own,
    normalise,
)

__all__ = ["RESET", "InstanceSpec", "check_instance", "check_ipolicy", "default_ipolicy", "merge_ipolicy",
           "merge_own"]

MAX_GROUP_NAME = 128
DEFAULT_LINK = "xen-br0"


def _at_least(least: float) -> Check:
    return lambda value: None if value >= least else f"must be at least {least}"


def _matches(pattern: str, what: str) -> Check:
    compiled = re.compile(pattern)
    return lambda value: None if compiled.fullmatch(value) else f"must be {what}"


# --- backend parameters ---------------------------------------------------------------------------------

BE_SCHEMA = declare(
    ParamType("maxmem", Kind.SIZE, default=128, check=_at_least(1),
              help="memory the instance starts with, the upper limit of its balloon"),
    ParamType("minmem", Kind.SIZE, default=128, check=_at_least(1),
              help="lower limit of the balloon"),
    ParamType("vcpus", Kind.INT, default=1, check=_at_least(1), help="virtual CPUs"),
    ParamType("auto_balance", Kind.BOOL, default=True,
              help="counts in the N+1 check, may be moved by balancing"),
    ParamType("always_failover", Kind.BOOL, default=False,
              help="a migration is carried out as a failover"),
    ParamType("spindle_use", Kind.INT, default=1, check=_at_least(0), help="spindles used"),
)
BE_DEFAULTS: Params = defaults(BE_SCHEMA)
BE_MEMORY = "memory"
"""Write-only name that sets maxmem and minmem."""


def expand_memory(given: Mapping[str, Any]) -> Params:
    """Backend parameters as given, `memory` replaced by what it stands for; raises ParameterError.

    Web front ends give all three names the same value.
    """
    result = dict(given)
    if BE_MEMORY not in result:
        return result
    memory = _memory(result.pop(BE_MEMORY))
    if any(name in result and _memory(result[name]) != memory for name in ("maxmem", "minmem")):
        raise ParameterError(detail="'memory' sets both 'minmem' and 'maxmem' and cannot be given together with other "
                                    "values of them")
    return result | {"maxmem": memory, "minmem": memory}


def _memory(value: Any) -> Any:
    if value is None or value == RESET:
        return value
    return ParamType(BE_MEMORY, Kind.SIZE, None, "both limits", check=_at_least(1)).normalise(value)


def check_be(given: Mapping[str, Any]) -> Params:
    """Values of backend parameters in their types; `memory` is expanded.  Raises ParameterError."""
    return normalise(BE_SCHEMA, expand_memory(given))


def merge_be(own: Mapping[str, Any], given: Mapping[str, Any]) -> Params:
    """An instance's own backend parameters after a modify command."""
    return merge_own(own, expand_memory(given), BE_SCHEMA)


def check_be_effective(merged: Mapping[str, Any]) -> None:
    """Raise ParameterError when complete backend parameters contradict each other."""
    if merged["minmem"] > merged["maxmem"]:
        raise ParameterError(detail=f"Minimum memory ({merged['minmem']} MiB) cannot be more than the maximum "
                                    f"memory ({merged['maxmem']} MiB)")


# --- NIC parameters ---------------------------------------------------------------------------------------

NIC_SCHEMA = declare(
    ParamType("mode", Kind.STR, default="bridged", choices=("bridged", "routed", "openvswitch", "ext"),
              help="how the interface is connected"),
    ParamType("link", Kind.STR, default=DEFAULT_LINK, help="bridge, routing table or switch"),
    ParamType("vlan", Kind.STR, default="", help="VLANs, for bridged and openvswitch"),
)
NIC_DEFAULTS: Params = defaults(NIC_SCHEMA)
_VLAN = re.compile(r"(\.?\d+)?(:\d+)*")


def check_nic(given: Mapping[str, Any]) -> Params:
    return normalise(NIC_SCHEMA, given)


def merge_nic(own: Mapping[str, Any], given: Mapping[str, Any]) -> Params:
    return merge_own(own, given, NIC_SCHEMA)


def check_nic_effective(merged: Mapping[str, Any], *, ip: str | None = None, has_ip: bool | None = None) -> None:
    """Raise ParameterError when complete NIC parameters contradict each other or the interface's address.

    `has_ip` says that the address is not known yet (`ip=pool`) but there will be one.
    """
    mode, link, vlan = merged["mode"], merged["link"], merged.get("vlan") or ""
    if mode in ("bridged", "openvswitch") and not link:
        raise ParameterError(detail=f"A {mode} interface needs a link (a bridge or switch)")
    if mode == "routed" and not (ip or has_ip):
        raise ParameterError(detail="A routed interface must have an IP address")
    if vlan and mode in ("bridged", "openvswitch") and not _VLAN.fullmatch(vlan):
        raise ParameterError(detail=f"Specified VLAN parameter is invalid: '{vlan}'")


# --- node parameters --------------------------------------------------------------------------------------

ND_SCHEMA = declare(
    ParamType("oob_program", Kind.STR, default="", help="out-of-band program",
              check=_matches(r"(/.*)?", "an absolute path or empty")),
    ParamType("spindle_count", Kind.INT, default=1, check=_at_least(0), help="spindles of the node"),
    ParamType("exclusive_storage", Kind.BOOL, default=False, help="one physical volume a disk"),
    ParamType("ovs", Kind.BOOL, default=False, help="configure Open vSwitch on the node"),
    ParamType("ovs_name", Kind.STR, default="switch1", help="name of the switch"),
    ParamType("ovs_link", Kind.STR, default="", help="uplink device of the switch"),
    ParamType("ssh_port", Kind.INT, default=22, help="SSH port",
              check=lambda value: None if 0 < value < 65536 else "must be a port (1 to 65535)"),
    ParamType("cpu_speed", Kind.FLOAT, default=1.0, help="relative CPU speed for placement",
              check=lambda value: None if value > 0 else "must be more than 0"),
)
ND_DEFAULTS: Params = defaults(ND_SCHEMA)
ND_NOT_ON_NODES = frozenset({"exclusive_storage"})
"""Parameters that clusters and groups have, single nodes not."""


def check_nd(given: Mapping[str, Any]) -> Params:
    return normalise(ND_SCHEMA, given)


def merge_nd(own: Mapping[str, Any], given: Mapping[str, Any], *, node: bool = False) -> Params:
    """Own node parameters of a group, or of a `node`, after a modify command."""
    refused = sorted(ND_NOT_ON_NODES & given.keys()) if node else []
    if refused:
        raise WrongInput(detail=f"Node parameter '{refused[0]}' is set for clusters and node groups, "
                                "not for single nodes")
    return merge_own(own, given, ND_SCHEMA)


# --- disk parameters --------------------------------------------------------------------------------------


def _ints(**named: int) -> list[ParamType]:
    return [ParamType(name.replace("_", "-"), Kind.INT, value, "of the resync controller", check=_at_least(0))
            for name, value in named.items()]


_ACCESS = ParamType("access", Kind.STR, default="kernelspace", choices=("kernelspace", "userspace"),
                    help="who opens the device: the kernel or the hypervisor")


def _stripes(name: str) -> ParamType:
    return ParamType(name, Kind.INT, default=1, check=_at_least(1), help="LVM stripes")


DISK_SCHEMAS: dict[str, dict[str, ParamType]] = {
    "diskless": {}, "file": {}, "sharedfile": {}, "blockdev": {},
    "plain": declare(_stripes("stripes")),
    "drbd": declare(
        ParamType("resync-rate", Kind.INT, default=61440, check=_at_least(1), help="KiB/s"),
        _stripes("data-stripes"), _stripes("meta-stripes"),
        ParamType("disk-barriers", Kind.STR, default="n", help="flush methods to disable",
                  check=_matches(r"n|(?!.*(.).*\1)[bfd]{1,3}",
                                 "'n', or a combination of the letters b, f and d")),
        ParamType("meta-barriers", Kind.BOOL, default=False, help="disable flushes of metadata"),
        ParamType("metavg", Kind.STR, default="", help="volume group of metadata"),
        ParamType("disk-custom", Kind.STR, default="", help="further disk options"),
        ParamType("net-custom", Kind.STR, default="", help="further network options"),
        ParamType("protocol", Kind.STR, default="C", choices=("A", "B", "C"), help="replication protocol"),
        ParamType("dynamic-resync", Kind.BOOL, default=False, help="use the resync controller"),
        *_ints(c_plan_ahead=20, c_fill_target=0, c_delay_target=1, c_min_rate=4096, c_max_rate=61440)),
    "rbd": declare(ParamType("pool", Kind.STR, "rbd", "pool of the volumes"), _ACCESS,
                  ParamType("user-id", Kind.STR, default="", help="cephx user")),
    "ext": declare(_ACCESS),
    "gluster": declare(ParamType("host", Kind.STR, "127.0.0.1", "server"),
                      ParamType("port", Kind.INT, 24007, "port of the server", check=_at_least(1)),
                      ParamType("volume", Kind.STR, "gv0", "volume"), _ACCESS),
}
DISK_DEFAULTS: dict[str, Params] = {template: defaults(types) for template, types in DISK_SCHEMAS.items()}


def disk_schema(template: str) -> dict[str, ParamType]:
    """Raises ParameterError."""
    if template not in DISK_SCHEMAS:
        raise ParameterError(detail=f"Unknown disk template '{template}'")
    return DISK_SCHEMAS[template]


def check_disk(given: Mapping[str, Mapping[str, Any]]) -> dict[str, Params]:
    """Disk parameters by template, in their types; raises ParameterError."""
    return {template: normalise(disk_schema(template), values) for template, values in given.items()}


def merge_disk(own: Mapping[str, Mapping[str, Any]], given: Mapping[str, Mapping[str, Any]]) -> dict[str, Params]:
    """A group's own disk parameters after a modify command."""
    result = {template: dict(values) for template, values in own.items()}
    for template, values in given.items():
        merged = merge_own(result.get(template, {}), values, disk_schema(template))
        result[template] = merged
        if not merged:
            del result[template]
    return result


# --- tags -------------------------------------------------------------------------------------------------

_TAG = re.compile(r"[\w.+*/:@-]+")


def check_tags(tags: Iterable[str], present: Iterable[str] = ()) -> frozenset[str]:
    """`tags` and those `present` together; raises WrongInput for a bad one or too many."""
    new = frozenset(tags)
    for tag in sorted(new):
        if not tag:
            raise WrongInput(detail="Tags cannot be empty")
        if len(tag) > MAX_TAG_LENGTH:
            raise WrongInput(detail=f"Tag '{tag}' is too long, it may have at most {MAX_TAG_LENGTH} characters")
        if not _TAG.fullmatch(tag):
            raise WrongInput(detail=f"Tag '{tag}' contains invalid characters: letters, digits and .+*/:@_- are "
                                    "allowed")
    together = new | frozenset(present)
    if len(together) > MAX_TAGS:
        raise WrongInput(detail=f"An object cannot have more than {MAX_TAGS} tags")
    return together
