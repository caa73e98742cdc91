# SPDX-License-Identifier: BSD-2-Clause
"""gnt-masterd: the wiring of store, configuration, job queue and LUXI server on the master's event loop."""

import argparse
import asyncio
import importlib
import logging
import pkgutil
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from gantry import cmdlib, opcodes, paths
from gantry.config import load, ssconf
from gantry.config.change import Change, ConfigWriter, Row
from gantry.config.config import Config
from gantry.errors import BadEnvironment, Error, ExecError, NodeError, StaleTerm, StoreFailed, WrongInput
from gantry.jqueue.queue import JobQueue
from gantry.jqueue.services import Services
from gantry.leader import promise
from gantry.leader.base import Deposed, Leader
from gantry.leader.votes import Local, Votes
from gantry.locking.manager import LockManager
from gantry.luxi import methods as luxi
from gantry.luxi.server import LuxiServer
from gantry.rpc.client import NodeClient
from gantry.server import address, daemon, standing
from gantry.server.mirror_watch import MirrorWatch
from gantry.server.pusher import Pusher
from gantry.server.rapi_push import RapiFilesPusher
from gantry.server.ssconf_push import SsconfPusher
from gantry.server.standing import Standing, WatchedNodes
from gantry.store.replicate import Replicator, Surroundings
from gantry.store.store import Store, open_store
from gantry.utils import counting

log = logging.getLogger(__name__)
VOTE_PAUSE = 1.0
"""Seconds between two questions to the nodes when this daemon starts: they may be starting as well."""


class Master:
    """The running master daemon: `status` is its exit status, once `over` is set."""

    def __init__(self, options: argparse.Namespace, control: daemon.Control) -> None:
        self._options, self._control = options, control
        self.status = 0
        self._on_return: Callable[[set[str]], None] = lambda _nodes: None
        self.over = asyncio.Event()

    async def run(self) -> int:
        """Until stopped; jobs that run then are recorded and go on at the next start."""
        loop = asyncio.get_running_loop()
        self._control.on_stop(lambda: loop.call_soon_threadsafe(self.over.set))
        where = standing.read()
        load_units()
        async with AsyncExitStack() as stack:
            store = await self._open_store(where)
            stack.push_async_callback(store.close)
            config = load.load(store.tables(), serial=store.status.serial)
            client = NodeClient(Directory(config), lambda: (where.term, where.own))
            stack.push_async_callback(client.close)
            leader = self._leader(where, store, config, client)
            try:
                await leader.confirm(pause=VOTE_PAUSE)
            except Deposed as err:
                raise daemon.NotMaster(detail=str(err)) from err
            watching = asyncio.create_task(leader.watch())
            stack.callback(watching.cancel)
            nodes = WatchedNodes(client, self.halt)
            await self._serve(stack, where, store, config, nodes, leader)
            stack.callback(asyncio.create_task(address.bring_up(config, nodes)).cancel)
            self._control.ready()
            log.info("master of cluster %s in term %d, %d nodes", config.cluster.name, where.term, len(config.nodes))
            await self.over.wait()
        return self.status

    async def _open_store(self, where: Standing) -> Store:
        try:
            return await open_store(paths.here().store, term=where.term, on_failure=self._store_failed)
        except StoreFailed:
            standing.read()  # when the node has just promised another master to obey, that is the reason to give
            raise

    def _leader(self, where: Standing, store: Store, config: Config, client: NodeClient) -> Leader:
        return Votes(client, Local(
            own=where.own, names=lambda: {node.uuid: node.name for node in config.online_nodes()},
            promised=promise.read, accept=promise.accept, known=lambda: promise.read_all().in_sync,
            remember=promise.remember, status=lambda: store.status), voting=not self._options.no_voting,
            on_return=self._returned,
            on_deposed=lambda why: self.halt(StaleTerm(node="", call="", detail=why, ours=where.term, theirs="newer")))

    def _returned(self, nodes: set[str]) -> None:
        self._on_return(nodes)

    async def _serve(self, stack: AsyncExitStack, where: Standing, store: Store, config: Config,
                     nodes: WatchedNodes, leader: Leader) -> None:
        pusher = SsconfPusher(config, nodes, lambda now: ssconf.values(now, in_sync=replicator.in_sync))
        rapi_files = RapiFilesPusher(config, nodes, where.own)
        replicator = Replicator(store, nodes, Surroundings(
            own=where.own, candidates=lambda: [node.uuid for node in config.candidates()],
            members=lambda: [node.uuid for node in config.online_nodes()], remember=promise.remember,
            voting=not self._options.no_voting, changed=lambda _in_sync: pusher.changed()), promise.read_all().in_sync)
        replicator.start()

        def again(nodes: set[str]) -> None:
            replicator.heard(nodes)
            pusher.changed()
        self._on_return = again
        counting.IN_SYNC.read_with(lambda: len(replicator.in_sync))
        stack.push_async_callback(replicator.close)
        writer = WatchedWriter(config, store)
        queue = JobQueue(Services(config=config, store=store, writer=writer, nodes=nodes, locks=LockManager(),
                                  master_calls={"redistribute": lambda: redistribute_all(pusher, rapi_files)},
                                  no_work=lambda: leader.problem or replicator.problem), self.halt)
        mirrors = MirrorWatch(config, writer, nodes, lambda: leader.problem or replicator.problem)
        stack.push_async_callback(mirrors.close)
        writer.listeners += [pusher.changed, rapi_files.changed, queue.kick]
        writer.followers.append(mirrors.changed)
        await queue.start()
        stack.push_async_callback(queue.stop)
        for each in (pusher, rapi_files):
            each.start()
            stack.push_async_callback(each.close)
        mirrors.changed()
        server = LuxiServer(paths.here().luxi, luxi.methods(luxi.Services(
            config=config, nodes=nodes, recorded=lambda: store.status.serial, queue=queue, locks=queue.locks,
            writer=writer)))
        await server.start()
        stack.push_async_callback(server.stop)

    def halt(self, err: Exception) -> None:
        """End the daemon: it may not, or cannot, go on."""
        cause = err if isinstance(err, StaleTerm) else err.__cause__
        if not self.over.is_set():
            self.status = daemon.NotMaster.exit_status if isinstance(cause, StaleTerm) else 1
            log.critical("the master daemon stops: %s", err)
        self.over.set()

    def _store_failed(self, why: str) -> None:
        self.halt(BadEnvironment(detail=why))


