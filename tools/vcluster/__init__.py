# SPDX-License-Identifier: BSD-2-Clause
"""A whole cluster on one machine: N nodes, each a root folder and a loopback address of its own.

The daemons, certificates and protocols are those of production; disks are files and guests run in real
QEMU.  It needs no root.
"""
