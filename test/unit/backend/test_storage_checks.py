# SPDX-License-Identifier: BSD-2-Clause
"""What a node finds wrong with its LVM and DRBD."""

import pytest

from gantry.backend import node, storage_checks
from gantry.storage import drbd_device, drbd_status
from support.fakedisks import new_node
from support.fakedisks.inside import Inside


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text("node1\n")
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def programs(root, monkeypatch):
    return Inside(root / "fake", monkeypatch)


def codes(problems):
    return [(problem.code, problem.message) for problem in problems]


def test_a_healthy_node(programs):
    facts, problems = storage_checks.drbd("/bin/true")
    assert (list(storage_checks.volume_group("xenvg")), problems) == ([], [])
    assert (facts.version, facts.helper, facts.minors) == ("8.4.11", "/bin/true", ())


def test_a_missing_group(programs):
    [(code, message)] = codes(storage_checks.volume_group("other"))
    assert code == "ENODELVM"
    assert "there is no volume group 'other'" in message


def test_a_missing_physical_volume(programs, root):
    with programs.world.changing() as state:
        state["nodes"][str(root)] = new_node()
        state["nodes"][str(root)]["pvs"]["/dev/fakea"]["missing"] = True
    [(code, message)] = codes(storage_checks.volume_group("xenvg"))
    assert code == "ENODELVM"
    assert "repair-storage" in message


def test_lvm_that_does_not_answer(programs):
    programs.broken = {"vgs": "no locks"}
    assert codes(storage_checks.volume_group("xenvg")) == [
        ("ENODELVM", "LVM does not say what there is: vgs ended with status 20: no locks")]


def test_another_helper(programs):
    _, problems = storage_checks.drbd("/usr/lib/helper")
    assert [problem.code for problem in problems] == ["ENODEDRBDHELPER"]


def test_a_kernel_without_drbd(programs):
    programs.broken = {"modprobe": "Module drbd not found"}
    facts, problems = storage_checks.drbd("/bin/true")
    assert facts is None
    assert [problem.code for problem in problems] == ["ENODEDRBD"]


def test_a_module_of_another_version(programs, monkeypatch):
    monkeypatch.setattr(drbd_device, "module", lambda: drbd_status.Module(version="9.1.7", eta={}))
    facts, [problem] = storage_checks.drbd("")
    assert facts is None
    assert problem.code == "ENODEDRBD"
    assert "9.1.7" in problem.message


def test_what_is_not_asked_for_is_not_looked_at(root, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    report = node.node_verify(what={})
    assert report.drbd is None
    assert not {"ENODELVM", "ENODEDRBD"} & {problem.code for problem in report.problems}
