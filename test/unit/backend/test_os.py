# SPDX-License-Identifier: BSD-2-Clause
"""OS definitions: what is valid, which variants and parameters there are, and how scripts are run."""

import os
from pathlib import Path

import psutil
import pytest

from gantry import errors
from gantry.backend import os as backend
from gantry.backend import scripts
from gantry.constants import DiskTemplate
from gantry.objects.instance import Disk, FileLocation
from gantry.utils import retry

SCRIPT = "#!/bin/sh\n"


class Canceled(Exception):
    pass


def quiet(fraction: float, message: str) -> None:
    pass


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    root = tmp_path / "node1"
    (root / "etc/gantry").mkdir(parents=True)
    (root / "etc/hostname").write_text("node1\n")
    (root / "etc/gantry/file-storage-paths").write_text(f"{tmp_path}/disks\n")
    monkeypatch.setenv("GANTRY_ROOT", str(root))
    return root


def define(root: Path, name: str = "tiny", *, folder: str = "srv/ganeti/os", **files: str | None) -> Path:
    """A definition; `files` by name (a dot written as __) replace or, with None, remove the usual ones."""
    there = {"ganeti_api_version": "20\n", "parameters.list": "dhcp Whether to ask\nroot-size Size of /\n"}
    there |= dict.fromkeys(("create", "import", "export", "rename", "verify"), SCRIPT)
    path = root / folder / name
    path.mkdir(parents=True)
    for file, text in (there | {key.replace("__", "."): value for key, value in files.items()}).items():
        if text is not None:
            (path / file).write_text(text)
            (path / file).chmod(0o755 if text.startswith("#!") else 0o644)
    return path


def only(name: str = "tiny"):
    (found,) = [item for item in backend.os_list() if item.name == name]
    return found


def test_a_definition_is_read(root):
    path = define(root, variants__list="# first is the default\n\nsmall\nlarge\n")
    found = only()
    assert (found.path, found.problem, found.api_versions, found.trusted) == (str(path), "", (20,), True)
    assert found.variants == ("small", "large")
    assert found.parameters == (("dhcp", "Whether to ask"), ("root-size", "Size of /"))


def test_the_first_folder_of_the_search_path_wins(root):
    first = define(root, folder="srv/ganeti/os")
    second = define(root, folder="usr/share/ganeti/os", create=None)
    assert [item.path for item in backend.os_list()] == [str(first), str(second)]
    backend.os_verify(os="tiny", params={}, force_variant=False)


def test_hidden_folders_and_files_are_not_definitions(root):
    define(root)
    (root / "srv/ganeti/os/.git").mkdir()
    (root / "srv/ganeti/os/README").write_text("")
    assert [item.name for item in backend.os_list()] == ["tiny"]


def test_without_a_search_path_there_are_none(root):
    assert backend.os_list() == []


@pytest.mark.parametrize(("files", "problem"), [
    ({"create": None}, "'create' under path '.*' is missing"),
    ({"verify": None}, "'verify' under path '.*' is missing"),
    ({"parameters__list": None}, "'parameters.list' .* is missing"),
    ({"ganeti_api_version": None}, "'ganeti_api_version' .* is missing"),
    ({"ganeti_api_version": "99\n"}, "API version mismatch .*found \\[99\\]"),
    ({"ganeti_api_version": "twenty\n"}, "something else than numbers"),
    ({"export": "no script"}, "'export' .* is not executable"),
])
def test_what_makes_a_definition_invalid(root, files, problem):
    define(root, **files)
    assert only().problem
    with pytest.raises(errors.BadEnvironment, match=problem):
        backend.os_verify(os="tiny", params={}, force_variant=False)


def test_a_folder_in_the_place_of_a_script_is_not_a_regular_file(root):
    path = define(root, rename=None)
    (path / "rename").mkdir()
    assert "'rename'" in only().problem
    assert "is not a regular file" in only().problem


def test_older_versions_need_less(root):
    define(root, "v15", ganeti_api_version="15\n", verify=None, parameters__list=None, variants__list="a\n")
    define(root, "v10", ganeti_api_version="10\n", verify=None, parameters__list=None, variants__list="a\n")
    assert (only("v15").problem, only("v15").variants) == ("", ("a",))
    assert (only("v10").problem, only("v10").variants) == ("", ())


