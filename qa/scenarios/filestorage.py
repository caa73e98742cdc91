# SPDX-License-Identifier: BSD-2-Clause
"""A guest on a disk file: the life of `plain`, on the template `file`."""

from qa.cluster.cluster import Cluster
from qa.scenarios import plain


def run(cluster: Cluster) -> None:
    plain.life(cluster, "file")
