# SPDX-License-Identifier: BSD-2-Clause
"""The programs of DRBD 8.4: each takes the state, the node's root and the arguments, and gives what it prints."""

import os
import select
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from . import links
from .state import Json, Refused, World, store

_MAGIC = 0x8374026C
_CHANGES = {"protocol", "allow-two-primaries"}
_NET = _CHANGES | {"after-sb-0pri", "after-sb-1pri", "cram-hmac-alg", "shared-secret", "discard-my-data!"}
_STEERING = {"resync-rate", "c-plan-ahead", "c-fill-target", "c-delay-target", "c-max-rate", "c-min-rate"}
_DISK = _STEERING | {"on-io-error", "size", "disk-barrier", "disk-flushes", "disk-drain", "md-flushes"}


def modprobe(state: Json, root: str, argv: list[str]) -> str:
    state["nodes"][root]["loaded"] = True
    helper = Path(root) / "sys/module/drbd/parameters/usermode_helper"
    helper.parent.mkdir(parents=True, exist_ok=True)
    helper.write_text("/bin/true\n")
    links.show(state, root)
    return ""


def drbdmeta(state: Json, root: str, argv: list[str]) -> str:
    words = [word for word in argv if word != "--force"]
    device, kind, meta, layout, verb = words
    node, name, minor = state["nodes"][root], _name(meta), int(device.removeprefix("/dev/drbd"))
    if (kind, layout) != ("v08", "flex-external"):
        raise Refused(20, "only flexible external metadata of version 08 are understood here")
    used = next((one for one in node["drbd"].values() if one["minor"] == minor and one["disk"] != "Diskless"), None)
    if used is not None:
        raise Refused(20, f"Device '{device}' is configured!")
    if verb == "create-md":
        node["meta"][name] = {"current": links.FRESH, "bitmap": "", "history": [], "uptodate": False}
        _write_size(root, name, 0)
        return "New drbd meta data block successfully created."
    if verb != "apply-al" or name not in node["meta"]:
        raise Refused(20, "No valid meta data found")
    return ""


def drbdsetup(state: Json, root: str, argv: list[str]) -> str:
    node = state["nodes"][root]
    if not node["loaded"]:
        raise Refused(20, "Could not connect to 'drbd' generic netlink family")
    links.settle(state)
    verb, *rest = argv
    said = _VERBS[verb](state, root, rest)
    links.settle(state)
    return said


# --- verbs ---

def _new_resource(state: Json, root: str, argv: list[str]) -> str:
    node = state["nodes"][root]
    if argv[0] in node["drbd"]:
        raise Refused(10, f"{argv[0]}: Failure: (161) Resource already exists")
    node["drbd"][argv[0]] = {
        "minor": None, "role": "Secondary", "disk": "Diskless", "size": 0, "data": "", "meta": "", "net": None,
        "connection": "StandAlone", "replication": "Off", "peer_role": "Unknown", "peer_disk": "DUnknown",
        "until": None, "began": 0.0, "allow_two": False, "protocol": "C", "discard": False, "options": {}}
    return ""


def _new_minor(state: Json, root: str, argv: list[str]) -> str:
    name, minor, _ = argv
    if any(one["minor"] == int(minor) for one in state["nodes"][root]["drbd"].values()):
        raise Refused(10, f"{minor}: Failure: (161) Minor exists already (delete it first)")
    _resource(state, root, name)["minor"] = int(minor)
    return ""


