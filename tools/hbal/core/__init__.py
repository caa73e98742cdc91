# SPDX-License-Identifier: BSD-2-Clause
"""The pure core on numpy arrays: state of a group, score, moves, search.  Imports numpy; reads and writes nothing."""

import os

# The products are small: more threads only cost their start.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
