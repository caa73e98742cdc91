# SPDX-License-Identifier: BSD-2-Clause
"""What can go wrong, each with the exit code a program ends with."""


class Error(Exception):
    """A sentence for the operator."""

    exit_code = 1


class LoadError(Error):
    """The cluster data could not be had or not be understood."""

    def __str__(self) -> str:
        return f"failed to load data, aborting: {super().__str__()}"

    @property
    def detail(self) -> str:
        return super().__str__()


class BadOption(Error):
    """The command line cannot be understood; the usage follows."""

    exit_code = 2


class BadValue(Error):
    """An option got a value it cannot have."""


class BadUnit(ValueError):
    """A size that is no number with a known unit."""