def _attach(state: Json, root: str, argv: list[str]) -> str:
    given, (minor, data, meta, _) = _options(argv, _DISK)
    node, one = state["nodes"][root], _minor(state, root, minor)
    if one["disk"] != "Diskless":
        raise Refused(10, f"{minor}: Failure: (124) Device is attached to a disk (use detach first)")
    for path in (data, meta):
        if not Path(path).exists():
            raise Refused(10, f"{minor}: Failure: (104) Can not open backing device.")
    if _name(meta) not in node["meta"]:
        raise Refused(10, f"{minor}: Failure: (119) No valid meta-data signature found.")
    one["data"], one["meta"] = _name(data), _name(meta)
    one["options"] = {name: value for name, value in given.items() if name in _STEERING}
    one["size"] = int(given["size"].removesuffix("s")) // 2
    if one["size"] * 1024 > node["lvs"][one["data"]]["size"]:
        one.update(data="", meta="")
        raise Refused(10, f"{minor}: Failure: (111) Low.dev. smaller than requested DRBD-dev. size.")
    facts = node["meta"][one["meta"]]
    one["disk"] = "UpToDate" if facts["uptodate"] else "Inconsistent"
    _write_size(root, one["meta"], one["size"] * 2)
    peer = links.peer_of(state, root, one)
    if peer is not None:
        peer[1]["peer_disk"] = one["disk"]
        if peer[1]["disk"] == "UpToDate":
            links.attached(state, (root, one), peer)
    return ""


def _disk_options(state: Json, root: str, argv: list[str]) -> str:
    given, (minor,) = _options(argv, _STEERING)
    one = _minor(state, root, minor)
    if one["disk"] == "Diskless":
        raise Refused(10, f"{minor}: Failure: (123) Device does not have a disk-config")
    peer = links.peer_of(state, root, one)
    for end in [one, *([peer[1]] if peer else [])]:
        end["options"] = end["options"] | given
    return ""


def _detach(state: Json, root: str, argv: list[str]) -> str:
    one = _minor(state, root, argv[0])
    peer = links.peer_of(state, root, one)
    if one["role"] == "Primary" and (peer is None or peer[1]["disk"] != "UpToDate"):
        raise Refused(17, f"{argv[0]}: State change failed: (-2) Need access to UpToDate data")
    one.update(disk="Diskless", data="", meta="", until=None)
    if peer is not None:
        peer[1]["peer_disk"] = "Diskless"
    return ""


def _connect(state: Json, root: str, argv: list[str]) -> str:
    given, (name, local, remote) = _options(argv, _NET)
    one = _resource(state, root, name)
    if one["net"] is not None:
        raise Refused(10, f"{name}: Failure: (102) Local address(port) already in use.")
    one["net"] = {"local": local, "remote": remote, "secret": given["shared-secret"]}
    one["connection"], one["discard"] = "Connecting", "discard-my-data" in given
    one["protocol"], one["allow_two"] = given["protocol"], given["allow-two-primaries"] == "yes"
    return ""


def _net_options(state: Json, root: str, argv: list[str]) -> str:
    given, (local, remote) = _options(argv, _CHANGES)
    one = _link(state, root, local, remote)
    allow, peer = given["allow-two-primaries"] == "yes", links.peer_of(state, root, one)
    if not allow and peer is not None and one["role"] == peer[1]["role"] == "Primary":
        raise Refused(10, "??: Failure: (164) Can not clear allow_two_primaries as long as\nthere a primaries on both "
                          "sides")
    for end in [one, *([peer[1]] if peer else [])]:
        end["allow_two"], end["protocol"] = allow, given["protocol"]
    return ""


def _disconnect(state: Json, root: str, argv: list[str]) -> str:
    links.leave(state, root, _link(state, root, *argv), "StandAlone")
    return ""


def _primary(state: Json, root: str, argv: list[str]) -> str:
    force = "--force" in argv
    one = _minor(state, root, argv[0])
    peer = links.peer_of(state, root, one)
    if one["role"] == "Primary":
        return ""
    if peer is not None and peer[1]["role"] == "Primary" and not one["allow_two"]:
        raise Refused(11, f"{argv[0]}: State change failed: (-1) Multiple primaries not allowed by config")
    at_hand = one["disk"] == "UpToDate" or (peer is not None and peer[1]["disk"] == "UpToDate")
    if not at_hand and not (force and one["disk"] != "Diskless"):
        raise Refused(17, f"{argv[0]}: State change failed: (-2) Need access to UpToDate data")
    if not at_hand:
        links.meta_of(state, root, one)["uptodate"] = True
        one["disk"] = "UpToDate"
        links.begin(state, root, one)
        if peer is not None and peer[1]["disk"] == "Inconsistent":
            peer[1]["peer_disk"] = "UpToDate"
            links.start(state, (root, one), peer)
    elif peer is None and one["disk"] == "UpToDate":
        links.begin(state, root, one)
    one["role"] = "Primary"
    if peer is not None:
        peer[1]["peer_role"] = "Primary"
    return ""


