# SPDX-License-Identifier: BSD-2-Clause
"""Making the image: Debian, the kernel's modules, Python packages and the files of `overlay/` in one ext4 file.

Cached by what goes into it; older images are removed when a new one is made.
"""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from qa import work
from qa.image import debian, kernel, pythons

OVERLAY = Path(__file__).parent / "overlay"
SITE = Path("usr/local/lib/python3.11/dist-packages")
SIZE = "2G"
NODES_AT_MOST = 9


@dataclass(frozen=True)
class Image:
    """The files of one image; `private_key` opens root's door on every node."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root.img"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def early(self) -> Path:
        return self.folder / "initramfs"

    @property
    def private_key(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def key(self) -> str:
        return self.folder.name


def prepared() -> Image:
    """The image for this tree; seconds when it is in the cache, about three minutes when nothing is."""
    made = work.cache() / f"image-{_key()}"
    if not made.is_dir():
        work.install_host_packages()
        system = debian.folder()
        for old in work.cache().glob("image-*"):
            shutil.rmtree(old)
        partial = made.with_suffix(".partial")
        partial.mkdir()
        work.say("making the nodes' image")
        _make(system, partial)
        partial.rename(made)
    return Image(made)


def _key() -> str:
    parts = [debian.SUITE, str(debian.PACKAGES), pythons.versions()]
    sources = [*OVERLAY.rglob("*"), *Path(__file__).parent.glob("*.py")]
    parts += [f"{path.name} {path.read_text()}" for path in sorted(sources) if path.is_file()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _make(system: Path, target: Path) -> None:
    linux, modules = kernel.fetched()
    shutil.copy(linux, target / "vmlinuz")
    (target / "initramfs").write_bytes(kernel.early_image(modules))
    work.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "qa", "-f", str(target / "id_ed25519")], seconds=30)
    with tempfile.TemporaryDirectory(dir=work.cache()) as scratch:
        root = Path(scratch) / "root"
        work.run(["cp", "-a", str(system), str(root)], seconds=300)
        (root / "lib/modules").mkdir()
        work.run(["cp", "-a", str(modules), str(root / "lib/modules")], seconds=300)
        work.run(["depmod", "-b", str(root), modules.name], seconds=120)
        pythons.copy(root / SITE)
        work.run(["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(root / SITE)],
                 seconds=300, may_fail=True)
        _customise(root, target)
        work.run(["mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum", "-J", "size=8", "-m", "0",
                  "-E", "lazy_itable_init=1,root_owner=0:0", "-d", str(root), str(target / "root.img"), SIZE],
                 seconds=300)


def _customise(root: Path, target: Path) -> None:
    for source in sorted(OVERLAY.rglob("*")):
        place = root / source.relative_to(OVERLAY)
        if source.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.unlink(missing_ok=True)
            shutil.copy(source, place)
            os.chown(place, 0, 0)
    (root / "opt/qa/init").symlink_to("/bin/busybox")
    for suffix in ("", ".pub"):
        shutil.copy(target / f"id_ed25519{suffix}", root / f"root/.ssh/id_ed25519{suffix}")
        shutil.copy(target / f"id_ed25519{suffix}", root / f"etc/ssh/ssh_host_ed25519_key{suffix}")
    shutil.copy(target / "id_ed25519.pub", root / "root/.ssh/authorized_keys")
    for path in (root / "root/.ssh", root / "root/.ssh/id_ed25519", root / "etc/ssh/ssh_host_ed25519_key"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    hosts = ["127.0.0.1 localhost", "10.77.0.10 cluster.qa"]
    hosts += [f"10.77.0.{10 + number} node{number}.qa node{number}" for number in range(1, NODES_AT_MOST + 1)]
    (root / "etc/hosts").write_text("\n".join(hosts) + "\n")
    (root / "etc/fstab").write_text("/dev/vda / ext4 noatime 0 1\n")
    (root / "etc/resolv.conf").write_text("")
