# SPDX-License-Identifier: BSD-2-Clause
"""OP_TEST_ALLOCATOR: what an allocator would be told, or what it answers; nothing is moved or kept."""

import json
from collections.abc import Sequence

from gantry.cmdlib import placement
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import DiskTemplate
from gantry.errors import AlreadyExists, WrongInput
from gantry.iallocator import request
from gantry.iallocator.request import Json, Wanted
from gantry.objects.instance import Instance
from gantry.objects.plan import Plan
from gantry.opcodes.test import TestAllocator


class TestAllocatorUnit(LogicalUnit[TestAllocator, str], op=TestAllocator):
    """Result: the text, of the request for direction "in", of the reply for direction "out"."""

    __test__ = False

    def locks(self, view: View) -> Locks:
        return Locks(exclusive_cluster=True)

    async def check(self, view: View) -> str:
        wanted = self._request(view.config)
        if self.op.direction == "in":
            return json.dumps(await placement.message(view, wanted), indent=2)
        return json.dumps(await placement.rehearsal(view, self.op.iallocator, wanted))

    def plan(self, seen: str) -> Plan:
        return Plan(result=seen)

    def _request(self, config: Config) -> Json:
        op = self.op
        match op.mode:
            case "allocate":
                return request.allocate(self._wanted(config, op.name))
            case "multi-allocate":
                if not op.count:
                    raise WrongInput(detail="multi-allocate is about one instance at least: give --count")
                names = [f"{op.name}{number}" for number in range(op.count)]
                return request.multi_allocate([self._wanted(config, name) for name in names])
            case "allocate-secondary":
                return request.allocate_secondary(config.instance(op.name))
            case "relocate":
                return request.relocate(config, config.instance(op.name))
            case "node-evacuate":
                return request.node_evacuate(self._instances(config), op.evac_mode or "all")
        groups = [config.group(name).uuid for name in op.target_groups or ()]
        return request.change_group(self._instances(config), groups)

    def _instances(self, config: Config) -> Sequence[Instance]:
        return [config.instance(name) for name in self.op.instances or (self.op.name,)]

    def _wanted(self, config: Config, name: str) -> Wanted:
        op, cluster = self.op, config.cluster
        if config.name_taken("instances", name):
            raise AlreadyExists(kind="Instance", name=name)
        if not op.disks and op.disk_template != "diskless":
            raise WrongInput(detail=f"No disks are given for instance {name}, whose place is asked for")
        networks = tuple(config.network(nic["network"]).uuid for nic in op.nics or ()
                         if nic.get("network") not in (None, "none"))
        sizes = {"maxmem": op.memory, "vcpus": op.vcpus, "spindle_use": op.spindle_use}
        return Wanted(
            name=name, template=DiskTemplate(op.disk_template or cluster.enabled_disk_templates[0]),
            beparams=effective.beparams_above(cluster) | {key: value for key, value in sizes.items()
                                                          if value is not None},
            hypervisor=op.hypervisor or cluster.enabled_hypervisors[0], os=op.os or "", disks=tuple(op.disks or ()),
            networks=networks, tags=op.tags, group=None if op.group_name is None else config.group(op.group_name).name)