def _secondary(state: Json, root: str, argv: list[str]) -> str:
    one = _minor(state, root, argv[0])
    if f"drbd{one['minor']}" in state["nodes"][root]["held"]:
        raise Refused(11, f"{argv[0]}: State change failed: (-12) Device is held open by someone")
    one["role"], peer = "Secondary", links.peer_of(state, root, one)
    if peer is not None:
        peer[1]["peer_role"] = "Secondary"
    return ""


def _resize(state: Json, root: str, argv: list[str]) -> str:
    given, (minor,) = _options(argv, {"size"})
    one, size = _minor(state, root, minor), int(given["size"].removesuffix("m")) * 1024
    peer = links.peer_of(state, root, one)
    if peer is None:
        raise Refused(10, f"{minor}: Failure: (125) Device has no connection to its peer")
    ends = [(root, one), peer]
    if any(state["nodes"][place]["lvs"][end["data"]]["size"] < size * 1024 for place, end in ends):
        raise Refused(10, f"{minor}: Failure: (111) Low.dev. smaller than requested DRBD-dev. size.")
    for place, end in ends:
        end["size"] = size
        _write_size(place, end["meta"], size * 2)
    links.start(state, (root, one), peer)
    return ""


def _new_current_uuid(state: Json, root: str, argv: list[str]) -> str:
    one = _minor(state, root, argv[0])
    if one["connection"] != "StandAlone":
        raise Refused(10, f"{argv[0]}: Failure: (151) Need to be StandAlone")
    links.begin(state, root, one)
    return ""


def _down(state: Json, root: str, argv: list[str]) -> str:
    node = state["nodes"][root]
    one = node["drbd"].get(argv[0])
    if one is None:
        return ""
    if one["role"] == "Primary":
        raise Refused(11, f"{one['minor']}: State change failed: (-2) Need access to UpToDate data")
    links.leave(state, root, one, "StandAlone")
    if one["minor"] is not None:
        (Path(root) / f"dev/drbd{one['minor']}").unlink(missing_ok=True)
    del node["drbd"][argv[0]]
    return ""


def _events(state: Json, root: str, argv: list[str]) -> str:
    lines = []
    for name, one in sorted(state["nodes"][root]["drbd"].items()):
        peer = links.peer_of(state, root, one)
        peer_disk = peer[1]["disk"] if peer else "DUnknown"
        role = peer[1]["role"] if peer else "Unknown"
        lines += [f"exists resource name:{name} role:{one['role']} suspended:no write-ordering:flush",
                  f"exists connection name:{name} peer-node-id:0 connection:{one['connection']} role:{role}"]
        if one["minor"] is not None:
            lines += [f"exists device name:{name} volume:0 minor:{one['minor']} disk:{one['disk']} size:{one['size']} "
                      "read:0 written:0 blocked:no",
                      f"exists peer-device name:{name} peer-node-id:0 volume:0 replication:{one['replication']} "
                      f"peer-disk:{peer_disk} resync-suspended:no out-of-sync:{links.left(one)} pending:0 unacked:0"]
    return "\n".join([*lines, "exists -"])


