# SPDX-License-Identifier: BSD-2-Clause
"""gnt-noded: answers the master's calls on one node."""

import argparse
import logging
import sys
import threading
from collections.abc import Sequence

from gantry import constants, paths
from gantry.backend import dispatch, exports, instance, tasks
from gantry.errors import ConfigurationError, Error
from gantry.leader import promise
from gantry.rpc import credentials
from gantry.rpc.server import NodeServer
from gantry.server import daemon
from gantry.utils import resolver

STOP_SECONDS = 3.0
LOOK_SECONDS = 1.0
"""How often it looks whether the node has left the cluster."""

log = logging.getLogger(__name__)


def serve(options: argparse.Namespace, control: daemon.Control) -> int:
    """Bind, then answer until stopped; calls under way get a few seconds to end."""
    check_certificates()
    tasks.remove_stale()
    exports.clear_stale()
    instance.clear_dead()
    address = options.bind or own_address()
    server = NodeServer(address, options.port, dispatch.find, promise.read)
    try:
        server.prepare()
    except OSError as err:
        raise daemon.NodeSetupError(detail=f"cannot listen on {address} port {options.port}: {err}") from err
    except ConfigurationError as err:
        raise daemon.NodeSetupError(detail=str(err)) from err
    stopped = threading.Event()
    control.on_stop(stopped.set)
    worker = threading.Thread(target=server.serve, name="connections", daemon=True)
    worker.start()
    log.info("listening on %s port %d", address, options.port)
    control.ready()
    while not stopped.wait(LOOK_SECONDS):
        if not paths.here().node_certificate.exists():
            log.info("this node has left the cluster")
            break
    stopper = threading.Thread(target=server.stop, name="stopping", daemon=True)
    stopper.start()
    stopper.join(STOP_SECONDS)
    return 0


def check_certificates() -> None:
    """Raises NotInCluster when this host has none, NodeSetupError when they cannot be used."""
    here = paths.here()
    for path in (here.node_certificate, here.cluster_certificate):
        if not path.exists():
            raise daemon.NotInCluster(detail=f"this host is not part of a cluster: {path} is missing")
    try:
        if credentials.check_own():
            log.warning("the cluster's certificate was replaced: issued a new one for this node; "
                        "run gnt-cluster renew-crypto on the master")
    except Error as err:
        raise daemon.NodeSetupError(detail=str(err)) from err


def own_address() -> str:
    """This node's address in the cluster; all addresses when the cluster does not say."""
    known = paths.here().ssconf("node_primary_ips")
    own = resolver.own_name()
    for line in known.read_text().splitlines() if known.exists() else []:
        name, _, address = line.partition(" ")
        if name == own:
            return address.strip()
    return "0.0.0.0"  # noqa: S104 - a node that was not told its address listens on all


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-b", "--bind", metavar="ADDRESS", help="listen on this address (default: the node's own)")
    parser.add_argument("-p", "--port", type=int, default=constants.NODED_PORT, help="TCP port (default: %(default)s)")


PROGRAM = daemon.Program("gnt-noded", "Answers the calls of the cluster's master on this node.", serve, _add_arguments)


def main(argv: Sequence[str] | None = None) -> int:
    return daemon.main(PROGRAM, argv)


if __name__ == "__main__":
    sys.exit(main())
