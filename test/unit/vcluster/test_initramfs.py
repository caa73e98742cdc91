# SPDX-License-Identifier: BSD-2-Clause
"""Initramfs images, and the order of kernel modules."""

import lzma
from pathlib import Path

import pytest

from vcluster import guestkit, initramfs, packages


def read_back(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and content by name."""
    found, at = {}, 0
    while True:
        assert archive[at:at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * index:at + 14 + 8 * index], 16) for index in range(13)]
        name = archive[at + 110:at + 110 + fields[11] - 1].decode()
        start = (at + 110 + fields[11] + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], archive[start:start + fields[6]])
        at = (start + fields[6] + 3) & ~3


def module(*needs: str) -> bytes:
    return b"\x7fELF\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0name=x\0"


def test_what_is_packed_can_be_read():
    archive = initramfs.cpio([initramfs.folder("bin"), initramfs.file("bin/a", b"12345"),
                              initramfs.link("bin/b", "a"), initramfs.device("console", 5, 1)])
    assert read_back(archive) == {"bin": (0o040755, b""), "bin/a": (0o100755, b"12345"), "bin/b": (0o120777, b"a"),
                                  "console": (0o020600, b"")}


def test_modules_come_after_what_they_need(tmp_path):
    folder = tmp_path / "kernel/drivers"
    folder.mkdir(parents=True)
    (folder / "blk.ko").write_bytes(module("virtio", "ring"))
    (folder / "virtio.ko.xz").write_bytes(lzma.compress(module("ring")))
    (folder / "ring.ko").write_bytes(module())
    (folder / "other.ko").write_bytes(module())
    order = initramfs.insmod_order(["blk", "built_in"], initramfs.find_modules(tmp_path))
    assert [name for name, _ in order] == ["ring", "virtio", "blk"]
    assert order[1][1] == module("ring")


def test_a_local_kernel_needs_its_modules(tmp_path):
    for name in ("vmlinuz-6.1.0-1-amd64", "vmlinuz-6.1.0-2-cloud-amd64"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "modules/6.1.0-1-amd64").mkdir(parents=True)
    found = guestkit._local_kernels(tmp_path, tmp_path / "modules")
    assert [kernel.name for kernel, _ in found] == ["vmlinuz-6.1.0-1-amd64"]


@pytest.fixture
def kernel(tmp_path, monkeypatch) -> Path:
    """A made-up kernel and busybox in the place of real ones; counts how often they were asked for."""
    source = tmp_path / "source"
    (source / "modules/kernel").mkdir(parents=True)
    (source / "modules/kernel/button.ko").write_bytes(module())
    (source / "vmlinuz").write_bytes(b"kernel")
    (source / "busybox").write_bytes(b"busybox")
    asked = source / "asked"
    asked.write_text("")

    def find(_scratch):
        asked.write_text(asked.read_text() + "x")
        return source / "vmlinuz", source / "modules"
    monkeypatch.setattr(guestkit, "find_kernel", find)
    monkeypatch.setattr(guestkit, "find_busybox", lambda _scratch: source / "busybox")
    return asked


def test_the_cache_is_made_once_for_all_clusters(tmp_path, kernel):
    for name in ("a", "b", "a"):
        guestkit.prepare(tmp_path / name, cache=tmp_path / "cache")
    assert kernel.read_text() == "x"
    parameters = guestkit.hv_parameters(tmp_path / "b")
    assert Path(parameters["kernel_path"]).read_bytes() == b"kernel"
    inside = read_back(Path(parameters["initrd_path"]).read_bytes())
    assert inside["modules/order"][1] == b"button.ko\n"
    assert inside["init"] == (0o100755, guestkit.INIT.read_bytes())


def test_a_changed_recipe_makes_it_anew(tmp_path, kernel, monkeypatch):
    guestkit.prepare(tmp_path / "a", cache=tmp_path / "cache")
    monkeypatch.setattr(guestkit, "_VERSION", 99)
    guestkit.prepare(tmp_path / "a", cache=tmp_path / "cache")
    assert kernel.read_text() == "xx"


def test_a_cache_that_cannot_be_used_is_not_needed(tmp_path, kernel):
    (tmp_path / "file").write_text("")
    guestkit.prepare(tmp_path / "a", cache=tmp_path / "file/cache")
    assert (tmp_path / "a/initramfs").is_file()


def test_packages_that_are_there_are_not_missing(monkeypatch):
    monkeypatch.setattr(packages.shutil, "which", lambda name: None if name == "busybox" else f"/bin/{name}")
    assert packages.missing() == ["busybox-static"]
