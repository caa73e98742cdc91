# SPDX-License-Identifier: BSD-2-Clause
"""Planning what is done to nodes: reboots in turn (`colouring`, `reboots`), and taking nodes offline (`squeeze`)."""
