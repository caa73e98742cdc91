# SPDX-License-Identifier: BSD-2-Clause
"""The world of `guest_world`, with the calls that are about nodes and the cluster as a whole."""

from dataclasses import replace

from gantry.constants import PROTOCOL_VERSION, RELEASE_VERSION
from gantry.objects.cluster import Node, NodeGroup
from gantry.objects.node import NodeReport, OsDefinition, Version
from support.guest_world import World, cluster_config

CERTS = {f"n{index}": f"AA:0{index}" for index in (1, 2, 3)}
NOW = 1000.0


def config(*instances, cluster=None, nodes=None, more_groups=(), **kwargs):
    """Three candidates with certificates; `more_groups`: UUIDs (their names are `rack-UUID`)."""
    given = {uuid: {"certificate": CERTS[uuid], **(nodes or {}).get(uuid, {})} for uuid in CERTS}
    found = cluster_config(*instances, nodes=given, cluster={"candidate_certs": {
        uuid: CERTS[uuid] for uuid, fields in given.items() if fields.get("master_candidate", True)},
        **(cluster or {})}, **kwargs)
    for uuid in more_groups:
        found.replace("nodegroups", NodeGroup(uuid=uuid, name=f"rack-{uuid}"))
    return found


def new_node(config, uuid, **fields):
    found = Node(**{"uuid": uuid, "name": f"node-{uuid}", "primary_ip": f"192.0.2.{90 + len(config.nodes)}",
                    "secondary_ip": f"198.51.100.{90 + len(config.nodes)}", "group": "g1", "master_candidate": False,
                    **fields})
    config.replace("nodes", found)
    return found


def os_definition(name="tiny", **fields):
    return OsDefinition(**{"name": name, "path": f"/srv/os/{name}", "api_versions": (20,), "variants": ("small",),
                           "parameters": (("size", "how big"),), **fields})


class ClusterWorld(World):
    """`address_on`: nodes that have the cluster's address.  `oses`, `reports`, `hook_results` by node UUID.
    `left`: nodes that were told to leave.  `hooks_run`: (node, phase, path, env)."""

    def __init__(self, config):
        super().__init__(config)
        self.addresses, self.left, self.ran_hooks = {}, [], []
        self.oses = {uuid: [os_definition()] for uuid in config.nodes}
        self.reports, self.hook_results, self.slept, self.redistributed = {}, {}, [], 0
        self.sizes = {}

    def snapshot(self, *, without=()):
        return super().snapshot(without=without) | {"addresses": dict(self.addresses)}

    def act(self, action, results):
        if action.kind == "master":
            assert action.call == "redistribute"
            self.redistributed += 1
        if action.kind == "several" and not any(item.kind in ("put", "update", "delete") for item in action.actions):
            return [self.act(item, results) for item in action.actions]
        return super().act(action, results)

    def _version(self, node):
        return Version(protocol=PROTOCOL_VERSION, release=RELEASE_VERSION, node=node, term=1,
                       master=self.config.cluster.master_node)

    def _node_verify(self, node, what):
        return self.reports.get(node) or NodeReport(time=self.now())

    def now(self):
        from gantry.utils.clock import epoch
        return epoch()

    def _os_list(self, node):
        return self.oses[node]

    def _hooks_run(self, node, phase, path, env):
        self.ran_hooks.append((node, phase, path, env))
        return self.hook_results.get(node, [])

    def _node_leave(self, node):
        self.left.append(node)

    def _test_delay(self, node, duration):
        self.slept.append((node, duration))

    def _disks_status(self, node, disks):
        return [{**state, "size": self.sizes.get(disk.uuid, state["size"])}
                for disk, state in zip(disks, super()._disks_status(node, disks), strict=True)]

    def _master_ip_start(self, node, netdev, address, netmask, external):
        self.addresses[node] = (netdev, address, netmask)

    def _master_ip_stop(self, node, netdev, address, netmask, external):
        if self.addresses.get(node, ("", ""))[1] == address:
            del self.addresses[node]


def with_address(world):
    """The cluster's address is up on its master."""
    cluster = world.config.cluster
    world.addresses[cluster.master_node] = (cluster.master_netdev, cluster.master_ip, cluster.master_netmask)
    return world


def offline(config, uuid, **fields):
    config.replace("nodes", replace(config.nodes[uuid], offline=True, master_candidate=False, **fields))
    return config
