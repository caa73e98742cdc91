# SPDX-License-Identifier: BSD-2-Clause
"""A node's server as a process of its own, with a backend of a few functions that a test can predict.

    python node_server.py ADDRESS PORT

Below `$GANTRY_ROOT` it expects certificates, the list of candidates and `promised` ("TERM MASTER").  It
writes the number of each function's calls to `count-NAME`, and "ready" to standard output.
"""

import signal
import sys
import threading

from gantry import paths
from gantry.errors import ExecError, StaleOwner
from gantry.objects.node import Version
from gantry.rpc.server import NodeServer
from gantry.utils import clock

_counting = threading.Lock()


def _count(name):
    with _counting:
        path = paths.here().root / f"count-{name}"
        number = int(path.read_text()) + 1 if path.exists() else 1
        path.write_text(str(number))
        return number


def version():
    _count("version")
    return Version(protocol=1, release="test", node="node", term=1, master="m")


def leader_accept(term, master):
    path = paths.here().root / "promised"
    if term <= int(path.read_text().split()[0]):
        return False
    path.write_text(f"{term} {master}")
    return True


def test_delay(duration):
    _count("test_delay")
    clock.SYSTEM.sleep(duration)


def node_verify(what):
    number = _count("node_verify")
    if "sleep" in what:
        clock.SYSTEM.sleep(what["sleep"])
    if what.get("fail_first") and number == 1:
        raise ExecError(detail="the first time it fails")
    if what.get("break"):
        raise ValueError("a bug")
    return {"time": float(number)}


def disks_open(disks, instance, owner_epoch):
    raise StaleOwner(disk=instance, ours=owner_epoch, theirs=9)


def os_list():
    return "not a list"


def find(name):
    try:
        return globals()[name]
    except KeyError:
        raise ExecError(detail=f"no {name} here") from None


def promised():
    term, _, master = (paths.here().root / "promised").read_text().partition(" ")
    return int(term), master


if __name__ == "__main__":
    server = NodeServer(sys.argv[1], int(sys.argv[2]), find, promised)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.stop, daemon=True).start())
    server.prepare()
    sys.stdout.write(f"ready {server.bind_addr[1]}\n")
    sys.stdout.flush()
    server.serve()
