# SPDX-License-Identifier: BSD-2-Clause
"""How a guest's network interface is connected on a node."""

import importlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from gantry.errors import NotFound
from gantry.objects.vm import VmNic, VmSpec


@dataclass(frozen=True, kw_only=True)
class Backend:
    """What QEMU is given: the options of its netdev without the id, descriptors to hand over, and the name
    of the tap device (empty where there is none)."""

    netdev: dict[str, Any] = field(default_factory=dict)
    fds: tuple[int, ...] = ()
    tap: str = ""


class Network(ABC):
    """Every method may be repeated.  Errors are HypervisorError sentences naming the interface."""

    registry: ClassVar[dict[str, type["Network"]]] = {}

    def __init_subclass__(cls, *, name: str) -> None:
        Network.registry[name] = cls

    @abstractmethod
    def prepare(self, spec: VmSpec, nic: VmNic, index: int, *, incoming: bool) -> Backend:
        """Make the device; configure it unless it is a routed one of an incoming migration."""

    @abstractmethod
    def finish(self, spec: VmSpec, nic: VmNic, index: int, tap: str) -> None:
        """After an incoming migration: configure what `prepare` left."""

    @abstractmethod
    def down(self, spec: VmSpec, nic: VmNic, index: int, tap: str) -> None:
        """Undo what was configured; harmless when it is gone."""

    @abstractmethod
    def renumber(self, spec: VmSpec, taps: dict[str, str]) -> None:
        """After interfaces came or went while the guest runs: put right what is kept by their number."""

    @abstractmethod
    def verify(self, links: list[tuple[str, str]]) -> list[str]:
        """Sentences about links (mode, name) that this node lacks."""


def load() -> Network:
    """The driver named by `$GANTRY_NET`: `tap` (needs root), or `user`, QEMU's own isolated network."""
    name = os.environ.get("GANTRY_NET") or ("tap" if os.geteuid() == 0 else "user")
    try:
        importlib.import_module(f"gantry.net.{name}")
    except ModuleNotFoundError as err:
        raise NotFound(kind="network driver", name=name) from err
    return Network.registry[name]()
