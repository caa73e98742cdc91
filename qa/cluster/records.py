# SPDX-License-Identifier: BSD-2-Clause
"""The recording guest seen from outside: its boot sector, and what must be on a disk it has written to.

The source of the boot sector is `recorder/recorder.S`; it says what a record is.
"""

import base64
import gzip
import re
import struct
from collections.abc import Iterable

_CODE = bytes.fromhex(
    "fa31c08ed88ec08ed0bc007cfbfc8816677dba0206b80001efbe4f7de82501e80d016631f666bd0000080067668d5c2eff6656e8"
    "8700665e72036601ee66d1ed75e96689f3be527de8c600bf008066a1fa7d66ab6689d866abb97d006669c00d66190066055ff36e"
    "3c66abe2efe87400668915b80043e87c00be5e7d720abe597de88d006643eb03e8860066a16c04f4ba0006edf6c401751166a16c"
    "04663b06687d74eb66a3687deba1be637de89400e87c00ba0406b80020eff4ebfdb442e83300721f66a1fa7d6639060080751366"
    "391e0480750ce80b00663916fc817502f8c3f9c3be0080b97f006631d266ad6601c2e2f9c367668d4b0166890e747d8a16677dbe"
    "6c7d66536655cd13665d665bc3e830006689dab9080066c1c20488d0240f04303c3976020427e80400e2ebb00a5288c4bafd03ec"
    "a82074fb88e0baf803ee5ac3ac84c07405e8e5ffebf6c3555000464f554e44200041434b20004552522000425945000000000000"
    "100001000080")
SECTOR = _CODE.ljust(510, b"\0") + b"\x55\xaa"
"""With the mark 0; the OS definition chooses another."""
BLOCK = 512
_MARK = slice(506, 510)
_LINE = re.compile(r"^(FOUND|ACK|ERR) ([0-9a-f]{8})$")


def record(mark: bytes, number: int) -> bytes:
    """Record `number` as the guest writes it."""
    words = [int.from_bytes(mark, "little"), number]
    value = number
    for _ in range(125):
        value = (value * 1664525 + 1013904223) & 0xFFFFFFFF
        words.append(value)
    words.append(sum(words) & 0xFFFFFFFF)
    return struct.pack("<128I", *words)


def whole_records(disk: bytes) -> int:
    """How many records, without a gap and without a wrong bit, are at the beginning of a disk."""
    mark, count = disk[_MARK], 0
    while disk[(count + 1) * BLOCK:(count + 2) * BLOCK] == record(mark, count):
        count += 1
    return count


def numbers(lines: Iterable[str], word: str = "ACK") -> list[int]:
    """The numbers after `word` on the whole lines of a console."""
    found = (_LINE.match(line.strip()) for line in lines)
    return [int(match[2], 16) for match in found if match and match[1] == word]


def unpacked(text: str) -> bytes:
    """What a node sent as `gzip | base64`."""
    return gzip.decompress(base64.b64decode(text))
