# SPDX-License-Identifier: BSD-2-Clause
"""What is said of mirrors that are not whole."""

import pytest

from gantry.cli import instance_info, output
from gantry.query import mirrors

SPLIT = "split brain: both ends have data of their own"


def state(status="degraded", problem=""):
    return {"exists": True, "mirror": {"status": status, "problem": problem}}


@pytest.mark.parametrize("ends", [[state(problem=SPLIT), state(problem="other")], [None, state(problem=SPLIT)],
                                  [state("ok"), state(problem=SPLIT)], [{"mirror": None}, state(problem=SPLIT)]])
def test_the_first_end_that_knows_tells_the_problem(ends):
    assert mirrors.problem(ends) == SPLIT


def test_a_whole_mirror_has_none():
    assert mirrors.problem([state("ok"), None]) == ""


def test_a_place_is_told_as_scripts_cut_it_out():
    """`| cut -d\\' -f4`, and as YAML it is a list."""
    disk = {"iv_name": "disk/0", "dev_type": "ext", "size": 32, "spindles": None, "mode": "rw", "drbd_info": None,
            "logical_id": ["san", "v.ext.disk0"], "name": None, "uuid": "d1", "children": []}
    lines = output.info_lines(instance_info._disk(disk, {"snodes": []}, static=True))
    assert "logical_id: ['san', 'v.ext.disk0']" in lines


def test_an_operator_sees_it_where_the_disk_is_shown():
    disk = {"iv_name": "disk/0", "dev_type": "drbd", "size": 32, "spindles": None, "mode": "rw", "drbd_info": None,
            "logical_id": [], "pstatus": None, "sstatus": None, "name": None, "uuid": "d1", "children": [],
            "unsynced": 4096, "unsynced_since": None, "problem": SPLIT}
    lines = dict(instance_info._disk(disk, {"snodes": ["node2"]}, static=False))
    assert (lines["problem"], lines["not yet redundant"]) == (SPLIT, "4096 bytes")
    assert "problem" not in dict(instance_info._disk(disk | {"problem": ""}, {"snodes": ["node2"]}, static=False))
