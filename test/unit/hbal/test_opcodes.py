# SPDX-License-Identifier: BSD-2-Clause
"""What the programs submit is what the cluster takes."""

import pytest

from gantry.opcodes import base, cluster, instance, node, tags, test  # noqa: F401  # declarations
from hbal import jobs
from hbal.alloc import evacuate
from hbal.core.arrays import build
from hbal.load import text
from hbal.load.prepare import prepare
from hbal.maintenance import repair
from hbal.maintenance.squeeze import Outcome
from hbal.programs import hsqueeze

LABEL = jobs.Label("hbal", "rebalancing via hbal", "low", None)
DATA = """\
g|u|preferred||

a|4096|0|2944|9000|8000|4|M|u|1||N|0|1|1.0
b|4096|0|4096|9000|8000|4|Y|u|1||N|0|1|1.0

i|1024|1000|1|running|Y|a|b|drbd||1|-|N
j|128|1000|1|running|Y|b|a|drbd||1|-|N
k|128|1000|1|running|Y|b||plain||1|-|Y


"""


def submitted():
    data = prepare(text.parse(DATA))
    found = [jobs.migrate("i"), jobs.migrate("i", "b"), jobs.failover("i"), jobs.failover("i", "b"),
             jobs.replace_secondary("i", "b")]
    for one in data.instances:
        found += [evacuate.migration(one), evacuate.migration(one, "b"), evacuate.replacement(one, "b")]
        needed = repair.needed(data, one)
        found += needed[1] if needed else []
    for online in (True, False):
        for wanted in hsqueeze._job_sets(data, Outcome([1], [], build(data)), online=online):
            found += [opcode for job in wanted for opcode in job]
    return found


@pytest.mark.parametrize("opcode", submitted(), ids=lambda opcode: opcode["OP_ID"])
def test_an_opcode_is_understood(opcode):
    decoded = base.decode(LABEL.on(dict(opcode)))
    assert opcode["OP_ID"] == decoded.OP_ID
