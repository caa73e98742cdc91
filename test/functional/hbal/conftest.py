# SPDX-License-Identifier: BSD-2-Clause
"""Programs of the balancer family, run in this process."""

from collections.abc import Callable
from importlib import import_module

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """`run(program, arguments...)`: exit code, stdout, stderr."""
    def start(program: str, *argv: str) -> tuple[int, str, str]:
        code = import_module(f"hbal.programs.{program}").main(argv)
        captured = capfd.readouterr()
        return code, captured.out, captured.err
    return start
