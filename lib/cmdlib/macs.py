# SPDX-License-Identifier: BSD-2-Clause
"""MAC addresses of guests: unique in the cluster, and unicast."""

import re

from gantry.cmdlib.view import View
from gantry.errors import NoResources, NotUnique, WrongInput

_MAC = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")
TRIES = 64


def used(view: View) -> set[str]:
    """MAC addresses of all instances and of running jobs."""
    found = {nic.mac for instance in view.config.instances.values() for nic in instance.nics}
    return found | view.reservations.taken("mac")


def generate(view: View, prefix: str) -> str:
    """A fresh address with the three octets of `prefix`, reserved for this job; raises NoResources."""
    taken = used(view)
    for _ in range(TRIES):
        tail = view.new_uuid().replace("-", "")[:6]
        mac = f"{prefix}:{tail[:2]}:{tail[2:4]}:{tail[4:]}"
        if mac not in taken:
            view.reservations.reserve("mac", mac)
            return mac
    raise NoResources(detail=f"no free MAC address was found below {prefix}; choose another MAC prefix")


def check(view: View, mac: str) -> str:
    """The given address in its normal form, reserved for this job; raises WrongInput or NotUnique."""
    found = mac.lower()
    if not _MAC.match(found):
        raise WrongInput(detail=f"Invalid MAC address specified: '{mac}' is not of the form aa:00:00:12:34:56")
    if int(found[:2], 16) & 1:
        raise WrongInput(detail=f"Invalid MAC address specified: '{mac}' is a multicast address")
    if found in used(view):
        raise NotUnique(detail=f"MAC address {found} already in use in cluster")
    view.reservations.reserve("mac", found)
    return found
