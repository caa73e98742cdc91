# SPDX-License-Identifier: BSD-2-Clause
"""What a cluster of real nodes must show, a file each."""
