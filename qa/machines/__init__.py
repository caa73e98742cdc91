# SPDX-License-Identifier: BSD-2-Clause
"""Machines in QEMU, in a network namespace of their own: start, kill, freeze, cut off, save and resume."""