class WatchedWriter(ConfigWriter):
    """Says that something has changed, as soon as that is durable."""

    def __init__(self, config: Config, store: Store) -> None:
        super().__init__(config, store)
        self.listeners: list[Callable[[], None]] = []
        self.followers: list[Callable[[Sequence[Change]], None]] = []
        """These are told what."""

    def change(self, changes: Sequence[Change], *, who: str, why: str,
               extra: Sequence[Row] = ()) -> "asyncio.Future[Any]":
        pending = super().change(changes, who=who, why=why, extra=extra)
        pending.add_done_callback(partial(self._tell, changes))
        return pending

    def _tell(self, changes: Sequence[Change], _pending: "asyncio.Future[Any]") -> None:
        for listener in self.listeners:
            listener()
        for follower in self.followers:
            follower(changes)


class Directory:
    """Names and addresses of nodes by UUID, for the RPC client."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __call__(self, uuid: str) -> tuple[str, str]:
        node = self._config.nodes.get(uuid)
        if node is None:
            raise NodeError(node=uuid, detail="it is not a node of this cluster (any more)")
        return node.name, node.primary_ip


async def redistribute_all(*pushers: Pusher) -> None:
    """Each is tried; raises ExecError with what some of them could not do."""
    failed = [err for err in await asyncio.gather(*(each.redistribute() for each in pushers), return_exceptions=True)
              if err is not None]
    for err in failed:
        if not isinstance(err, Error):
            raise err
    if failed:
        raise ExecError(detail="; ".join(map(str, failed)))


def load_units() -> None:
    """Import every logical unit: afterwards the registry knows which opcodes can run."""
    opcodes.load_all()
    for module in pkgutil.iter_modules(cmdlib.__path__):
        importlib.import_module(f"{cmdlib.__name__}.{module.name}")


def serve(options: argparse.Namespace, control: daemon.Control) -> int:
    if options.no_voting and not options.yes_do_it:
        raise WrongInput(detail="--no-voting makes two masters possible when another node is master; add --yes-do-it "
                                "when you are sure that there is none")

    daemon.allow_many_connections()

    async def run() -> int:
        return await Master(options, control).run()
    return asyncio.run(run())


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-voting", action="store_true", help="do not ask the other nodes who is master")
    parser.add_argument("--yes-do-it", action="store_true", help="confirm --no-voting")


PROGRAM = daemon.Program("gnt-masterd", "Runs the cluster: configuration, jobs and locks.", serve, _add_arguments)


def main(argv: Sequence[str] | None = None) -> int:
    return daemon.main(PROGRAM, argv)


if __name__ == "__main__":
    sys.exit(main())
