# SPDX-License-Identifier: BSD-2-Clause
"""The program gnt-watcher."""

import argparse
import logging
import logging.handlers
import sys
from collections.abc import Sequence

from gantry import paths
from gantry.errors import CannotResolve, Error
from gantry.luxi.client import Client
from gantry.utils import clock
from gantry.watcher import files, node
from gantry.watcher.group import GroupWatcher

log = logging.getLogger(__name__)
NAME = "gnt-watcher"
JOB_AGE = 6 * 3600
ARCHIVE_SECONDS = 30
FAILED, NOT_MASTER, SETUP = 1, 11, 12


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog=NAME, description="Starts again what should run on this node and does not; on "
                                    "the master, also instances and disks.  Run it every few minutes on each node.")
    found.add_argument("-d", "--debug", action="store_true", help="log more, also to stderr")
    found.add_argument("-A", "--job-age", type=int, default=JOB_AGE, metavar="SECONDS",
                       help="archive jobs that ended longer ago (default: %(default)s)")
    found.add_argument("--ignore-pause", action="store_true", help="work although the watcher is paused")
    found.add_argument("--no-verify-disks", action="store_true", help="do not look for disks that are not active")
    found.add_argument("--no-strict", action="store_true", help="leave out what other jobs have locked")
    found.add_argument("--node-group", metavar="UUID", help="on the master, only this node group, and nothing else")
    found.add_argument("--wait-children", action="store_true", help="accepted for compatibility: it always waits")
    found.add_argument("--no-wait-children", action="store_true", help="accepted for compatibility: it always waits")
    found.add_argument("--rapi-ip", metavar="ADDRESS", help="accepted for compatibility")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    if not node.is_member():
        return 0
    _set_up_log(debug=options.debug)
    try:
        with files.locked(paths.here().watcher_lock):
            return watch(options)
    except files.Busy as err:
        log.info("nothing is done: %s", err)
        return FAILED if options.node_group else 0
    except CannotResolve as err:
        log.error("%s", err)  # noqa: TRY400 - a sentence, no bug
        return SETUP
    except (Error, OSError) as err:
        log.error("%s", err)  # noqa: TRY400 - a sentence, no bug
        return FAILED


def watch(options: argparse.Namespace) -> int:
    """One round."""
    if options.node_group and not node.is_master():
        return NOT_MASTER
    if not options.ignore_pause and (end := node.paused_until()):
        log.info("the watcher is paused for %.0f s more", end - clock.epoch())
        return 0
    if not options.node_group:
        node.start_daemons("gnt-noded")
        node.run_hooks()
    if not node.is_master():
        return 0
    if not options.node_group:
        node.start_daemons("gnt-masterd", *(["gnt-rapi"] if paths.here().rapi_certificate.exists() else []))
    with Client() as master:
        if master.call("QueryConfigValues", [["drain_flag"]])[0]:
            log.info("the job queue is drained, no jobs are submitted")
            return 0
        return _as_master(master, options)


def _as_master(master: Client, options: argparse.Namespace) -> int:
    rows = master.call("QueryGroups", [[], ["uuid"], False])
    groups = [row[0] for row in rows if options.node_group in (None, row[0])]
    if not options.node_group:
        archived, left = master.call("AutoArchiveJobs", [options.job_age, ARCHIVE_SECONDS])
        log.debug("archived %d jobs, %d are left", archived, left)
        files.forget_groups({row[0] for row in rows})
    for group in groups:
        GroupWatcher(master, group, strict=not options.no_strict).run(disks=not options.no_verify_disks)
    return 0


def _set_up_log(*, debug: bool) -> None:
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    handlers: list[logging.Handler] = [logging.handlers.WatchedFileHandler(paths.here().log_file("watcher"))]
    if debug:
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setFormatter(logging.Formatter(f"%(asctime)s: {NAME} pid=%(process)d %(levelname)s %(message)s"))
        root.addHandler(handler)


if __name__ == "__main__":
    sys.exit(main())
