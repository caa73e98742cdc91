# SPDX-License-Identifier: BSD-2-Clause
"""`gnt-cluster init`: make a cluster of one node, this one.

Either all of it is there in the end, the daemons running, or nothing of it.
"""

import asyncio
import contextlib
import re
import uuid
from collections.abc import Callable
from typing import Any

from gantry import constants, paths
from gantry.bootstrap import daemons, destroy, transport
from gantry.config import defaults, ssconf
from gantry.config.config import Config
from gantry.errors import AlreadyExists, BadEnvironment, Error, WrongInput
from gantry.leader import promise
from gantry.luxi.client import Client
from gantry.objects import codec
from gantry.objects.cluster import Node, NodeGroup
from gantry.store import database
from gantry.store.store import open_store
from gantry.utils import clock, files, names, x509
from gantry.utils.resolver import own_name, resolve

_MAC_PREFIX = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){2}$")
FIRST_TERM = 1


def init_cluster(options: dict[str, Any], say: Callable[[str], None]) -> None:
    """Make the cluster `options["cluster_name"]`; the other keys are the long options of the command.  `say` gets
    warnings.
    """
    here = paths.here()
    if here.store.exists() or here.ssconf("cluster_name").exists():
        raise AlreadyExists(kind="Cluster", name=_present_name())
    name, address = resolve(options["cluster_name"])
    node_name, node_address = resolve(own_name())
    _check(options, name, node_name, node_address)
    cluster_pem = x509.make_authority(name)
    node_uuid = str(uuid.uuid4())
    node_pem = x509.issue(cluster_pem, common_name=node_name, alt_names=[node_uuid, node_name, node_address])
    config = _new_config(options, name, address, Node(
        uuid=node_uuid, name=node_name, primary_ip=node_address,
        secondary_ip=options.get("secondary_ip") or node_address, group=str(uuid.uuid4()),
        certificate=x509.digest(node_pem)))
    try:
        _write_files(config, cluster_pem, node_pem)
        daemons.start_daemon("gnt-noded", here.root)
        daemons.start_daemon("gnt-masterd", here.root)
        _run_post_init()
    except (Error, OSError):
        with contextlib.suppress(Error, OSError):
            destroy.destroy_local()
        raise
    daemons.start_rapi(say)


def _present_name() -> str:
    file = paths.here().ssconf("cluster_name")
    return file.read_text().strip() if file.exists() else "on this node (see gnt-cluster destroy)"


def _check(options: dict[str, Any], name: str, node_name: str, node_address: str) -> None:
    if not names.is_host_name(name):
        raise WrongInput(detail=f"Cluster name '{name}' is not a valid host name")
    if node_address.startswith("127.") and not transport.virtual_roots():
        raise BadEnvironment(detail=f"This host's name {node_name} resolves to the loopback address {node_address}; "
                                    "other nodes could not reach it, correct /etc/hosts")
    prefix = options.get("mac_prefix")
    if prefix and not _MAC_PREFIX.match(str(prefix).lower()):
        raise WrongInput(detail=f"Invalid MAC prefix '{prefix}': three octets such as aa:00:00 are expected")
    for hypervisor in options.get("enabled_hypervisors") or ():
        if hypervisor not in tuple(constants.HypervisorName):
            raise WrongInput(detail=f"Hypervisor '{hypervisor}' is not known; there are "
                                    + ", ".join(constants.HypervisorName))


def _new_config(options: dict[str, Any], name: str, address: str, node: Node) -> Config:
    cluster = defaults.new_cluster(name=name, master_ip=address, master_node=node.uuid, options=options,
                                   uuid=str(uuid.uuid4()))
    cluster = codec.decode(type(cluster), codec.encode(cluster) | {"candidate_certs": {node.uuid: node.certificate}})
    now = clock.epoch()
    group = NodeGroup(uuid=node.group, name="default", ctime=now, mtime=now)
    return Config({"cluster": {cluster.uuid: cluster}, "nodes": {node.uuid: node}, "nodegroups": {group.uuid: group}})


def _write_files(config: Config, cluster_pem: str, node_pem: str) -> None:
    here, cluster = paths.here(), config.cluster
    for folder, mode in ((here.state, 0o750), (here.run, 0o755), (here.log, 0o750), (here.etc, 0o755)):
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    files.write_atomic(here.cluster_certificate, cluster_pem, mode=0o400)
    files.write_atomic(here.node_certificate, node_pem, mode=0o400)
    files.write_atomic(here.rapi_certificate, x509.self_signed(cluster.name), mode=0o400)
    promise.accept(FIRST_TERM, cluster.master_node)
    asyncio.run(_store(config))
    for key, text in ssconf.values(config).items():
        files.write_atomic(here.ssconf(key), text + "\n" if text else "", mode=0o444)


async def _store(config: Config) -> None:
    path = paths.here().store
    database.create(path, config.cluster.uuid, term=FIRST_TERM).close()
    store = await open_store(path, term=FIRST_TERM, cluster=config.cluster.uuid)
    try:
        await store.commit([(table, value.uuid, codec.encode(value))
                            for table, objects in config.tables.items() for value in objects.values()])
    finally:
        await store.close()


def _run_post_init() -> None:
    """Run the job that runs the hooks; what fails there is in its log, the cluster is there."""
    client = Client()
    job = client.call("SubmitJob", [[{"OP_ID": "OP_CLUSTER_POST_INIT"}]])
    previous = None
    while previous not in (["success"], ["error"], ["canceled"]):
        changed = client.call("WaitForJobChange", [job, ["status"], previous, None, 30])
        if isinstance(changed, list):
            previous = changed[0]
