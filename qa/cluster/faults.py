# SPDX-License-Identifier: BSD-2-Clause
"""Daemons that die at chosen points.

`lib/utils/faults.py` has the points; the files that name them are looked for where GANTRY_ROOT is set.
"""

from collections.abc import Sequence

from qa.cluster import setup
from qa.cluster.cluster import Cluster

_FOLDER = "/run/gantry/faults"
_SETTINGS = "/etc/default/gantry"


def enable(cluster: Cluster) -> None:
    """Let the daemons of all nodes look for faults: they are restarted."""
    for machine in cluster.lab:
        machine.sh(f"echo GANTRY_ROOT=/ >>{_SETTINGS}")
    cluster.lab.each(setup.restart_daemons)
    setup.wait_for_master(cluster.lab)


def disable(cluster: Cluster) -> None:
    for machine in cluster.lab:
        machine.run("rm", "-rf", _FOLDER)
        machine.run("sed", "-i", "/^GANTRY_ROOT=/d", _SETTINGS)


def arm(cluster: Cluster, node: str, points: Sequence[str]) -> None:
    """Whatever process of the node reaches one of the points dies there, once for each."""
    names = "".join(f"kill {point}\n" for point in points)
    cluster[node].run("sh", "-ec", f"mkdir -p {_FOLDER}; cd {_FOLDER}; while read -r name; do : >\"$name\"; done; "
                                   "ls | wc -l >../faults.armed", stdin=names.encode())


def disarm(cluster: Cluster, node: str) -> int:
    """How often something died since `arm`."""
    text = cluster[node].sh(f"cd {_FOLDER}; echo $(($(cat ../faults.armed) - $(ls | wc -l))); cd /; rm -rf {_FOLDER} "
                            "/run/gantry/faults.armed")
    return int(text)
