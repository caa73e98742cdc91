# SPDX-License-Identifier: BSD-2-Clause
"""The types of opcode parameters.

Each `Kind` takes a JSON value and gives it back in its one normal form (sizes in MiB, sequences as tuples,
device edits as triples), or raises ValueError with a sentence that can follow "parameter NAME: ".
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any, NoReturn

from gantry.constants import MAX_DISKS, MAX_TAG_LENGTH, DiskTemplate, HypervisorName
from gantry.errors import WrongInput
from gantry.opcodes.base import Kind
from gantry.utils.units import parse_size

Check = Callable[[Any], Any]


class _Empty(dict[str, Any]):
    """The empty default of dictionary parameters; shared by all opcodes, so it refuses to be filled."""

    def __hash__(self) -> int:  # type: ignore[override]  # dict says None; dataclasses ask for hashable defaults
        return 0

    def __setitem__(self, key: str, value: Any) -> None:
        raise TypeError("this dictionary is a default and shared; copy it first")


EMPTY: Any = _Empty()


def _shown(value: Any) -> str:
    return repr(value)[:60]


def _expected(what: str, value: Any) -> NoReturn:
    raise ValueError(f"{what} is expected, not {_shown(value)}")


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        _expected("true or false", value)
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        _expected("a string", value)
    return value


def _nestr(value: Any) -> str:
    if not _string(value):
        raise ValueError("it must not be empty")
    return str(value)


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _expected("a number", value)
    if not abs(value) < 1e15:
        raise ValueError(f"{value} is out of range")
    return float(value)


def _seconds(value: Any) -> float:
    if _float(value) < 0:
        raise ValueError(f"{value} is negative")
    return float(value)


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        _expected("an object", value)
    return dict(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        _expected("a list", value)
    return list(value)


def integer(low: int | None = None, high: int | None = None) -> Kind:
    """A whole number, of `low` to `high`."""
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            _expected("a whole number", value)
        if low is not None and value < low:
            raise ValueError(f"{value} is below {low}")
        if high is not None and value > high:
            raise ValueError(f"{value} is above {high}")
        return value
    bounds = "" if low is None else f" {low}..{high}" if high is not None else f" >= {low}"
    return Kind("int" + bounds, check)


def one_of(*values: str) -> Kind:
    """One of these words."""
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in values:
            raise ValueError(f"one of {', '.join(values)} is expected, not {_shown(value)}")
        return str(value)
    return Kind("|".join(values), check)


def list_of(item: Kind) -> Kind:
    """A list; normal form is a tuple."""
    def check(value: Any) -> tuple[Any, ...]:
        return tuple(item.check(element) for element in _list(value))
    return Kind(f"[{item.name}]", check)


def dict_of(item: Kind) -> Kind:
    """An object whose values are all of the type `item`."""
    def check(value: Any) -> dict[str, Any]:
        found = {}
        for key, element in _dict(value).items():
            try:
                found[key] = item.check(element)
            except ValueError as err:
                raise ValueError(f"{key}: {err}") from err
        return found
    return Kind(f"{{str: {item.name}}}", check)


def nullable(item: Kind) -> Kind:
    """The same, or null."""
    return Kind(f"{item.name}?", lambda value: None if value is None else item.check(value))


def or_word(item: Kind, *words: str) -> Kind:
    """The same, or one of these words."""
    return Kind(f"{item.name}|{'|'.join(words)}", lambda value: value if value in words else item.check(value))


def pair_of(first: Kind, second: Kind) -> Kind:
    """A list of exactly two; normal form is a tuple."""
    def check(value: Any) -> tuple[Any, Any]:
        items = _list(value)
        if len(items) != 2:
            _expected("a list of two", value)
        return first.check(items[0]), second.check(items[1])
    return Kind(f"[{first.name}, {second.name}]", check)


def _size(value: Any) -> int:
    if isinstance(value, str):
        try:
            return parse_size(value)
        except WrongInput as err:
            raise ValueError(str(err)) from err
    return int(UINT.check(value))


def _address(parse: Callable[[str], object], what: str) -> Check:
    def check(value: Any) -> str:
        try:
            return str(parse(_nestr(value)))
        except ValueError as err:
            raise ValueError(f"{what} is expected, not {_shown(value)}") from err
    return check


def _network(value: str) -> object:
    if "/" not in value:
        raise ValueError("no prefix length")
    return ipaddress.IPv4Network(value) if ":" not in value else ipaddress.IPv6Network(value)


def _ipv4_network(value: str) -> object:
    network = ipaddress.IPv4Network(str(_network(value)))
    if not 16 <= network.prefixlen <= 30:
        raise ValueError("prefix length out of range")
    return network


def _ipv6_network(value: str) -> object:
    return ipaddress.IPv6Network(str(_network(value)))


_TAG = re.compile(r"[A-Za-z0-9_.+*/:@-]+")


def _tag(value: Any) -> str:
    tag = _string(value)
    if not _TAG.fullmatch(tag) or len(tag) > MAX_TAG_LENGTH:
        raise ValueError(f"{_shown(tag)} is not a tag: 1 to {MAX_TAG_LENGTH} letters, digits and _ . + * / : @ - "
                         "are expected")
    return tag


def _job_id(value: Any) -> int:
    if isinstance(value, str) and value.removeprefix("-").isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value == 0:
        _expected("a job id", value)
    return value


def _reason_entry(value: Any) -> tuple[str, str, int]:
    items = _list(value)
    if len(items) != 3:
        raise ValueError(f"an entry is [source, text, nanoseconds], not {_shown(value)}")
    return _string(items[0]), _string(items[1]), int(INT.check(items[2]))


def _beparams(value: Any) -> dict[str, Any]:
    found = _dict(value)
    for key in found.keys() & {"memory", "minmem", "maxmem"}:
        if found[key] is not None and found[key] != "default":
            try:
                found[key] = _size(found[key])
            except ValueError as err:
                raise ValueError(f"{key}: {err}") from err
    return found


def _disk(value: Any) -> dict[str, Any]:
    found = _dict(value)
    if found.get("size") is not None:
        found["size"] = _size(found["size"])
    if found.get("mode", "rw") not in ("rw", "ro"):
        raise ValueError(f"mode {_shown(found['mode'])} is neither rw nor ro")
    if found.get("spindles") is not None:
        found["spindles"] = UINT.check(found["spindles"])
    return found


NIC_KEYS = ("mac", "ip", "mode", "link", "vlan", "bridge", "network", "name")


def _nic(value: Any) -> dict[str, str | None]:
    found = _dict(value)
    unknown = found.keys() - set(NIC_KEYS)
    if unknown:
        raise ValueError(f"unknown keys {', '.join(sorted(unknown))}; known are {', '.join(NIC_KEYS)}")
    return {key: item if item is None else str(item) for key, item in found.items()}


_OLD_STYLE = ("add", "attach", "remove", "detach")


def edits(params: Check, what: str) -> Kind:
    """Device edits; normal form is (operation, index or name or UUID, params), operation one of add, attach,
    modify, detach, remove.  The old form [operation or index, params] is understood too.
    """
    def check(value: Any) -> tuple[tuple[str, int | str, dict[str, Any]], ...]:
        items = [_list(item) for item in _list(value)]
        named = [item[0] for item in items if len(item) == 2 and item[0] in _OLD_STYLE]
        if len(named) > 1:
            raise ValueError(f"only one {what} can be added, attached, removed or detached at a time")
        return tuple(_edit(item, params, what) for item in items)
    return Kind(f"[{what} edit]", check)


def _edit(item: list[Any], params: Check, what: str) -> tuple[str, int | str, dict[str, Any]]:
    if len(item) == 2:
        item = [item[0], -1, item[1]] if item[0] in _OLD_STYLE else ["modify", *item]
    if len(item) != 3:
        raise ValueError(f"an edit is [operation, {what}, parameters], not {_shown(item)}")
    operation, which, changes = item
    if operation not in (*_OLD_STYLE, "modify"):
        raise ValueError(f"operation {_shown(operation)} is none of add, attach, modify, detach, remove")
    if isinstance(which, bool) or not isinstance(which, (int, str)) or which == "":
        raise ValueError(f"{_shown(which)} is no index, name or UUID of a {what}")
    if isinstance(which, str) and re.fullmatch(r"-?\d+", which):
        which = int(which)
    changes = params(changes)
    if changes and operation in ("remove", "detach"):
        raise ValueError(f"{operation} takes no parameters")
    if operation == "add" and what == "disk" and changes.get("size") is None and not changes.get("adopt"):
        raise ValueError("Missing required parameter 'size'")
    return operation, which, changes


def _recreate(value: Any) -> tuple[tuple[int, dict[str, Any]], ...]:
    found = []
    for item in _list(value):
        index, changes = (item, {}) if not isinstance(item, (list, tuple)) else pair_of(DISK_INDEX, DISK).check(item)
        found.append((int(DISK_INDEX.check(index)), changes))
    return tuple(found)


def _export_target(value: Any) -> Any:
    return _nestr(value) if isinstance(value, str) else _list(value)


ANY = Kind("any", lambda value: value)
BOOL = Kind("bool", _bool)
STR = Kind("str", _string)
NESTR = Kind("nestr", _nestr)
FLOAT = Kind("float", _float)
SECONDS = Kind("seconds", _seconds)
DICT = Kind("dict", _dict)
LIST = Kind("list", _list)
INT = integer()
UINT = integer(0)
POSITIVE = integer(1)
DISK_INDEX = integer(0, MAX_DISKS - 1)
SIZE = Kind("size", _size)
STRINGS = list_of(NESTR)
DICTS = dict_of(DICT)
LIST_OF_DICTS = list_of(DICT)
RANGES = list_of(pair_of(INT, INT))
LIST_EDITS = list_of(pair_of(one_of("add", "remove"), NESTR))
SWITCHES = dict_of(BOOL)
NUMBERS = dict_of(INT)
PRIVATE = dict_of(STR)
PRIVATE_BY_OS = dict_of(PRIVATE)
SECRET = dict_of(STR)
HYPERVISOR = one_of(*(item.value for item in HypervisorName))
HYPERVISORS = list_of(HYPERVISOR)
DISK_TEMPLATE = one_of(*(item.value for item in DiskTemplate))
DISK_TEMPLATES = list_of(DISK_TEMPLATE)
STORAGE_TYPE = one_of("file", "sharedfile", "gluster", "lvm-vg", "lvm-pv", "blockdev", "diskless", "rados", "ext")
ALLOC_POLICY = one_of("preferred", "last_resort", "unallocable")
FILE_DRIVER = one_of("loop", "blktap", "blktap2")
MIGRATION_MODE = one_of("live", "non-live")
EVACUATION_MODE = one_of("primary-only", "secondary-only", "all")
TAG_KIND = one_of("cluster", "instance", "network", "node", "nodegroup")
RESOURCE = one_of("cluster", "export", "extstorage", "filter", "group", "instance", "job", "lock", "network",
                  "node", "os")
VERIFY_CHECKS = list_of(one_of("nplusone_mem", "hvparam_assessment"))
VERIFY_CODES = list_of(one_of(
    "ECLUSTERCFG", "ECLUSTERCERT", "ECLUSTERCLIENTCERT", "ECLUSTERFILECHECK", "ECLUSTERDANGLINGNODES",
    "ECLUSTERDANGLINGINST", "EINSTANCEBADNODE", "EINSTANCEDOWN", "EINSTANCELAYOUT", "EINSTANCEMISSINGDISK",
    "EINSTANCEFAULTYDISK", "EINSTANCEWRONGNODE", "EINSTANCESPLITGROUPS", "EINSTANCEPOLICY",
    "EINSTANCEUNSUITABLENODE", "EINSTANCEMISSINGCFGPARAMETER", "ENODEDRBD", "ENODEDRBDVERSION", "ENODEDRBDHELPER",
    "ENODEFILECHECK", "ENODEHOOKS", "ENODEHV", "ENODELVM", "ENODEN1", "ENODENET", "ENODEOS",
    "ENODEORPHANINSTANCE", "ENODEORPHANLV", "ENODERPC", "ENODESSH", "ENODEVERSION", "ENODESETUP", "ENODETIME",
    "ENODEOOBPATH", "ENODEUSERSCRIPTS", "ENODEFILESTORAGEPATHS", "ENODEFILESTORAGEPATHUNUSABLE",
    "ENODESHAREDFILESTORAGEPATHUNUSABLE", "ENODEGLUSTERSTORAGEPATHUNUSABLE", "EGROUPDIFFERENTPVSIZE", "EEXTAGS"))
TAG = Kind("tag", _tag)
TAGS = list_of(TAG)
IPV4 = Kind("IPv4 address", _address(ipaddress.IPv4Address, "an IPv4 address"))
IPV6 = Kind("IPv6 address", _address(ipaddress.IPv6Address, "an IPv6 address"))
IPV4S = list_of(IPV4)
IPV4_NET = Kind("IPv4 subnet", _address(_ipv4_network, "an IPv4 subnet (address/prefix, /16 to /30)"))
IPV6_NET = Kind("IPv6 subnet", _address(_ipv6_network, "an IPv6 subnet (address/prefix)"))
BEPARAMS = Kind("backend parameters", _beparams)
DISK = Kind("disk", _disk)
DISKS = list_of(DISK)
NICS = list_of(Kind("NIC", _nic))
DISK_EDITS = edits(_disk, "disk")
NIC_EDITS = edits(_nic, "NIC")
DISK_INDICES = list_of(DISK_INDEX)
DISKS_AGAIN = Kind("[disk index]", _recreate)
EXPORT_TARGET = Kind("node or list", _export_target)
PRIORITIES = {"low": 10, "normal": 0, "high": -10}


def _priority(value: Any) -> int:
    if INT.check(value) not in PRIORITIES.values():
        raise ValueError(f"{value} is none of -10 (high), 0 (normal), 10 (low)")
    return int(value)


PRIORITY = Kind("priority", _priority)
JOB_ID = Kind("job id", _job_id)
DEPENDS = list_of(pair_of(JOB_ID, list_of(one_of("success", "error", "canceled"))))
REASON = list_of(Kind("reason", _reason_entry))
