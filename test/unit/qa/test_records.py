# SPDX-License-Identifier: BSD-2-Clause
"""The recording guest and the check of what it wrote agree."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from qa.cluster import records

SOURCE = Path(records.__file__).parent / "recorder/recorder.S"
MARK = b"\x01\x02\x03\x04"


def disk(count: int) -> bytearray:
    first = bytearray(records.SECTOR)
    first[506:510] = MARK
    return first + b"".join(records.record(MARK, number) for number in range(count)) + bytes(2048)


def test_the_boot_sector_is_what_its_source_says(tmp_path):
    if shutil.which("as") is None or shutil.which("ld") is None:
        pytest.skip("binutils is not installed")
    subprocess.run(["as", "--32", "-o", str(tmp_path / "o"), str(SOURCE)], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o", str(tmp_path / "sector"),
                    str(tmp_path / "o")], check=True)
    assert (tmp_path / "sector").read_bytes() == records.SECTOR


@pytest.mark.qemu
def test_what_the_guest_writes_is_what_is_checked(tmp_path):
    image = tmp_path / "disk"
    image.write_bytes(disk(2))
    with image.open("r+b") as file:
        file.truncate(1 << 20)
    argv = ["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-nodefaults", "-display", "none", "-m", "16",
            "-serial", "stdio", "-drive", f"file={image},format=raw,if=virtio"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as guest:
        try:
            assert guest.stdout
            lines = [guest.stdout.readline().strip() for _ in range(5)]
        finally:
            guest.kill()
    assert lines[:2] == ["UP", "FOUND 00000002"]
    assert records.numbers(lines) == [2, 3, 4]
    assert records.whole_records(image.read_bytes()) >= 5


@pytest.mark.parametrize("broken", [8, 12, 300, 511])
def test_a_wrong_byte_ends_the_count(broken):
    found = disk(5)
    assert records.whole_records(found) == 5
    found[512 * 4 + broken] ^= 1
    assert records.whole_records(found) == 3


def test_records_of_an_earlier_guest_do_not_count():
    found = disk(5)
    found[506:510] = b"\x09\x09\x09\x09"
    assert records.whole_records(found) == 0


def test_only_whole_lines_of_the_console_count():
    lines = ["UP", "FOUND 00000010", "ACK 00000010", "ACK 0000001", "xACK 00000011", "ERR 00000012", "ACK 0000001f"]
    assert records.numbers(lines) == [0x10, 0x1f]
    assert records.numbers(lines, "ERR") == [0x12]


def test_the_source_says_what_a_record_is():
    assert re.search(r"125 words", SOURCE.read_text())
    assert len(records.record(MARK, 7)) == records.BLOCK
