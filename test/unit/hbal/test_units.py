# SPDX-License-Identifier: BSD-2-Clause
"""Sizes with units."""

import pytest

from hbal.errors import BadUnit
from hbal.load.units import mebibytes


@pytest.mark.parametrize(("text", "size"), [
    ("0", 0), ("5", 5), (" 5 ", 5), ("5m", 5), ("5 mib", 5), ("5MIB", 5), ("1g", 1024), ("1GiB", 1024),
    ("2t", 2097152), ("1tIb", 1048576), ("1M", 0), ("2MB", 1), ("1G", 953), ("3 gb", 2861), ("1T", 953674),
    ("1tb", 953674),
])
def test_sizes(text: str, size: int) -> None:
    assert mebibytes(text) == size


@pytest.mark.parametrize("text", ["", "x", "1q", "1 k", "1.5g", "1gg", "1Gibb", "m"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(BadUnit):
        mebibytes(text)
