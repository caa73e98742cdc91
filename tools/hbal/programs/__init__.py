# SPDX-License-Identifier: BSD-2-Clause
"""The programs, a module each: `main(argv) -> exit code`."""
