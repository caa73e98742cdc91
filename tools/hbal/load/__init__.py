# SPDX-License-Identifier: BSD-2-Clause
"""Where cluster data comes from and goes to; each source is a module that returns a `model.ClusterData`."""
