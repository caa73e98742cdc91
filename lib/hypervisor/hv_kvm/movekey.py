# SPDX-License-Identifier: BSD-2-Clause
"""The key of one move of a guest: with it both QEMUs encrypt what they send each other, and know that it is theirs.

It is made by the target for this one time: QEMU has no business with the node's own certificate.
"""

import os
import pwd
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm import cmdline, files
from gantry.hypervisor.hv_kvm.qmp import Qmp
from gantry.hypervisor.hv_kvm.runtime import Runtime
from gantry.utils.files import write_atomic

NAME = "move-tls"
"""Of the object with the credentials, in both QEMUs."""


def new() -> str:
    return secrets.token_hex(32)


def put(qmp: Qmp, record: Runtime, end: str, key: str) -> None:
    """Let the guest's QEMU know the key, in place of one it has; `end` of the connection: server or client."""
    forget(qmp, record)
    folder, seen = _folder(record)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(folder / "keys.psk", f"qemu:{key}\n", mode=0o600)
    owner = _user(record)
    if owner is not None:
        for path in (folder, folder / "keys.psk"):
            os.chown(path, owner, -1)
        for path in (folder.parent, folder.parent.parent):  # through which that user must come
            path.chmod(0o751)
    qmp.execute("object-add", qom_type="tls-creds-psk", id=NAME, endpoint=end, dir=seen)


def forget(qmp: Qmp, record: Runtime) -> None:
    """Harmless when it has none.  Connections that are up stay up."""
    with suppress(HypervisorError):  # it is not there
        qmp.execute("object-del", id=NAME)
    shutil.rmtree(_folder(record)[0], ignore_errors=True)


def _folder(record: Runtime) -> tuple[Path, str]:
    """(where it is for us, where for QEMU: seen from its working directory, or its root)."""
    own = files.of(record.spec.uuid)
    if cmdline.params(record.spec)["use_chroot"]:
        return own.chroot / "key", "/key"
    return own.key_folder, str(own.key_folder.relative_to(own.folder))


def _user(record: Runtime) -> int | None:
    """As whom QEMU runs, when not as we do."""
    hv = cmdline.params(record.spec)
    if hv["security_model"] == "user":
        return pwd.getpwnam(hv["security_domain"]).pw_uid
    return record.uid
