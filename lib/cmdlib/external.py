# SPDX-License-Identifier: BSD-2-Clause
"""Disks on volumes of external providers: what is recorded of them, and whether a node can make them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gantry.cmdlib.view import View
from gantry.errors import WrongInput
from gantry.objects.instance import Disk, ExtLocation
from gantry.objects.node import ExtProvider
from gantry.rpc import calls

ACCESS = "access"
"""A parameter of the template, not of providers."""


def placed(disk: Disk, index: int, spec: Mapping[str, Any], known: frozenset[str], volume: str) -> Disk:
    """`disk` on a volume to be made; what is not in `known` is for its provider."""
    provider = spec.get("provider")
    if not provider:
        raise WrongInput(detail=f"disk/{index}: a disk of template ext needs provider=NAME; see gnt-storage diagnose")
    params = {name: value for name, value in spec.items() if name not in known and name != "provider"}
    return replace(disk, params=params, ext=ExtLocation(provider=provider, volume=f"{volume}.ext.disk{index}"))


async def require_providers(view: View, node: str, disks: Sequence[Disk]) -> None:
    """Refuse volumes that the node (UUID) has no valid provider for, and parameters that it does not take."""
    wanted = [disk for disk in disks if disk.ext is not None]
    if not wanted:
        return
    name = view.config.nodes[node].name
    found: list[ExtProvider] = await view.nodes.call(node, calls.extstorage_list)
    first: dict[str, ExtProvider] = {}
    for item in found:
        first.setdefault(item.name, item)
    for disk in wanted:
        assert disk.ext is not None  # noqa: S101 - chosen above
        provider = first.get(disk.ext.provider)
        if provider is None or provider.problem:
            why = provider.problem if provider is not None else "there is none of that name"
            raise WrongInput(detail=f"Storage provider '{disk.ext.provider}' cannot be used on node {name}: {why}")
        taken = {key for key, _ in provider.parameters}
        unknown = sorted(disk.params.keys() - taken - {ACCESS})
        if unknown:
            raise WrongInput(detail=f"Storage provider '{provider.name}' does not take {', '.join(unknown)}; it takes "
                                    f"{', '.join(sorted(taken)) or 'no parameters'}")
