# SPDX-License-Identifier: BSD-2-Clause
"""What units do with the cluster's address, and how it is written into a plan."""

import asyncio
import ipaddress

from gantry.constants import NODED_PORT
from gantry.objects.cluster import Cluster
from gantry.objects.plan import Call

PROBE_SECONDS = 2.0


def start(cluster: Cluster) -> Call:
    """Bring the address of `cluster` up on its master; harmless when it is up."""
    return _call(cluster, "master_ip_start")


def stop(cluster: Cluster) -> Call:
    """Take it down; harmless when it is not up."""
    return _call(cluster, "master_ip_stop")


def _call(cluster: Cluster, name: str) -> Call:
    return Call(node=cluster.master_node, call=name, args={
        "netdev": cluster.master_netdev, "address": cluster.master_ip, "netmask": cluster.master_netmask,
        "external": cluster.use_external_mip_script})


async def answers(address: str) -> bool:
    """Whether another machine has this address.  On loopback every address answers, so nobody is asked."""
    if ipaddress.ip_address(address).is_loopback:
        return False
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, NODED_PORT), PROBE_SECONDS)
    except ConnectionRefusedError:
        return True
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    return True
