# SPDX-License-Identifier: BSD-2-Clause
"""Argument lists for the DRBD programs, in the words of version 8.4.  Nothing here runs anything.

A resource has one volume and is called `resourceMINOR`.  Nothing is read from configuration files, so what a device is
like is said in full each time.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gantry.errors import StorageError
from gantry.objects.base import Params

Argv = list[str]

VERSIONS = ("8.4.",)
"""Of the kernel module: those that understand these commands."""
META = "v08"
NET_ALGORITHM = "sha256"
_AFTER_SPLIT = ("--after-sb-0pri=discard-zero-changes", "--after-sb-1pri=consensus")
"""A split brain heals by itself only if nothing is lost by it: one end has written nothing."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A connection as seen from one end: `local` and `remote` are addresses, IPv4 or IPv6."""

    local: str
    remote: str
    port: int
    secret: str

    def ends(self) -> list[str]:
        return [endpoint(self.local, self.port), endpoint(self.remote, self.port)]


def resource(minor: int) -> str:
    return f"resource{minor}"


def device(minor: int) -> str:
    """What drbdmeta takes the minor from."""
    return f"/dev/drbd{minor}"


def endpoint(address: str, port: int) -> str:
    return f"ipv6:[{address}]:{port}" if ":" in address else f"ipv4:{address}:{port}"


# --- looking ---

def load_module() -> Argv:
    return ["modprobe", "drbd"]


def events_now() -> Argv:
    """All there is, once."""
    return ["drbdsetup", "events2", "--now", "--statistics"]


def events() -> Argv:
    """All there is, then what changes."""
    return ["drbdsetup", "events2", "--statistics"]


def show(minor: int) -> Argv:
    return ["drbdsetup", "show", resource(minor)]


# --- the device ---

def create_meta(minor: int, meta: str) -> Argv:
    return ["drbdmeta", "--force", device(minor), META, meta, "flex-external", "create-md"]


def apply_activity_log(minor: int, meta: str) -> Argv:
    """Mark what was being written when the machine died: attaching refuses metadata of an unclean end without it."""
    return ["drbdmeta", device(minor), META, meta, "flex-external", "apply-al"]


def new_resource(minor: int) -> Argv:
    return ["drbdsetup", "new-resource", resource(minor)]


def new_minor(minor: int) -> Argv:
    return ["drbdsetup", "new-minor", resource(minor), str(minor), "0"]


def attach(minor: int, data: str, meta: str, *, size: str, options: Sequence[str]) -> Argv:
    """`size` with its unit (m: MiB, s: sectors).  A smaller one than the device has had cuts it off without a word."""
    return ["drbdsetup", "attach", str(minor), data, meta, "flexible", "--on-io-error=detach", f"--size={size}",
            *options]


def detach(minor: int) -> Argv:
    return ["drbdsetup", "detach", str(minor)]


def disk_options(minor: int, options: Sequence[str]) -> Argv:
    return ["drbdsetup", "disk-options", str(minor), *options]


def new_generation(minor: int) -> Argv:
    """Only while it stands alone."""
    return ["drbdsetup", "new-current-uuid", str(minor)]


def resize(minor: int, size: int) -> Argv:
    """To `size` MiB."""
    return ["drbdsetup", "resize", str(minor), f"--size={size}m"]


def primary(minor: int, *, force: bool) -> Argv:
    return ["drbdsetup", "primary", str(minor), *(["--force"] if force else [])]


def secondary(minor: int) -> Argv:
    return ["drbdsetup", "secondary", str(minor)]


def down(minor: int) -> Argv:
    return ["drbdsetup", "down", resource(minor)]


# --- the connection ---

def connect(minor: int, link: Link, options: Sequence[str], *, discard: bool = False) -> Argv:
    """`discard`: what was written here alone is given up."""
    return ["drbdsetup", "connect", resource(minor), *link.ends(), *options,
            *(["--discard-my-data"] if discard else [])]


def net_options(link: Link, options: Sequence[str]) -> Argv:
    """Change a connection that is there; a peer that is connected follows by itself."""
    return ["drbdsetup", "net-options", *link.ends(), *options]


def disconnect(local: str, remote: str) -> Argv:
    """Between these endpoints."""
    return ["drbdsetup", "disconnect", local, remote]


# --- options from disk parameters ---

def steering(params: Params) -> dict[str, str]:
    """Disk options that say how fast it synchronises; the ends tell each other theirs when they connect.

    Without `dynamic-resync` the rate is fixed: the kernel's controller, which is on by default, would take
    `resync-rate` as a start only.
    """
    rate = {"resync-rate": f"{int(params.get('resync-rate', 61440))}k"}
    if not params.get("dynamic-resync", False):
        return rate | {"c-plan-ahead": "0"}
    controller = {"c-plan-ahead": "20", "c-fill-target": "0", "c-delay-target": "1", "c-max-rate": "61440",
                  "c-min-rate": "4096"}
    units = {"c-fill-target": "s", "c-max-rate": "k", "c-min-rate": "k"}
    return rate | {name: f"{params.get(name, value)}{units.get(name, '')}" for name, value in controller.items()}


STEERING = {"resync-rate": "250k", "c-plan-ahead": "20", "c-fill-target": "100s", "c-delay-target": "10",
            "c-max-rate": "102400k", "c-min-rate": "250k"}
"""What the kernel has where nothing is said."""


def of_disk(params: Params) -> list[str]:
    """Disk options: how fast it synchronises, which flushes it leaves out, and what the administrator adds."""
    barriers = params.get("disk-barriers", "n")
    left_out = [option for letter, option in (("b", "--disk-barrier=no"), ("f", "--disk-flushes=no"),
                                              ("d", "--disk-drain=no")) if letter in barriers and barriers != "n"]
    if params.get("meta-barriers", False):
        left_out.append("--md-flushes=no")
    return [*as_options(steering(params)), *left_out, *_own(params, "disk-custom")]


def as_options(values: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def of_net(params: Params, secret: str, *, dual_primary: bool) -> list[str]:
    """Options of a connection.  Two primaries need protocol C, whatever is configured."""
    return [*changeable(params, dual_primary=dual_primary), *_AFTER_SPLIT, f"--cram-hmac-alg={NET_ALGORITHM}",
            f"--shared-secret={secret}", *_own(params, "net-custom")]


def changeable(params: Params, *, dual_primary: bool) -> list[str]:
    """Those that change for a migration."""
    return [f"--protocol={protocol(params, dual_primary=dual_primary)}",
            f"--allow-two-primaries={'yes' if dual_primary else 'no'}"]


def protocol(params: Params, *, dual_primary: bool) -> str:
    return "C" if dual_primary else str(params.get("protocol", "C"))


def _own(params: Params, name: str) -> list[str]:
    """The administrator's own options; raises StorageError when their quotes do not match."""
    text = str(params.get(name, ""))
    try:
        return shlex.split(text)
    except ValueError as err:
        raise StorageError(detail=f"the disk parameter {name} ('{text}') cannot be split into words: {err}") from err
