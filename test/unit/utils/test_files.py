# SPDX-License-Identifier: BSD-2-Clause
"""Files that are whole or not there."""

import errno
import os

import pytest

from gantry.utils.files import write_atomic


def refuse_unnamed(monkeypatch):
    real = os.open

    def opened(path, flags, *args, **kwargs):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not here")
        return real(path, flags, *args, **kwargs)
    monkeypatch.setattr(os, "open", opened)


@pytest.mark.parametrize("unnamed", [True, False])
def test_replaces_whole_files_with_their_mode(tmp_path, monkeypatch, unnamed):
    if not unnamed:
        refuse_unnamed(monkeypatch)
    file = tmp_path / "new folder" / "file"
    for text, mode in (("one\n", 0o600), ("two\n", 0o444), ("three\n", 0o640)):
        write_atomic(file, text, mode=mode)
        assert file.read_text() == text
        assert file.stat().st_mode & 0o777 == mode
        assert [path.name for path in file.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("unnamed", [True, False])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, unnamed):
    if not unnamed:
        refuse_unnamed(monkeypatch)
    file = tmp_path / "file"
    write_atomic(file, "old")

    def full(_source, _target):
        raise OSError(errno.ENOSPC, "full")
    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="full"):
        write_atomic(file, "new")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_crash_while_it_is_written_leaves_nothing(tmp_path, monkeypatch):
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        pytest.skip("this file system knows no files without a name")

    def crash(_handle):
        assert list(tmp_path.iterdir()) == []
        raise KeyboardInterrupt
    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "file", "text")
