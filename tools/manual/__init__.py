# SPDX-License-Identifier: BSD-2-Clause
"""Makes the manual pages: texts from man/*.rst, lists of commands, options and errors from the declarations."""
