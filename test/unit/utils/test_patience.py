# SPDX-License-Identifier: BSD-2-Clause
"""GANTRY_PATIENCE: limits grow, and a mistyped setting changes nothing."""

import subprocess
import sys

import pytest

SHOW = ("from gantry.rpc import calls, exchange; from gantry.utils import command;"
        "print(calls.version.seconds, calls.node_info.seconds, exchange.CONNECT_MS)")


def limits(env):
    done = subprocess.run([sys.executable, "-c", SHOW], env=env, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def test_limits_grow():
    assert limits({"GANTRY_PATIENCE": "4"}) == [4 * value for value in limits({})]


@pytest.mark.parametrize("text", ["", "often", "0", "-3", "0.5"])
def test_what_makes_no_sense_changes_nothing(text):
    assert limits({"GANTRY_PATIENCE": text}) == limits({})


def test_a_program_gets_longer():
    code = ("from gantry.utils import command; from gantry.errors import CommandFailed\n"
            "try: command.run(['sleep', '30'], seconds=0.01)\n"
            "except CommandFailed as err: print(err.facts['output'])")
    done = subprocess.run([sys.executable, "-c", code], env={"GANTRY_PATIENCE": "5", "PATH": "/usr/bin:/bin"},
                          capture_output=True, text=True, check=True)
    assert "0.05 s" in done.stdout
