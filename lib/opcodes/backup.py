# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for exports of instances."""

from typing import Any

from gantry.opcodes.base import param
from gantry.opcodes.common import InstanceCommand
from gantry.opcodes.types import BOOL, EXPORT_TARGET, FLOAT, INT, LIST, NESTR, STR, UINT, one_of


class BackupPrepare(InstanceCommand):
    """Prepare a remote export."""

    mode: str = param(one_of("local", "remote"), "local or remote")


class BackupExport(InstanceCommand):
    """Export an instance."""

    compress: str = param(
        STR, "compression tool for the transfer (none, or one of the cluster's compression_tools)", default="none")
    shutdown_timeout: int = param(UINT, "seconds to wait for a clean stop", default=120)
    target_node: str | list[Any] = param(
        EXPORT_TARGET, "local: node name; remote: list of [host,port,magic] per disk")
    target_node_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)
    shutdown: bool = param(BOOL, "stop the instance for the export", default=True)
    remove_instance: bool = param(BOOL, "remove the instance after the export", default=False)
    ignore_remove_failures: bool = param(BOOL, "with remove_instance: ignore removal problems", default=False)
    mode: str = param(one_of("local", "remote"), "local or remote", default="local")
    x509_key_name: list[Any] | None = param(LIST, "[key, hmac, salt] from OP_BACKUP_PREPARE", default=None)
    destination_x509_ca: str | None = param(NESTR, "PEM CA of the receiving cluster (remote mode)", default=None)
    zero_free_space: bool = param(BOOL, "zero unused space before export", default=False)
    zeroing_timeout_fixed: int | None = param(INT, "fixed seconds for zeroing", default=None)
    zeroing_timeout_per_mib: float | None = param(FLOAT, "extra seconds per MiB", default=None)
    long_sleep: bool = param(BOOL, "allow shutdown timeouts above the normal RPC limit", default=False)


class BackupRemove(InstanceCommand):
    """Delete an export of that name."""
