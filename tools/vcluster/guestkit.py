# SPDX-License-Identifier: BSD-2-Clause
"""Kernel and initramfs of the small guest: a stock Debian kernel, busybox, and the guest's own init.

Made once a machine, in a cache folder, without root: the kernel and busybox are this machine's own where
they fit, else they are taken from Debian's packages.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gantry.errors import CommandFailed, Error
from gantry.utils import command
from gantry.utils.files import write_atomic
from vcluster import initramfs

MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_balloon", "button", "evdev"]
APPLETS = ["sh", "mount", "insmod", "cat", "dd", "tr", "echo", "printf", "usleep", "sync", "poweroff", "reboot"]
KERNEL_ARGS = "quiet panic=-1 mitigations=off nokaslr cryptomgr.notests no_timer_check tsc=unstable ro"
INIT = Path(__file__).parent / "guest" / "init"
_META_PACKAGE = "linux-image-cloud-amd64"
_SECONDS = 300.0
_VERSION = 1
"""Grows when the making changes, so that older caches are made anew."""


class GuestKitError(Error):
    """The guest's kernel or initramfs cannot be made here."""


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/gantry` or `~/.cache/gantry`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gantry"


def prepare(folder: Path, *, cache: Path | None = None) -> None:
    """Put `vmlinuz` and `initramfs` into `folder`; quick when the cache (or the folder) has them.

    Raises GuestKitError with what to install or do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cache = cache or default_cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        usable = os.access(cache, os.W_OK)
    except OSError:
        usable = False
    source = cache if usable else folder
    with _locked(source):
        if not _is_current(source):
            _make(source)
    if source == folder or (_is_current(folder) and _stamp(source) == _stamp(folder)):
        return
    for name in ("vmlinuz", "initramfs", "stamp"):
        write_atomic(folder / name, (source / name).read_bytes(), mode=0o644)


def hv_parameters(folder: Path) -> dict[str, str]:
    """Hypervisor parameters of the OS `gantry-guest` for KVM, once `prepare(folder)` was called."""
    return {"kernel_path": str(folder / "vmlinuz"), "initrd_path": str(folder / "initramfs"),
            "kernel_args": KERNEL_ARGS, "root_path": "/dev/ram0"}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One maker at a time; a second one finds what the first has made."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _stamp(folder: Path) -> str:
    try:
        return (folder / "stamp").read_text()
    except OSError:
        return ""


def _recipe() -> str:
    text = f"{_VERSION} {MODULES} {APPLETS} ".encode() + INIT.read_bytes()
    return hashlib.sha256(text).hexdigest()


def _is_current(folder: Path) -> bool:
    whole = all((folder / name).is_file() for name in ("vmlinuz", "initramfs"))
    return whole and _stamp(folder).startswith(_recipe())


def _make(folder: Path) -> None:
    if platform.machine() not in ("x86_64", "AMD64"):
        raise GuestKitError(detail=f"the small guest is made for x86_64 only, this machine is {platform.machine()}")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        kernel, modules = find_kernel(Path(scratch))
        image = _initramfs(find_busybox(Path(scratch)).read_bytes(), modules)
        write_atomic(folder / "vmlinuz", kernel.read_bytes(), mode=0o644)
        write_atomic(folder / "initramfs", image, mode=0o644)
        write_atomic(folder / "stamp", f"{_recipe()} {modules.name}\n", mode=0o644)


def _initramfs(busybox: bytes, modules: Path) -> bytes:
    loaded = initramfs.insmod_order(MODULES, initramfs.find_modules(modules))
    entries = [initramfs.folder(name) for name in ("bin", "dev", "proc", "sys", "modules")]
    entries += [initramfs.device("dev/console", 5, 1), initramfs.file("bin/busybox", busybox)]
    entries += [initramfs.link(f"bin/{name}", "busybox") for name in APPLETS]
    entries += [initramfs.file(f"modules/{name}.ko", code) for name, code in loaded]
    order = "".join(f"{name}.ko\n" for name, _ in loaded)
    entries += [initramfs.file("modules/order", order.encode()), initramfs.file("init", INIT.read_bytes())]
    return initramfs.cpio(entries)


def find_kernel(scratch: Path) -> tuple[Path, Path]:
    """(kernel, its module folder).  Debian's cloud kernel boots twice as fast as the others, so it is
    preferred even if it has to be fetched."""
    local = _local_kernels(Path("/boot"), Path("/lib/modules"))
    fast = [pair for pair in local if "cloud" in pair[0].name]
    if fast:
        return fast[-1]
    try:
        return _packaged_kernel(scratch)
    except CommandFailed as err:
        if local:
            return local[-1]
        raise GuestKitError(detail=f"no kernel for the small guest: /boot has none that can be read, and fetching "
                                   f"{_META_PACKAGE} failed ({err}); run `apt-get update`, or install that "
                                   "package, as root") from err


def _local_kernels(boot: Path, modules: Path) -> list[tuple[Path, Path]]:
    pairs = [(kernel, modules / kernel.name.removeprefix("vmlinuz-")) for kernel in sorted(boot.glob("vmlinuz-*"))]
    return [(kernel, folder) for kernel, folder in pairs if os.access(kernel, os.R_OK) and folder.is_dir()]


def _packaged_kernel(scratch: Path) -> tuple[Path, Path]:
    listed = command.run(["apt-cache", "depends", _META_PACKAGE], seconds=60, may_fail=True).stdout
    found = [line.split()[-1] for line in listed.splitlines() if "Depends: linux-image-" in line]
    if not found:
        _update_lists()
        listed = command.run(["apt-cache", "depends", _META_PACKAGE], seconds=60).stdout
        found = [line.split()[-1] for line in listed.splitlines() if "Depends: linux-image-" in line]
    tree = _unpack(found[0] if found else _META_PACKAGE, scratch)
    local = _local_kernels(tree / "boot", tree / "lib/modules")
    if not local:
        local = _local_kernels(tree / "boot", tree / "usr/lib/modules")
    if not local:
        raise CommandFailed(command="dpkg-deb", status=0, output=f"no kernel is in {found}")
    return local[-1]


def find_busybox(scratch: Path) -> Path:
    """A busybox that needs no libraries."""
    own = shutil.which("busybox")
    if own and b"/ld-linux" not in Path(own).read_bytes():
        return Path(own)
    try:
        tree = _unpack("busybox-static", scratch)
        return next(path for path in (tree / "bin/busybox", tree / "usr/bin/busybox") if path.is_file())
    except (CommandFailed, StopIteration) as err:
        raise GuestKitError(detail="no static busybox for the small guest; as root: apt-get install busybox-static "
                                   f"({err})") from err


def _unpack(package: str, scratch: Path) -> Path:
    """Fetch a Debian package and unpack it below `scratch`."""
    folder = scratch / package
    folder.mkdir(exist_ok=True)
    fetch = ["apt-get", "-q", "-o", "Acquire::Retries=2", "-o", "APT::Sandbox::User=", "download", package]
    if command.run(fetch, seconds=_SECONDS, cwd=folder, may_fail=True).status != 0:
        _update_lists()
        command.run(fetch, seconds=_SECONDS, cwd=folder)
    archive = next(folder.glob("*.deb"))
    command.run(["dpkg-deb", "-x", str(archive), str(folder / "tree")], seconds=_SECONDS)
    return folder / "tree"


def _update_lists() -> None:
    """Fresh package lists, where we may; they name files that the mirrors still have."""
    if os.geteuid() == 0:
        command.run(["apt-get", "-q", "update"], seconds=_SECONDS, may_fail=True)
