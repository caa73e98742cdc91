# SPDX-License-Identifier: BSD-2-Clause
"""Gantry on the machines: installing it, making the cluster, its guests, and what must be true of them."""
