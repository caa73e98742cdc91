# SPDX-License-Identifier: BSD-2-Clause
"""What setup.py declares: requirements, packages, programs.  Read from the file itself, so that it is never stale."""

import contextlib
import runpy
from functools import cache
from typing import Any
from unittest import mock

from qa.work import TREE


@cache
def _arguments() -> dict[str, Any]:
    with mock.patch("setuptools.setup") as setup, contextlib.chdir(TREE):
        runpy.run_path("setup.py")
    return dict(setup.call_args.kwargs)


def requirements() -> list[str]:
    """As in `install_requires`."""
    return list(_arguments()["install_requires"])


def folders() -> dict[str, str]:
    """Package to the folder of the tree it lies in."""
    return dict(_arguments()["package_dir"])


def programs() -> dict[str, tuple[str, str]]:
    """Program to (module, function)."""
    found = {}
    for line in _arguments()["entry_points"]["console_scripts"]:
        name, _, target = line.partition("=")
        module, _, function = target.partition(":")
        found[name.strip()] = (module.strip(), function.strip())
    return found
