# SPDX-License-Identifier: BSD-2-Clause
"""gnt-rapi: the remote API, HTTPS and JSON for programs, on the master."""

import argparse
import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from gantry import constants, paths
from gantry.errors import ConfigurationError, WrongInput
from gantry.luxi.client import must_be_master
from gantry.rapi import own_user
from gantry.rapi.access import Access
from gantry.rapi.app import App
from gantry.rapi.certificates import contexts
from gantry.rapi.door import LuxiDoor
from gantry.rapi.events import Events
from gantry.rapi.metrics import Metrics
from gantry.rapi.openapi import Description
from gantry.rapi.routes import all_endpoints
from gantry.rapi.server import Limits, RapiServer
from gantry.rapi.states import States
from gantry.rapi.waits import Waits
from gantry.rpc.tls import Contexts
from gantry.server import daemon
from gantry.server.noded import own_address
from gantry.utils import files, x509

STOP_SECONDS = 3.0
LOOK_SECONDS = 2.0
"""Between two looks at whether this node is still the master."""

log = logging.getLogger(__name__)


def serve(options: argparse.Namespace, control: daemon.Control) -> int:
    """Bind, give up root's rights, answer until stopped, or until another node is the master."""
    _check_master()
    daemon.allow_many_connections()
    here = paths.here()
    door = LuxiDoor(here.luxi)
    states = States(door)
    events = Events(states)
    endpoints = [*all_endpoints(), Metrics(door, states).endpoint(), events.endpoint()]
    endpoints += Description(endpoints).endpoints()
    access = Access(here.rapi_users, here.rapi_tokens, strict=options.require_authentication)
    app = App(endpoints, door, access, Waits(here.luxi))
    address = options.bind or (own_address() if here.virtual.exists() else "0.0.0.0")  # noqa: S104 - clients come from everywhere
    server = RapiServer(address, options.port, app, None if options.no_ssl else _contexts(options),
                        Limits(threads=options.max_clients))
    try:
        server.prepare()
    except (OSError, ConfigurationError) as err:
        raise daemon.NodeSetupError(detail=f"cannot listen on {address} port {options.port}: {err}") from err
    own_user.may_read(here.rapi, here.rapi_users, here.rapi_tokens)
    own_user.become(here.log_file(PROGRAM.name))
    stopped = threading.Event()
    control.on_stop(stopped.set)
    threading.Thread(target=server.serve, name="connections", daemon=True).start()
    log.info("listening on %s port %d", address, options.port)
    control.ready()
    status = _wait(stopped, server)
    events.stop()
    stopper = threading.Thread(target=server.stop, name="stopping", daemon=True)
    stopper.start()
    stopper.join(STOP_SECONDS)
    door.close()
    return status


def _wait(stopped: threading.Event, server: RapiServer) -> int:
    """The exit status, once the daemon is to stop, or another node has become the master."""
    while not stopped.wait(LOOK_SECONDS):
        server.relieve()
        try:
            _check_master()
        except (daemon.NotInCluster, daemon.NotMaster) as err:
            log.warning("the remote API ends here: %s", err)
            return err.exit_status
    return 0


def _check_master() -> None:
    """Raises NotInCluster or NotMaster."""
    if not paths.here().ssconf("master_node").exists():
        raise daemon.NotInCluster(detail="this host is not part of a cluster")
    try:
        must_be_master()
    except WrongInput as err:
        raise daemon.NotMaster(detail=str(err)) from err


def _contexts(options: argparse.Namespace) -> Contexts:
    own = paths.here().rapi_certificate
    certificate, key = options.ssl_cert or own, options.ssl_key or options.ssl_cert or own
    if own in (certificate, key):
        if not own.exists():
            log.warning("%s was missing: made a new certificate; clients that know the old one refuse it", own)
            name = paths.here().ssconf("cluster_name").read_text().strip()
            files.write_atomic(own, x509.self_signed(name), mode=0o400)
        own_user.may_read(own)
    found = contexts(certificate, key)
    try:
        found.current()
    except ConfigurationError as err:
        raise daemon.NodeSetupError(detail=str(err)) from err
    return found


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-b", "--bind", metavar="ADDRESS", help="listen on this address (default: all)")
    parser.add_argument("-p", "--port", type=int, default=constants.RAPI_PORT, help="TCP port (default: %(default)s)")
    parser.add_argument("-C", "--ssl-cert", type=Path, metavar="FILE",
                        help="certificate, and its chain, in PEM form (default: rapi.pem in the data directory)")
    parser.add_argument("-K", "--ssl-key", type=Path, metavar="FILE", help="its key (default: in the same file)")
    parser.add_argument("--no-ssl", action="store_true", help="speak plain HTTP: passwords cross the network in clear")
    parser.add_argument("--require-authentication", action="store_true", help="answer nothing without credentials")
    parser.add_argument("--max-clients", type=int, default=Limits.threads, metavar="N",
                        help="requests that are answered at the same time (default: %(default)s)")


PROGRAM = daemon.Program("gnt-rapi", "Answers the remote API of the cluster.", serve, _add_arguments)


def main(argv: Sequence[str] | None = None) -> int:
    return daemon.main(PROGRAM, argv)


if __name__ == "__main__":
    sys.exit(main())
