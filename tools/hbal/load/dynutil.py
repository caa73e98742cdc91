# SPDX-License-Identifier: BSD-2-Clause
"""Files with the utilisation of instances (`-U`): lines `name cpu mem disk net`, single blanks between."""

from pathlib import Path

from hbal.errors import Error
from hbal.load.units import number
from hbal.model import Load


class UtilisationError(Error):
    def __str__(self) -> str:
        return f"can't parse utilisation data: {super().__str__()}"


def load(path: str) -> dict[str, Load]:
    """Load by instance name; raises Error."""
    try:
        text = Path(path).read_bytes().decode()
    except (OSError, ValueError) as err:
        raise Error(f"cannot read utilisation data from {path}: {getattr(err, 'strerror', None) or err}") from err
    return parse(text)


def parse(text: str) -> dict[str, Load]:
    found = {}
    for line in text.removesuffix("\n").split("\n") if text else []:
        columns = line.split(" ")
        if len(columns) != 5:
            raise UtilisationError(f"Cannot parse line {line}")
        try:
            found[columns[0]] = Load(*(number(column) for column in columns[1:]))
        except ValueError as err:
            raise UtilisationError(f"{columns[0]}: {err}") from err
    return found
