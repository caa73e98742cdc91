# SPDX-License-Identifier: BSD-2-Clause
"""The allocator of a new cluster."""

import pytest

from gantry.config import defaults


@pytest.mark.parametrize(("given", "expected"), [(None, "hail"), ("own", "own"), ("", "")])
def test_hail_unless_told_otherwise(given, expected):
    made = defaults.new_cluster(uuid="c", name="cluster.example.org", master_ip="192.0.2.1", master_node="n",
                                options={"default_iallocator": given})
    assert made.default_iallocator == expected
