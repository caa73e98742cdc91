# SPDX-License-Identifier: BSD-2-Clause
"""What this node has promised: whom it obeys, in which term.  Kept in `term.json`; it never goes back.

A promise is durable before it is given.  Several processes of a node may read and give promises.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import simplejson

from gantry import paths
from gantry.errors import ConfigurationError
from gantry.objects import codec
from gantry.objects.node import InSync
from gantry.utils.files import write_atomic


@dataclass(frozen=True, kw_only=True)
class Promise:
    """Highest term seen, the UUID of its master, and the newest that was heard of the in-sync set."""

    term: int = 0
    master: str = ""
    in_sync: InSync = field(default_factory=InSync)


class _Cache:
    """The promise as last read, valid while the file is the same."""

    def __init__(self) -> None:
        self.seen: tuple[Path, int, int] | None = None
        self.promise = Promise()


_CACHE = _Cache()
_THREADS = threading.Lock()


def read() -> tuple[int, str]:
    """(term, master's UUID); (0, "") on a node that has promised nothing.  Raises ConfigurationError."""
    found = read_all()
    return found.term, found.master


def read_all() -> Promise:
    """Raises ConfigurationError when the file is damaged: a node that forgot its promise must not vote."""
    path = paths.here().term
    try:
        facts = os.stat(path)
    except FileNotFoundError:
        return Promise()
    seen = (path, facts.st_ino, facts.st_mtime_ns)
    with _THREADS:
        if _CACHE.seen == seen:
            return _CACHE.promise
    found = _load(path)
    with _THREADS:
        _CACHE.seen, _CACHE.promise = seen, found
    return found


def accept(term: int, master: str) -> bool:
    """Promise to obey `master` in `term` and nobody of a lower one; durable when this returns True.

    False: a higher term was promised, or this one to somebody else.
    """
    path = paths.here().term
    with _locked(path) as old:
        if (term, master) == (old.term, old.master):
            return True
        if term <= old.term or not master:
            return False
        _save(path, Promise(term=term, master=master, in_sync=old.in_sync))
        return True


def remember(known: InSync, path: Path | None = None) -> bool:
    """Keep what the master says of the in-sync set, unless something newer is known."""
    path = path or paths.here().term
    with _locked(path) as old:
        if (known.term, known.number) < (old.in_sync.term, old.in_sync.number):
            return False
        if known != old.in_sync:
            _save(path, Promise(term=old.term, master=old.master, in_sync=known))
        return True


@contextmanager
def _locked(path: Path) -> Iterator[Promise]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield _load(path) if path.exists() else Promise()
    finally:
        os.close(handle)


def _load(path: Path) -> Promise:
    try:
        return codec.decode(Promise, simplejson.loads(path.read_text()), str(path))
    except (ValueError, ConfigurationError) as err:
        raise ConfigurationError(detail=f"{path} is damaged ({err}): this node does not know which master it may "
                                        "obey; add it to the cluster again (gnt-node add --readd)") from err


def _save(path: Path, promise: Promise) -> None:
    write_atomic(path, simplejson.dumps(codec.encode(promise)) + "\n")
