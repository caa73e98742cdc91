# SPDX-License-Identifier: BSD-2-Clause
"""`gnt-cluster master-failover`: this node, a master candidate, becomes the master.

The nodes' promises make it so (`lib/leader/votes.py`); what follows only writes it down and starts the daemon.
A failover that was cut off is finished by running it again.
"""

import asyncio
from collections.abc import Callable

from gantry import paths
from gantry.bootstrap import daemons
from gantry.config import load, ssconf
from gantry.config.change import ConfigWriter
from gantry.config.config import Config
from gantry.errors import BadEnvironment, Error, NodeError, WrongState
from gantry.leader import promise
from gantry.leader.votes import Local, Votes
from gantry.objects.node import StoreStatus
from gantry.objects.plan import Update
from gantry.rpc import calls
from gantry.rpc.client import NodeClient
from gantry.store.database import Database, open_database
from gantry.store.record import decode_value
from gantry.store.store import open_store
from gantry.utils import files, x509

Say = Callable[[str], None]


def master_failover(no_voting: bool, say: Say) -> int:  # noqa: FBT001 - the option of the command
    """Make this node the master; 0, or an Error with the reason.  `say` gets warnings."""
    return asyncio.run(_take_over(voting=not no_voting, say=say))


async def _take_over(*, voting: bool, say: Say) -> int:
    own, config = _read_own_copy()
    _check(own, config)
    client = NodeClient(lambda uuid: _address(config, uuid), promise.read)
    try:
        leader = Votes(client, Local(
            own=own, names=lambda: {node.uuid: node.name for node in config.online_nodes()}, promised=promise.read,
            accept=promise.accept, known=lambda: promise.read_all().in_sync, remember=promise.remember,
            status=_own_status), voting=voting)
        term = await leader.campaign()
        await _stop_old_master(client, config, own, say)
    finally:
        await client.close()
    await _record(own, term)
    options = () if voting else ("--no-voting", "--yes-do-it")
    await asyncio.to_thread(daemons.start_daemon, "gnt-masterd", paths.here().root, *options)
    await asyncio.to_thread(daemons.start_rapi, say)
    return 0


def _read_own_copy() -> tuple[str, Config]:
    """This node's UUID, and the cluster as its copy of the store has it."""
    here = paths.here()
    if not here.node_certificate.exists():
        raise BadEnvironment(detail="This host is not part of a cluster")
    if not here.store.exists():
        raise WrongState(detail="This node holds no copy of the cluster's state, it is no master candidate; run "
                                "this on one of: " + _lines("master_candidates"))
    own = next(iter(x509.subject(here.node_certificate.read_text()).alt_names), "")
    database = open_database(here.store, check=True)
    try:
        return own, _config(database)
    finally:
        database.close()


def _own_status() -> StoreStatus:
    """Where this node's copy stands now: until it is promised to this node, the old master may add to it."""
    database = open_database(paths.here().store)
    try:
        return database.status()
    finally:
        database.close()


def _config(database: Database) -> Config:
    tables: dict[str, dict[str, object]] = {}
    for table, key, text in database.rows(without=("archive", "history", "jobs", "plans", "steps")):
        tables.setdefault(table, {})[key] = decode_value(text)
    return load.load(tables, serial=database.status().serial)


def _lines(key: str) -> str:
    file = paths.here().ssconf(key)
    return ", ".join(file.read_text().split()) if file.exists() else "(unknown)"


def _check(own: str, config: Config) -> None:
    node = config.nodes.get(own)
    if node is None:
        raise WrongState(detail="This node is not in the cluster's configuration any more; add it again with "
                                "gnt-node add on the master")
    if config.cluster.master_node == own and promise.read()[1] == own:
        raise WrongState(detail=f"This node ({node.name}) is already the master; start its daemon with gnt-masterd "
                                "if it does not run")
    if not node.master_candidate:
        names = ", ".join(sorted(other.name for other in config.candidates()))
        raise WrongState(detail=f"This node ({node.name}) is no master candidate; run this on one of: {names}")


def _address(config: Config, uuid: str) -> tuple[str, str]:
    node = config.nodes.get(uuid)
    if node is None:
        raise NodeError(node=uuid, detail="it is not a node of this cluster (any more)")
    return node.name, node.primary_ip


async def _stop_old_master(client: NodeClient, config: Config, own: str, say: Say) -> None:
    """It cannot act any more; this takes the cluster's address from it, and spares its operators a daemon that
    finds out by itself.
    """
    cluster = config.cluster
    old = config.nodes.get(cluster.master_node)
    if old is None or old.uuid == own or old.offline:
        return
    try:
        await client.call(old.uuid, calls.master_stop)
        await client.call(old.uuid, calls.master_ip_stop, netdev=cluster.master_netdev, address=cluster.master_ip,
                          netmask=cluster.master_netmask, external=cluster.use_external_mip_script)
    except Error as err:
        say(f"Warning: the master's daemons on {old.name} could not be stopped: {err}; the nodes will refuse them")


async def _record(own: str, term: int) -> None:
    """Write down who is master, into the configuration as it is now that the old master is fenced."""
    here = paths.here()
    store = await open_store(here.store, term=term)
    try:
        config = load.load(store.tables(), serial=store.status.serial)
        change = Update(table="cluster", uuid=config.cluster.uuid, fields={"master_node": own, "queue_drained": False})
        await ConfigWriter(config, store).change([change], who="master-failover", why=f"term {term}")
    finally:
        await store.close()
    for key, text in ssconf.values(config).items():
        files.write_atomic(here.ssconf(key), text + "\n" if text else "", mode=0o444)
