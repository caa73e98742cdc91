# SPDX-License-Identifier: BSD-2-Clause
"""The remote API: HTTP and JSON for programs that are not on the master."""
