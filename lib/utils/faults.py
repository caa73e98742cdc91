# SPDX-License-Identifier: BSD-2-Clause
"""Points at which a fault test may break a daemon.

`GANTRY_KILL_AT` names one point; a process that reaches it dies there and then, as in a power cut.  A node of a
virtual cluster also obeys files in `$GANTRY_ROOT/run/gantry/faults`, each once: `kill POINT` as above, `fail POINT`
makes what is done there raise ExecError.  A file `trace` there gets the points that are reached, a line each.  Points:

    step:OP_ID:INDEX:before|after|recorded, step:OP_ID:INDEX:undo:before|after,
    job:OP_ID:submitted|planned|finished                                             in the master daemon
    call:NAME:before|after                                      in the node daemon, in the process of a task
    exchange:begun|copied|halted|recorded|over                  in the process of a task, see hv_kvm/exchange.py
"""

import contextlib
import os
import signal

from gantry.errors import ExecError

_POINT = os.environ.get("GANTRY_KILL_AT", "")
_ROOT = os.environ.get("GANTRY_ROOT", "")
_CUT_OFF = f"{_ROOT}/run/gantry/cut-off" if _ROOT else None
_FAULTS = f"{_ROOT}/run/gantry/faults" if _ROOT else None


def point(name: str) -> None:
    """End this process, without any cleaning up, or raise ExecError, if that was asked for at the point `name`."""
    if _FAULTS is not None and os.path.isdir(_FAULTS):
        _note(name)
        if _take(f"{_FAULTS}/fail {name}"):
            raise ExecError(detail=f"a fault test made {name} fail")
        if _take(f"{_FAULTS}/kill {name}"):
            os.kill(os.getpid(), signal.SIGKILL)
    if _POINT and name == _POINT:
        os.kill(os.getpid(), signal.SIGKILL)


def _note(name: str) -> None:
    """Write down that it was reached, where somebody wants to know."""
    with contextlib.suppress(FileNotFoundError):
        trace = os.open(f"{_FAULTS}/trace", os.O_WRONLY | os.O_APPEND)
        os.write(trace, f"{name}\n".encode())
        os.close(trace)


def _take(file: str) -> bool:
    """Whether it was there; only one process finds it."""
    try:
        os.unlink(file)
    except FileNotFoundError:
        return False
    return True


def cut_off() -> bool:
    """Whether this node of a virtual cluster is cut off from the others (`vcluster isolate`).

    The file is looked for below `$GANTRY_ROOT` only, so production never asks.
    """
    return _CUT_OFF is not None and os.path.exists(_CUT_OFF)
