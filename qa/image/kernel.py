# SPDX-License-Identifier: BSD-2-Clause
"""The nodes' kernel: Debian's cloud kernel with all its modules, and an initramfs that finds the root disk."""

import shutil
import tempfile
from pathlib import Path

from qa import work
from qa.work import Unavailable
from vcluster import guestkit, initramfs

EARLY = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng"]
_APPLETS = ["sh", "mount", "insmod", "switch_root", "cat"]
_SIGNATURE = b"~Module signature appended~\n"
_INIT = b"""#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read module; do insmod "/modules/$module"; done </modules/order
mount -t ext4 -o noatime,rw /dev/vda /root
for folder in proc sys dev; do mount -o move "/$folder" "/root/$folder"; done
exec switch_root /root /opt/qa/init
"""


def fetched() -> tuple[Path, Path]:
    """(kernel, its module folder) in the cache, the modules without signatures: each check costs a tenth of a
    second on an emulated machine."""
    kept = work.cache() / "kernel"
    if not kept.is_dir():
        partial = kept.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=work.cache()) as scratch:
            try:
                kernel, modules = guestkit.find_kernel(Path(scratch))
            except guestkit.GuestKitError as err:
                raise Unavailable(str(err)) from err
            partial.mkdir()
            shutil.copy(kernel, partial / kernel.name)
            shutil.copytree(modules, partial / modules.name, symlinks=True,
                            ignore=shutil.ignore_patterns("build", "source"))
        for module in partial.rglob("*.ko"):
            module.write_bytes(without_signature(module.read_bytes()))
        partial.rename(kept)
    kernel = next(kept.glob("vmlinuz-*"))
    return kernel, kept / kernel.name.removeprefix("vmlinuz-")


def without_signature(code: bytes) -> bytes:
    """A module's code without the signature at its end, if there is one: signature, 12 bytes that end with the
    signature's length, and the mark."""
    if not code.endswith(_SIGNATURE):
        return code
    end = len(code) - len(_SIGNATURE)
    length = int.from_bytes(code[end - 4:end], "big")
    return code[:end - 12 - length]


def early_image(modules: Path) -> bytes:
    """The initramfs: busybox and the modules without which there is no root disk."""
    with tempfile.TemporaryDirectory(dir=work.cache()) as scratch:
        busybox = guestkit.find_busybox(Path(scratch)).read_bytes()
    loaded = initramfs.insmod_order(EARLY, initramfs.find_modules(modules))
    entries = [initramfs.folder(name) for name in ("bin", "dev", "proc", "sys", "root", "modules")]
    entries += [initramfs.device("dev/console", 5, 1), initramfs.file("bin/busybox", busybox)]
    entries += [initramfs.link(f"bin/{name}", "busybox") for name in _APPLETS]
    entries += [initramfs.file(f"modules/{name}.ko", code) for name, code in loaded]
    order = "".join(f"{name}.ko\n" for name, _ in loaded)
    entries += [initramfs.file("modules/order", order.encode()), initramfs.file("init", _INIT)]
    return initramfs.cpio(entries)
