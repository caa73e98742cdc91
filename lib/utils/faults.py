# SPDX-License-Identifier: BSD-2-Clause
"""Points at which a fault test may end a daemon.

`GANTRY_KILL_AT` names one point; a process that reaches it dies there and then, as in a power cut.  Points:
`step:OP_ID:INDEX:before|after|recorded` in the master daemon, `call:NAME:before|after` in the node daemon.
"""

import os
import signal

_POINT = os.environ.get("GANTRY_KILL_AT", "")


def point(name: str) -> None:
    """End this process, without any cleaning up, if `name` is the point asked for."""
    if _POINT and name == _POINT:
        os.kill(os.getpid(), signal.SIGKILL)
