# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's own user networking, cut off from everything: for virtual clusters, needs no rights and no setup."""

from gantry.net.base import Backend, Network
from gantry.objects.vm import VmNic, VmSpec


class UserNetwork(Network, name="user"):
    """The guest has a link and gets an address; `restrict` keeps it from the host and the outside."""

    def prepare(self, spec: VmSpec, nic: VmNic, index: int, *, incoming: bool) -> Backend:
        return Backend(netdev={"type": "user", "restrict": True})

    def finish(self, spec: VmSpec, nic: VmNic, index: int, tap: str) -> None:
        """Nothing is left to do."""

    def down(self, spec: VmSpec, nic: VmNic, index: int, tap: str) -> None:
        """It ends with QEMU."""

    def renumber(self, spec: VmSpec, taps: dict[str, str]) -> None:
        """Nothing is kept."""

    def verify(self, links: list[tuple[str, str]]) -> list[str]:
        return []
