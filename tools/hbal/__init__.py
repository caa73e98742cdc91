# SPDX-License-Identifier: BSD-2-Clause
"""The balancer and allocator family: hbal, hail, hspace, hcheck, hinfo, hroller, hscan, hsqueeze, harep.

Usable without a cluster; of `gantry` it knows only the client side.  `model` is what a cluster is, `load` reads it
from files, simulations and clusters, `core` computes on it with numpy, `programs` talk to people.
"""

RELEASE = "3.0.2"
"""The release of the original that the programs stand for in their output."""
