# SPDX-License-Identifier: BSD-2-Clause
"""Which disk a guest went over to when one was exchanged under it: durable, for as long as only this node knows it.

From the moment the guest writes to its new disk until the master has recorded that, a guest that dies (or its whole
node) must not be started from the old one.  The next start, or arrival, of a guest with the disk ends it.
"""

import json
from pathlib import Path

from gantry import paths
from gantry.errors import ConfigurationError
from gantry.objects import codec
from gantry.objects.instance import Disk
from gantry.utils.files import write_atomic


def remember(disk: Disk) -> None:
    """`disk` is the one of its UUID that counts; on the disk when this returns."""
    file = _file(disk.uuid)
    file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_atomic(file, json.dumps(codec.encode(disk)))


def known(uuid: str) -> Disk | None:
    """None when no exchange is remembered; raises ConfigurationError when what is remembered is damaged."""
    file = _file(uuid)
    try:
        return codec.decode(Disk, json.loads(file.read_text()), str(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as err:
        raise ConfigurationError(detail=f"{file}: {err}") from err


def forget(uuid: str) -> None:
    _file(uuid).unlink(missing_ok=True)


def _file(uuid: str) -> Path:
    return paths.here().exchanged / f"{uuid}.json"
