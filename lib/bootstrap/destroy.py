# SPDX-License-Identifier: BSD-2-Clause
"""The end of a cluster on this node: daemons stopped, secrets and state removed.

Logs, exports, OS definitions, disks' folders and volume groups stay.
"""

import shutil

from gantry import paths
from gantry.bootstrap.daemons import stop_daemon


def destroy_local() -> None:
    """Stop the daemons of this node and remove what made it a member of the cluster."""
    for daemon in ("gnt-rapi", "gnt-masterd", "gnt-noded"):
        stop_daemon(daemon, paths.here().root)
    here = paths.here()
    for path in (here.cluster_certificate, here.node_certificate, here.term, here.luxi,
                 here.rapi_certificate, here.rapi_tokens,
                 *here.state.glob("cluster.db*"), *here.state.glob("ssconf_*")):
        path.unlink(missing_ok=True)
    for folder in (here.tasks, here.vm_specs):
        shutil.rmtree(folder, ignore_errors=True)
