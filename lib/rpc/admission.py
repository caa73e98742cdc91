# SPDX-License-Identifier: BSD-2-Clause
"""Who may call this node: the current master candidates, and among them only the master of the latest term."""

import threading
from collections.abc import Callable

from gantry import paths
from gantry.errors import NodeRefused, StaleTerm
from gantry.rpc import credentials
from gantry.rpc.declare import CallType

Promised = Callable[[], tuple[int, str]]
"""Highest term promised on this node and the UUID of its master."""


class Candidates:
    """The list of master candidates' certificates, read again when its file changes.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamp: credentials.Stamp = ()
        self._digests: frozenset[str] = frozenset()
        self._uuids: frozenset[str] = frozenset()

    def allows(self, digest: str, names: Callable[[], tuple[str, ...]]) -> bool:
        """Whether a certificate the authority issued, of this digest, belongs to a candidate.

        While this node runs on a certificate it issued itself (`credentials.check_own`), the digests in the
        list are those of before; a candidate is then known by its UUID among the certificate's `names`.
        """
        digests, uuids = self._current()
        return digest in digests or not uuids.isdisjoint(names() if uuids else ())

    def _current(self) -> tuple[frozenset[str], frozenset[str]]:
        here = paths.here()
        path = here.ssconf("master_candidates_certs")
        stamp = credentials.stamp(path, here.reissued)
        with self._lock:
            if stamp != self._stamp:
                lines = path.read_text().splitlines() if path.exists() else []
                pairs = [line.strip().partition("=") for line in lines if "=" in line]
                by_name = here.reissued.exists() and here.reissued.read_text() == credentials.digest_of(path)
                self._digests = frozenset(digest.upper() for _, _, digest in pairs)
                self._uuids = frozenset(uuid for uuid, _, _ in pairs) if by_name else frozenset()
                self._stamp = stamp
            return self._digests, self._uuids


def check_term(call: CallType, term: str, master: str, promised: Promised) -> None:
    """Refuse a caller who is not, or no longer, the master this node has promised to obey.

    Raises StaleTerm for an older term and NodeRefused for everything else; `promise_missing` among its facts
    means that the caller may ask for the promise (`leader_accept`) and come again.
    """
    if not call.master_only:
        return
    try:
        ours = int(term)
    except ValueError:
        raise NodeRefused(node="", call=call.name, detail="the request has no term") from None
    theirs, obeyed = promised()
    if ours < theirs:
        raise StaleTerm(node="", call=call.name, detail="", ours=ours, theirs=theirs)
    if ours > theirs:
        raise NodeRefused(node="", call=call.name, promise_missing=True,
                          detail=f"term {ours} was not promised here, the highest is {theirs}")
    if master != obeyed:
        raise NodeRefused(node="", call=call.name,
                          detail=f"in term {ours} it obeys {obeyed or 'nobody'}, not {master}")
