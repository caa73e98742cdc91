# SPDX-License-Identifier: BSD-2-Clause
"""The pure core on numpy arrays: state of a group, score, moves, search.  Imports numpy; reads and writes nothing."""
