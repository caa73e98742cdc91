# SPDX-License-Identifier: BSD-2-Clause
"""OS definitions that do what a test wants."""

import shutil

SCRIPTS = ("create", "import", "export", "rename", "verify")


def write_os(cluster, name, *, nodes=None, **scripts):
    """On all nodes, or on those named; each script is a body for /bin/sh, an empty one succeeds."""
    for node in nodes or cluster.layout.nodes:
        folder = cluster.layout.root(node) / "srv/ganeti/os" / name
        folder.mkdir(exist_ok=True)
        (folder / "ganeti_api_version").write_text("20\n")
        (folder / "parameters.list").write_text("")
        for script in SCRIPTS:
            (folder / script).write_text(f"#!/bin/sh\n{scripts.get(script, '')}\n")
            (folder / script).chmod(0o755)


def remove_written(cluster):
    """All definitions but the small guest's."""
    for node in cluster.layout.nodes:
        for folder in (cluster.layout.root(node) / "srv/ganeti/os").iterdir():
            if folder.name != "gantry-guest":
                shutil.rmtree(folder)
