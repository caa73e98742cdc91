# SPDX-License-Identifier: BSD-2-Clause
"""gnt-watcher: run every few minutes on each node, it starts again what should run and does not."""
