# SPDX-License-Identifier: BSD-2-Clause
"""A cluster of real machines: small Debian nodes inside QEMU, with LVM, DRBD, bridges and taps of their own kernels."""
