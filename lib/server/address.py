# SPDX-License-Identifier: BSD-2-Clause
"""The cluster's address follows the master: brought up when its daemon starts."""

import logging

from gantry.cmdlib.view import Nodes
from gantry.config.config import Config
from gantry.errors import Error
from gantry.rpc import calls

log = logging.getLogger(__name__)


async def bring_up(config: Config, nodes: Nodes) -> None:
    """On the master's own node; harmless when it is up.  The cluster works without it, so a failure is a warning."""
    cluster = config.cluster
    try:
        await nodes.call(cluster.master_node, calls.master_ip_start, netdev=cluster.master_netdev,
                         address=cluster.master_ip, netmask=cluster.master_netmask,
                         external=cluster.use_external_mip_script)
    except Error as err:
        log.warning("the cluster's address %s is not up: %s; see gnt-cluster activate-master-ip", cluster.master_ip,
                    err)
