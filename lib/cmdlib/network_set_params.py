# SPDX-License-Identifier: BSD-2-Clause
"""OP_NETWORK_SET_PARAMS: modify a network."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from gantry.cmdlib import network_pool
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import Error, NotUnique, WrongInput, WrongState
from gantry.objects import codec
from gantry.objects.cluster import Network
from gantry.objects.plan import Plan, Step, Update
from gantry.opcodes.network import NetworkSetParams

FIELDS = ("gateway", "network6", "gateway6", "mac_prefix", "ext_reservations")


@dataclass(frozen=True)
class Change:
    before: Network
    after: Network
    hooks: Hooks


class NetworkSetParamsUnit(LogicalUnit[NetworkSetParams, Change], op=NetworkSetParams):
    """An address that cannot be reserved or released is a warning, the others are.  Result: null."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"network": frozenset({view.config.network(self.op.network_name).uuid})})

    async def check(self, view: View) -> Change:
        op, config = self.op, view.config
        network = config.network(op.network_name)
        reservations = op.add_reserved_ips or op.remove_reserved_ips
        if all(value is None for value in (op.gateway, op.network6, op.gateway6, op.mac_prefix, op.add_reserved_ips,
                                           op.remove_reserved_ips)):
            raise WrongInput(detail="Please pass at least one modification")
        if op.gateway and reservations:
            raise WrongInput(detail="The gateway and reservations cannot be changed in the same call")
        fields: dict[str, Any] = {name: None if value == network_pool.NONE else value
                                  for name in ("gateway", "network6", "gateway6", "mac_prefix")
                                  if (value := getattr(op, name)) is not None}
        if fields.get("mac_prefix"):
            fields["mac_prefix"] = fields["mac_prefix"].lower()
        after = network_pool.check(dataclasses.replace(network, **fields))
        if after.gateway and after.gateway != network.gateway:
            self._check_gateway_free(view, network, after.gateway)
        if reservations:
            after = dataclasses.replace(after, ext_reservations=self._reservations(view, after))
        return Change(network, after, network_pool.hooks(config, "network-modify", after))

    def _check_gateway_free(self, view: View, network: Network, gateway: str) -> None:
        place = network_pool.offset(network, gateway)
        user = network_pool.used_by_guests(view.config, network).get(place)
        if user or place in network.ext_reservations or gateway in view.reservations.taken("ip"):
            raise NotUnique(detail=f"Gateway IP address {gateway} is already in use in network '{network.name}'"
                                   + (f" by instance {user}" if user else ""))

    def _reservations(self, view: View, network: Network) -> tuple[int, ...]:
        """The offsets as they will be."""
        found = set(network.ext_reservations)
        guests = network_pool.used_by_guests(view.config, network)
        for address in self.op.add_reserved_ips or ():
            try:
                place = network_pool.offset(network, address)
                taken = place in found | network_pool.built_in(network) | guests.keys()
                if taken or address in view.reservations.taken("ip"):
                    raise WrongState(detail=f"it is in use already{' by ' + guests[place] if place in guests else ''}")
                found.add(place)
            except Error as err:
                view.warn(f"Cannot reserve IP address {address}: {err}")
        for address in self.op.remove_reserved_ips or ():
            try:
                if address == network.gateway:
                    raise WrongState(detail="it is the gateway")
                place = network_pool.offset(network, address)
                if place not in found:
                    raise WrongState(detail="it is not reserved")
                found.discard(place)
            except Error as err:
                view.warn(f"Cannot release reserved IP address {address}: {err}")
        return network_pool.sorted_offsets(found)

    def plan(self, seen: Change) -> Plan:
        old = {name: codec.encode(getattr(seen.before, name)) for name in FIELDS}
        new = {name: codec.encode(getattr(seen.after, name)) for name in FIELDS}
        changed = {name: value for name, value in new.items() if value != old[name]}
        if not changed:
            return Plan()
        uuid, back = seen.before.uuid, {name: old[name] for name in changed}
        return Plan(steps=(Step(title="", action=Update(table="networks", uuid=uuid, fields=changed),
                                undo=Update(table="networks", uuid=uuid, fields=back)),))

    def hooks(self, seen: Change) -> Hooks:
        return seen.hooks