def _show(state: Json, root: str, argv: list[str]) -> str:
    one = _resource(state, root, argv[0])
    lines = [f"resource {argv[0]} {{", "    options {", "    }"]
    if one["net"]:
        lines += ["    net {", '        cram-hmac-alg   \t"sha256";',
                  f'        shared-secret   \t"{one["net"]["secret"]}";']
        lines += [f"        protocol        \t{one['protocol']};"] if one["protocol"] != "C" else []
        lines += ["        allow-two-primaries\tyes;"] if one["allow_two"] else []
        lines += ["    }", "    _remote_host {", f"        address\t\t\t{_shown(one['net']['remote'])};", "    }"]
    lines.append("    _this_host {")
    lines += [f"        address\t\t\t{_shown(one['net']['local'])};"] if one["net"] else []
    if one["minor"] is not None:
        lines += ["        volume 0 {", f"            device\t\t\tminor {one['minor']};"]
        if one["data"]:
            lines += [f'            disk\t\t\t"{root}/dev/{one["data"]}";',
                      f'            meta-disk\t\t\t"{root}/dev/{one["meta"]}";', "            disk {",
                      f"                size            \t{one['size'] * 2}s; # bytes"]
            lines += [f"                {name}\t{value};" for name, value in sorted(one["options"].items())]
            lines.append("            }")
        lines.append("        }")
    return "\n".join([*lines, "    }", "}"])


def tell(world: World, root: str) -> None:
    """events2 without --now: what there is, then a line a change, as long as somebody listens."""
    file, seen, told = world.folder / "state.json", -1, ""
    gone = select.poll()
    gone.register(sys.stdout.fileno(), select.POLLERR | select.POLLHUP)
    while not gone.poll(50):
        now = os.stat(file).st_mtime_ns
        if now != seen:
            with world.changing() as state:
                links.settle(state)
                text = _events(state, root, [])
            if text != told:
                print(text if seen == -1 else "change -", flush=True)
            seen, told = os.stat(file).st_mtime_ns, text


# --- finding ---

def _options(argv: list[str], known: set[str]) -> tuple[dict[str, str], list[str]]:
    from .main import options
    return options(argv, known)


def _name(path: str) -> str:
    return "/".join(Path(path).parts[-2:])


def _resource(state: Json, root: str, name: str) -> Json:
    found: Json | None = state["nodes"][root]["drbd"].get(name)
    if found is None:
        raise Refused(10, f"{name}: Failure: (158) Unknown resource")
    return found


def _minor(state: Json, root: str, minor: str) -> Json:
    for one in state["nodes"][root]["drbd"].values():
        if one["minor"] == int(minor):
            return one
    raise Refused(10, f"{minor}: Failure: (127) Device minor not allocated\nadditional info from kernel:\n"
                      "unknown minor")


def _link(state: Json, root: str, local: str, remote: str) -> Json:
    for one in state["nodes"][root]["drbd"].values():
        if one["net"] and (one["net"]["local"], one["net"]["remote"]) == (local, remote):
            return one
    raise Refused(10, "??: Failure: (162) Invalid configuration request\nadditional info from kernel:\n"
                      "unknown connection")


def _shown(endpoint: str) -> str:
    family, _, rest = endpoint.partition(":")
    return f"{family} {rest}"


def _write_size(root: str, name: str, sectors: int) -> None:
    """The part of the metadata that the driver reads itself."""
    with store(root, name).open("r+b") as file:
        file.write(struct.pack(">Q52xI", sectors, _MAGIC))


_VERBS: dict[str, Callable[[Json, str, list[str]], str]] = {
    "new-resource": _new_resource, "new-minor": _new_minor, "attach": _attach, "detach": _detach, "connect": _connect,
    "net-options": _net_options, "disk-options": _disk_options, "disconnect": _disconnect,
    "primary": _primary, "secondary": _secondary,
    "resize": _resize, "new-current-uuid": _new_current_uuid, "down": _down, "events2": _events, "show": _show}
PROGRAMS: dict[str, Callable[[Json, str, list[str]], str]] = {
    "modprobe": modprobe, "drbdmeta": drbdmeta, "drbdsetup": drbdsetup}