def test_a_definition_as_debian_packages_it_is_valid(root, tmp_path):
    """Its lists are links into the configuration folder, its scripts share a file that is no script."""
    etc = tmp_path / "etc/instance-debootstrap"
    etc.mkdir(parents=True)
    (etc / "variants.list").write_text("default\n")
    path = define(root, "debootstrap", folder="usr/share/ganeti/os", ganeti_api_version="20\n15\n10\n",
                  parameters__list="", common__sh="CLEAN=1\n",
                  create='#!/bin/bash\nset -e\n. common.sh\necho "variant $OS_VARIANT, api $OS_API_VERSION"\n')
    (path / "variants.list").symlink_to(etc / "variants.list")
    assert only("debootstrap").variants == ("default",)
    backend.os_verify(os="debootstrap+default", params={}, force_variant=False)
    backend.os_create(os="debootstrap+default", disks=[], env={"INSTANCE_NAME": "web1"}, progress=quiet)
    (log,) = (root / "var/log/gantry/os").glob("add-debootstrap+default-web1-*.log")
    assert log.read_text() == "variant default, api 20\n"


def test_a_definition_with_a_dangling_list_is_invalid(root):
    (define(root) / "variants.list").symlink_to("/nowhere/variants.list")
    assert "'variants.list'" in only().problem


@pytest.mark.parametrize(("name", "force", "error"), [
    ("tiny+small", False, None), ("tiny+other", False, "no variant 'other'"), ("tiny+other", True, None),
    ("tiny", False, "must include a variant"), ("tiny", True, None), ("none", True, "OS definition 'none' not known")])
def test_variants(root, name, force, error):
    define(root, variants__list="small\nlarge\n")
    if error is None:
        backend.os_verify(os=name, params={}, force_variant=force)
    else:
        with pytest.raises(errors.PrereqError, match=error):
            backend.os_verify(os=name, params={}, force_variant=force)


def test_a_variant_of_an_os_without_variants_is_refused_even_by_force(root):
    define(root)
    with pytest.raises(errors.WrongInput, match="does not support variants"):
        backend.os_verify(os="tiny+x", params={}, force_variant=True)


def test_unknown_parameters_are_named(root):
    define(root)
    with pytest.raises(errors.WrongInput, match="not supported by the OS tiny: a, b"):
        backend.os_verify(os="tiny", params={"b": "1", "dhcp": "yes", "a": "2"}, force_variant=False)


def test_verify_sees_its_parameters_and_may_refuse(root):
    define(root, verify='#!/bin/sh\n[ "$1" = parameters ] || exit 9\n'
                        '[ "$OSP_ROOT_SIZE" = 5 ] || { echo "size $OSP_ROOT_SIZE is odd" >&2; exit 1; }\n')
    backend.os_verify(os="tiny", params={"root-size": "5"}, force_variant=False)
    with pytest.raises(errors.WrongInput, match="size 6 is odd"):
        backend.os_verify(os="tiny", params={"root-size": "6"}, force_variant=False)


def test_scripts_have_exactly_their_environment(root, tmp_path, monkeypatch):
    monkeypatch.setenv("LEAKED", "yes")
    path = define(root, variants__list="small\n", create="#!/bin/sh\nenv\necho cwd=$(/bin/pwd)\ncat\n")
    (tmp_path / "disks/web1").mkdir(parents=True)
    (tmp_path / "disks/web1/d0").write_bytes(b"")
    disk = Disk(uuid="u", name="", dev_type=DiskTemplate.FILE, size=1,
                file=FileLocation(path=str(tmp_path / "disks/web1/d0")))
    backend.os_create(os="tiny+small", disks=[disk], progress=quiet,
                      env={"INSTANCE_NAME": "web1", "OSP_DHCP": "no", "DEBUG_LEVEL": "2"})
    (log,) = (root / "var/log/gantry/os").iterdir()
    seen = dict(line.split("=", 1) for line in log.read_text().splitlines())
    for name in ("PWD", "SHLVL", "_", "OLDPWD"):  # the shell's own
        seen.pop(name, None)
    assert seen == {
        "PATH": "/sbin:/bin:/usr/sbin:/usr/bin", "OS_API_VERSION": "20", "OS_NAME": "tiny", "OS_VARIANT": "small",
        "INSTANCE_NAME": "web1", "OSP_DHCP": "no", "DEBUG_LEVEL": "2",
        "DISK_0_PATH": str(tmp_path / "disks/web1/d0"), "cwd": str(path)}


