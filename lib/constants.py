# SPDX-License-Identifier: BSD-2-Clause
"""Constants that other software sees: ports, versions, limits, names on the wire."""

from enum import StrEnum

PROTOCOL_VERSION = 3000000
CONFIG_VERSION = 3000000
OS_API_VERSION = 20
EXPORT_VERSION = 0
RELEASE_VERSION = "3.0.2"
"""The release that clients of the original check for; our own is `gantry.__version__`."""

NODED_PORT = 1811
RAPI_PORT = 5080
FIRST_PORT, LAST_PORT = 11000, 14999
"""TCP ports for VNC, SPICE and DRBD."""

MAX_DISKS, MAX_NICS = 16, 8
DRBD_META_SIZE = 128
"""MiB of metadata at each end of a mirrored disk; enough for 4 TiB of data."""
MAX_TAGS, MAX_TAG_LENGTH = 4096, 128

LUXI_END = b"\x03"
WAIT_FOR_CHANGE_SECONDS = 89


class DiskTemplate(StrEnum):
    DISKLESS = "diskless"
    FILE = "file"
    SHAREDFILE = "sharedfile"
    PLAIN = "plain"
    DRBD = "drbd"
    BLOCKDEV = "blockdev"
    RBD = "rbd"
    EXT = "ext"
    GLUSTER = "gluster"


SHARED_TEMPLATES = frozenset({DiskTemplate.SHAREDFILE, DiskTemplate.DISKLESS, DiskTemplate.BLOCKDEV,
                              DiskTemplate.RBD, DiskTemplate.EXT, DiskTemplate.GLUSTER})
"""Templates whose disks every node of the group can open."""


OF_INSTANCE = ":instance"
"""Parameter of disks as nodes are told of them: the name of their instance.  No provider takes one called so."""


class AdminState(StrEnum):
    UP = "up"
    DOWN = "down"
    OFFLINE = "offline"


class HypervisorName(StrEnum):
    KVM = "kvm"
    FAKE = "fake"
