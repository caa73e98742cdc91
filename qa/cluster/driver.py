# SPDX-License-Identifier: BSD-2-Clause
"""The driver of mirrored disks on a node, without a master: what the contract tests do, on a real kernel."""

import json
from typing import Any

from gantry.objects import codec
from gantry.objects.instance import Disk
from qa.cluster.cluster import Cluster
from qa.work import QaError

Asked = tuple[str, tuple[Disk, ...], dict[str, Any]]

_PROGRAM = """
import json, sys
from dataclasses import asdict, is_dataclass
from gantry.errors import Error
from gantry.objects import codec
from gantry.objects.instance import Disk
from gantry.storage import base, drbd_watch
driver = base.load("drbd")
drbd_watch.STALL_SECONDS = 5.0
for method, disks, facts in json.load(sys.stdin):
    disks = [codec.decode(Disk, data) for data in disks]
    if method in ("create", "wait_synced", "wait_connected"):
        facts["progress"] = lambda fraction, message: None
    if method.startswith("wait"):
        disks = [disks]
    try:
        found = getattr(driver, method)(*disks, **facts)
        print(json.dumps(["ok", asdict(found) if is_dataclass(found) else found and str(found)]))
    except Error as err:
        print(json.dumps(["refused", str(err)]))
"""


def ask(cluster: Cluster, node: str, *asked: Asked) -> list[Any]:
    """Call these methods one after the other; what each gave, or the sentence with which it refused."""
    data = [[method, [codec.encode(disk) for disk in disks], facts] for method, disks, facts in asked]
    done = cluster[node].run("python3", "-c", _PROGRAM, stdin=json.dumps(data).encode(), seconds=600)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(asked):
        raise QaError(f"the driver on {node} broke:\n{done.stderr}")
    return answers
