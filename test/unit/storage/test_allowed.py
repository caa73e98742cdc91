# SPDX-License-Identifier: BSD-2-Clause
"""Which folders may hold disks."""

import json
from pathlib import Path

import pytest

from gantry.storage import allowed


@pytest.mark.parametrize("folder", [
    "/etc", "/etc/x", "/home/me/disks", "/root", "/usr/lib", "/usr/local/sbin/x", "/lib64", "/proc/1", "relative",
    "/srv/../etc"])
def test_system_folders_are_forbidden(folder, monkeypatch):
    monkeypatch.delenv("GANTRY_ROOT", raising=False)
    assert allowed.forbidden(Path(folder))


@pytest.mark.parametrize("folder", ["/srv/ganeti/file-storage", "/var/lib/disks", "/usr/share/x", "/libs", "/mnt"])
def test_others_are_not(folder, monkeypatch):
    monkeypatch.delenv("GANTRY_ROOT", raising=False)
    assert allowed.forbidden(Path(folder)) == ""


@pytest.mark.parametrize(("folder", "bad"), [
    ("/home/me/cluster/node1/srv/disks", False), ("/home/me/cluster/node1/etc/disks", True),
    ("/home/me/cluster/shared", False), ("/home/me/other", True), ("/root/x", True)])
def test_a_virtual_cluster_in_a_home_folder_is_judged_by_its_own_root(folder, bad, tmp_path, monkeypatch):
    here = allowed.paths.Paths(Path("/home/me/cluster/node1"))
    listed = tmp_path / "virtual"
    listed.write_text(json.dumps({name: {"root": f"/home/me/cluster/{name}", "address": ""}
                                  for name in ("node1", "node2")}))
    here.__dict__["virtual"] = listed
    monkeypatch.setattr(allowed.paths, "here", lambda: here)
    assert bool(allowed.forbidden(Path(folder))) is bad