def test_a_disk_that_is_not_there_ends_it_before_the_script(root, tmp_path):
    define(root, create=f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    disk = Disk(uuid="u", name="", dev_type=DiskTemplate.FILE, size=1,
                file=FileLocation(path=str(tmp_path / "disks/web1/d0")))
    with pytest.raises(errors.StorageError, match="disk 0 is not there"):
        backend.os_create(os="tiny", disks=[disk], env={"INSTANCE_NAME": "web1"}, progress=quiet)
    assert not (tmp_path / "ran").exists()


def test_a_failure_shows_the_last_twenty_lines(root):
    define(root, create="#!/bin/sh\nfor i in $(seq 30); do echo line $i; done\necho oops >&2\nexit 3\n")
    with pytest.raises(errors.ExecError) as caught:
        backend.os_create(os="tiny", disks=[], env={"INSTANCE_NAME": "web1"}, progress=quiet)
    text = str(caught.value)
    assert "OS create script failed (exited with exit code 3)" in text
    assert text.splitlines()[1] == "line 12"
    assert text.splitlines()[-1] == "oops"


def test_a_script_that_cannot_be_started_is_an_error(root):
    define(root, create="#!/no/such/shell\n")
    with pytest.raises(errors.ExecError, match="create"):
        backend.os_create(os="tiny", disks=[], env={"INSTANCE_NAME": "web1"}, progress=quiet)


def test_rename_logs_under_both_names(root):
    define(root, rename='#!/bin/sh\necho "$OLD_INSTANCE_NAME $INSTANCE_NAME"\n')
    backend.os_rename(os="tiny", disks=[], env={"INSTANCE_NAME": "b", "OLD_INSTANCE_NAME": "a"}, progress=quiet)
    (log,) = (root / "var/log/gantry/os").glob("rename-tiny-a-b-*.log")
    assert log.read_text() == "a b\n"


def test_an_untrusted_definition_is_not_run_on_the_node(root, tmp_path):
    define(root, create=None, create_untrusted=f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    assert (only().problem, only().trusted) == ("", False)
    with pytest.raises(errors.BadEnvironment, match="untrusted"):
        backend.os_create(os="tiny", disks=[], env={"INSTANCE_NAME": "web1"}, progress=quiet)
    assert not (tmp_path / "ran").exists()


def test_cancelling_ends_the_script_and_its_children(root, tmp_path, monkeypatch):
    monkeypatch.setattr(scripts, "GRACE", 0.3)
    define(root, create=f"#!/bin/sh\ntrap '' TERM\nsleep 300 &\necho $! >{tmp_path}/child\necho $$ >{tmp_path}/me\n"
                        "wait\nwait\n")

    def cancel_when_it_runs(fraction: float, message: str) -> None:
        if (tmp_path / "me").exists() and (tmp_path / "me").read_text():
            raise Canceled
    with pytest.raises(Canceled):
        backend.os_create(os="tiny", disks=[], env={"INSTANCE_NAME": "web1"}, progress=cancel_when_it_runs)
    pids = [int((tmp_path / name).read_text()) for name in ("me", "child")]
    assert retry.wait_for(lambda: not any(map(runs, pids)), seconds=10, waits=iter([0.05] * 200))


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_script_that_hangs_is_ended(root, monkeypatch):
    monkeypatch.setattr(backend, "SECONDS", 0.2)
    define(root, create="#!/bin/sh\necho waiting\nexec sleep 300\n")
    with pytest.raises(errors.ExecError, match=r"did not end within(?s:.*)waiting"):
        backend.os_create(os="tiny", disks=[], env={"INSTANCE_NAME": "web1"}, progress=quiet)


def test_the_search_path_stays_below_the_root(root):
    assert os.environ["GANTRY_ROOT"] == str(root)
    assert all(str(root) in item.path for item in backend.os_list())
