# SPDX-License-Identifier: BSD-2-Clause
"""Points at which a fault test may end a daemon.

`GANTRY_KILL_AT` names one point; a process that reaches it dies there and then, as in a power cut.  Points:
`step:OP_ID:INDEX:before|after|recorded` in the master daemon, `call:NAME:before|after` in the node daemon.
"""

import os
import signal

_POINT = os.environ.get("GANTRY_KILL_AT", "")
_ROOT = os.environ.get("GANTRY_ROOT", "")
_CUT_OFF = f"{_ROOT}/run/gantry/cut-off" if _ROOT else None


def point(name: str) -> None:
    """End this process, without any cleaning up, if `name` is the point asked for."""
    if _POINT and name == _POINT:
        os.kill(os.getpid(), signal.SIGKILL)


def cut_off() -> bool:
    """Whether this node of a virtual cluster is cut off from the others (`vcluster isolate`).

    The file is looked for below `$GANTRY_ROOT` only, so production never asks.
    """
    return _CUT_OFF is not None and os.path.exists(_CUT_OFF)
