# SPDX-License-Identifier: BSD-2-Clause
"""Instances."""

from typing import Any

from gantry.rapi.client.transport import Listed


class Instances(Listed):
    folder, key = "instances", "id"

    def create(self, name: str, disk_template: str, disks: list[dict[str, Any]], nics: list[dict[str, Any]], *,
               dry_run: bool = False, **params: Any) -> int:
        """`params`: mode is create unless it says otherwise; `reason` goes with the request."""
        arguments = {"dry-run": dry_run, "reason": params.pop("reason", None)}
        return self._job("POST", "/2/instances", arguments, {
            "__version__": 1, "mode": "create", "name": name, "disk_template": disk_template, "disks": disks,
            "nics": nics, **params})

    def create_several(self, instances: list[dict[str, Any]], *, dry_run: bool = False, reason: str | None = None,
                       **params: Any) -> int:
        """Bodies as `create` sends them; the jobs are in the result of the job."""
        return self._job("POST", "/2/instances-multi-alloc", {"dry-run": dry_run, "reason": reason},
                         {"instances": instances, **params})

    def remove(self, name: str, *, dry_run: bool = False, reason: str | None = None, **params: Any) -> int:
        return self._job("DELETE", self._path(name), {"dry-run": dry_run, "reason": reason}, params)

    def info(self, name: str, *, static: bool = False, reason: str | None = None) -> int:
        """What is known is the result of the job."""
        return self._job("GET", self._path(name, "info"), {"static": static, "reason": reason})

    def reboot(self, name: str, kind: str = "hard", *, ignore_secondaries: bool = False, dry_run: bool = False,
               reason: str | None = None, **params: Any) -> int:
        return self._job("POST", self._path(name, "reboot"), {
            "type": kind, "ignore_secondaries": ignore_secondaries, "dry-run": dry_run, "reason": reason}, params)

    def shutdown(self, name: str, *, no_remember: bool = False, dry_run: bool = False, reason: str | None = None,
                 **params: Any) -> int:
        return self._job("PUT", self._path(name, "shutdown"),
                         {"no_remember": no_remember, "dry-run": dry_run, "reason": reason}, params)

    def startup(self, name: str, *, force: bool = False, no_remember: bool = False, dry_run: bool = False,
                reason: str | None = None) -> int:
        return self._job("PUT", self._path(name, "startup"),
                         {"force": force, "no_remember": no_remember, "dry-run": dry_run, "reason": reason})

    def reinstall(self, name: str, *, reason: str | None = None, **params: Any) -> int:
        return self._job("POST", self._path(name, "reinstall"), {"reason": reason}, params)

    def replace_disks(self, name: str, *, reason: str | None = None, **params: Any) -> int:
        return self._job("POST", self._path(name, "replace-disks"), {"reason": reason}, params)

    def activate_disks(self, name: str, *, ignore_size: bool = False, reason: str | None = None) -> int:
        return self._job("PUT", self._path(name, "activate-disks"), {"ignore_size": ignore_size, "reason": reason})

    def deactivate_disks(self, name: str, *, reason: str | None = None, **params: Any) -> int:
        return self._job("PUT", self._path(name, "deactivate-disks"), {"reason": reason}, params)

    def recreate_disks(self, name: str, *, reason: str | None = None, **params: Any) -> int:
        return self._job("POST", self._path(name, "recreate-disks"), {"reason": reason}, params)

    def grow_disk(self, name: str, disk: int, amount: int, *, reason: str | None = None, **params: Any) -> int:
        return self._job("POST", self._path(name, "disk", str(disk), "grow"), {"reason": reason},
                         {"amount": amount, **params})

    def prepare_export(self, name: str, mode: str, *, reason: str | None = None) -> int:
        return self._job("PUT", self._path(name, "prepare-export"), {"mode": mode, "reason": reason})

    def export(self, name: str, destination: Any, *, reason: str | None = None, **params: Any) -> int:
        return self._job("PUT", self._path(name, "export"), {"reason": reason}, {"destination": destination, **params})

    def remove_export(self, name: str, *, reason: str | None = None) -> int:
        return self._job("DELETE", self._path(name, "export"), {"reason": reason})

    def migrate(self, name: str, *, reason: str | None = None, **params: Any) -> int:
        return self._job("PUT", self._path(name, "migrate"), {"reason": reason}, params)

    def failover(self, name: str, *, reason: str | None = None, **params: Any) -> int:
        return self._job("PUT", self._path(name, "failover"), {"reason": reason}, params)

    def rename(self, name: str, new_name: str, *, reason: str | None = None, **params: Any) -> int:
        return self._job("PUT", self._path(name, "rename"), {"reason": reason}, {"new_name": new_name, **params})

    def modify(self, name: str, *, reason: str | None = None, **params: Any) -> int:
        return self._job("PUT", self._path(name, "modify"), {"reason": reason}, params)

    def console(self, name: str) -> dict[str, Any]:
        return dict(self._transport.get(self._path(name, "console")))
