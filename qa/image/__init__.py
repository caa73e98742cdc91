# SPDX-License-Identifier: BSD-2-Clause
"""The image all nodes boot from: a small Debian with a kernel that has DRBD, device-mapper, tun and bridge."""
