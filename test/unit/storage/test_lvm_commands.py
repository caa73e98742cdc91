# SPDX-License-Identifier: BSD-2-Clause
"""What LVM 2.03.16 reported on a real machine; where volumes are put."""

from pathlib import Path

import pytest

from gantry.errors import StorageError
from gantry.objects.instance import LvmLocation
from gantry.storage import lvm_commands
from gantry.storage.lvm_commands import MIB, Physical

DATA = Path(__file__).parents[2] / "data/storage"


def test_volumes() -> None:
    found = lvm_commands.volumes((DATA / "lvs.json").read_text())
    data, snapshot = found[LvmLocation(vg="xenvg", lv="d0_data")], found[LvmLocation(vg="xenvg", lv="snap0")]
    assert (data.size, data.active, data.open, data.partial) == (60 * MIB, True, False, False)
    assert (data.tags, data.devices, data.origin) == ({"gantry-new"}, ("/dev/vdb",), "")
    assert snapshot.origin == "d0_data"


def row(attr: str, devices: str) -> str:
    return (f'{{"vg_name":"v", "lv_name":"l", "lv_size":"4194304", "lv_attr":"{attr}", "lv_tags":"", "origin":"", '
            f'"devices":"{devices}"}}')


@pytest.mark.parametrize(("attr", "facts"), [
    ("-wi-a-----", (True, False, False)), ("-wi-ao----", (True, True, False)), ("-wi-------", (False, False, False)),
    ("-wi-----p-", (False, False, True)), ("-wi-ao--p-", (True, True, True)),
])
def test_attributes(attr: str, facts: tuple[bool, bool, bool]) -> None:
    [found] = lvm_commands.volumes(f'{{"report": [{{"lv": [{row(attr, "/dev/sda(0)")}]}}]}}').values()
    assert (found.active, found.open, found.partial) == facts


def test_a_volume_of_several_segments_is_one() -> None:
    rows = ", ".join(row("-wi-a-----", devices) for devices in ("/dev/sda(0),/dev/sdb(7)", "/dev/sdc(0)"))
    text = f'{{"report": [{{"lv": [{rows}]}}]}}'
    [found] = lvm_commands.volumes(text).values()
    assert found.devices == ("/dev/sda", "/dev/sdb", "/dev/sdc")


def test_groups_and_physical_volumes() -> None:
    group = lvm_commands.groups((DATA / "vgs.json").read_text())["xenvg"]
    assert (group.size, group.free, group.extent, group.missing) == (4290772992, 4093640704, 4 * MIB, 0)
    [device] = lvm_commands.physical((DATA / "pvs.json").read_text())
    assert (device.name, device.vg, device.allocatable, device.missing) == ("/dev/vdb", "xenvg", True, False)


@pytest.mark.parametrize("text", ["", "no report", "{}", "[]"])
def test_a_report_that_is_none_is_told(text: str) -> None:
    with pytest.raises(StorageError, match="cannot be understood"):
        lvm_commands.volumes(text)


def physical(name: str, free: int, size: int = 100, **facts: bool) -> Physical:
    return Physical(**{"name": name, "vg": "v", "size": size * MIB, "free": free * MIB, "allocatable": True,
                       "missing": False} | facts)


def test_stripes_only_where_there_is_room() -> None:
    present = [physical("a", 100), physical("b", 100), physical("c", 10), physical("d", 100, allocatable=False),
               physical("e", 100, missing=True)]
    assert [lvm_commands.stripes(present, "v", size, 4) for size in (20, 60, 300)] == [3, 2, 1]
    assert lvm_commands.stripes(present, "w", 20, 4) == 1


def test_own_devices_are_the_smallest_empty_ones() -> None:
    present = [physical("a", 100), physical("b", 90), physical("c", 50, 50), physical("d", 50, 50)]
    assert lvm_commands.own_devices(present, "v", 80, None) == ["c", "d"]
    assert lvm_commands.own_devices(present, "v", 80, 3) == ["c", "d", "a"]
    with pytest.raises(StorageError, match="needs 4 empty"):
        lvm_commands.own_devices(present, "v", 80, 4)


def test_a_snapshot_that_ran_full_is_lost() -> None:
    [found] = lvm_commands.volumes(f'{{"report": [{{"lv": [{row("swi-I-s---", "/dev/vdb(47)")}]}}]}}').values()
    assert (found.lost, found.active) == (True, False)
