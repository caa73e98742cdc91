# SPDX-License-Identifier: BSD-2-Clause
"""The node groups as queries show them."""

from collections.abc import Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

from gantry.config import effective
from gantry.objects.base import Params
from gantry.objects.cluster import NodeGroup
from gantry.query.fields import Field, Kind, common_fields, nice_sorted, sort_key
from gantry.query.resource_node import ndp_fields
from gantry.query.world import Context, Resource, World, table


class GroupRow:
    def __init__(self, item: NodeGroup, context: Context) -> None:
        self.item = item
        self.context = context

    @cached_property
    def nd(self) -> Params:
        return effective.group_ndparams(self.context.config, self.item)

    @cached_property
    def members(self) -> list[str]:
        return nice_sorted(node.name for node in self.context.config.members_of(self.item.uuid))

    @cached_property
    def instances(self) -> list[str]:
        return self.context.by_group.get(self.item.uuid, [])


FIELDS = (
    Field("name", "Group", Kind.TEXT, "Its name", attrgetter("item.name")),
    Field("alloc_policy", "AllocPolicy", Kind.TEXT, "Whether new instances go here: preferred, last_resort or "
          "unallocable", attrgetter("item.alloc_policy")),
    Field("custom_diskparams", "CustomDiskParameters", Kind.OTHER, "Disk parameters of its own",
          attrgetter("item.diskparams")),
    Field("custom_ipolicy", "CustomInstancePolicy", Kind.OTHER, "Instance policy of its own",
          attrgetter("item.ipolicy")),
    Field("custom_ndparams", "CustomNDParams", Kind.OTHER, "Node parameters of its own", attrgetter("item.ndparams")),
    Field("diskparams", "DiskParameters", Kind.OTHER, "Disk parameters, all levels merged",
          lambda row: effective.diskparams(row.context.config, row.item)),
    Field("ipolicy", "InstancePolicy", Kind.OTHER, "Instance policy, all levels merged",
          lambda row: effective.ipolicy(row.context.config, row.item)),
    Field("ndparams", "NDParams", Kind.OTHER, "Node parameters, all levels merged", attrgetter("nd")),
    Field("node_cnt", "Nodes", Kind.NUMBER, "Number of nodes", lambda row: len(row.members)),
    Field("node_list", "NodeList", Kind.OTHER, "Its nodes", attrgetter("members")),
    Field("pinst_cnt", "Instances", Kind.NUMBER, "Number of instances with their primary node here",
          lambda row: len(row.instances)),
    Field("pinst_list", "InstanceList", Kind.OTHER, "Instances with their primary node here",
          attrgetter("instances")),
)


async def rows(world: World, names: Sequence[Any] | None, needs: frozenset[str]) -> list[GroupRow]:
    context = Context(world)
    if names is not None:
        return [GroupRow(world.config.group(str(name)), context) for name in names]
    return [GroupRow(item, context)
            for item in sorted(world.config.groups.values(), key=lambda item: sort_key(item.name))]


RESOURCE: Resource[GroupRow] = Resource("group", "name", table(FIELDS, common_fields(), ndp_fields()), rows)
