# SPDX-License-Identifier: BSD-2-Clause
"""Commands for DRBD: those that ran on real machines, and what disk parameters make of them."""

import pytest

from gantry.errors import StorageError
from gantry.objects.params import DISK_DEFAULTS
from gantry.storage import drbd_commands as commands

LINK = commands.Link(local="10.77.0.11", remote="10.77.0.12", port=11000, secret="s3cret")


def test_a_device_is_attached_as_recorded() -> None:
    argv = commands.attach(0, "/dev/xenvg/d", "/dev/xenvg/m", size="122880s", options=["--c-plan-ahead=0"])
    assert " ".join(argv) == ("drbdsetup attach 0 /dev/xenvg/d /dev/xenvg/m flexible --on-io-error=detach "
                              "--size=122880s --c-plan-ahead=0")


def test_a_connection_as_recorded() -> None:
    argv = commands.connect(3, LINK, commands.of_net({}, "s3cret", dual_primary=False))
    assert " ".join(argv) == (
        "drbdsetup connect resource3 ipv4:10.77.0.11:11000 ipv4:10.77.0.12:11000 --protocol=C --allow-two-primaries=no "
        "--after-sb-0pri=discard-zero-changes --after-sb-1pri=consensus --cram-hmac-alg=sha256 --shared-secret=s3cret")


def test_addresses_of_version_6() -> None:
    assert commands.endpoint("2001:db8::1", 11000) == "ipv6:[2001:db8::1]:11000"


def test_the_defaults_are_a_fixed_rate() -> None:
    assert commands.of_disk(DISK_DEFAULTS["drbd"]) == ["--resync-rate=61440k", "--c-plan-ahead=0"]


def test_the_controller_of_the_kernel() -> None:
    params = DISK_DEFAULTS["drbd"] | {"dynamic-resync": True, "c-plan-ahead": 30, "c-fill-target": 100,
                                      "c-max-rate": 9000}
    assert commands.of_disk(params) == [
        "--resync-rate=61440k", "--c-plan-ahead=30", "--c-fill-target=100s", "--c-delay-target=1", "--c-max-rate=9000k",
        "--c-min-rate=4096k"]


@pytest.mark.parametrize(("letters", "options"), [
    ("n", []), ("b", ["--disk-barrier=no"]), ("fd", ["--disk-flushes=no", "--disk-drain=no"]),
    ("bfd", ["--disk-barrier=no", "--disk-flushes=no", "--disk-drain=no"]),
])
def test_flushes_that_are_left_out(letters: str, options: list[str]) -> None:
    assert commands.of_disk({"disk-barriers": letters})[2:] == options


def test_metadata_flushes_and_own_options() -> None:
    found = commands.of_disk({"meta-barriers": True, "disk-custom": "--al-extents 257 --x='a b'"})
    assert found[2:] == ["--md-flushes=no", "--al-extents", "257", "--x=a b"]
    net = commands.of_net({"net-custom": "--max-buffers 8000"}, "s", dual_primary=False)
    assert net[-2:] == ["--max-buffers", "8000"]


def test_own_options_with_an_open_quote_are_told() -> None:
    with pytest.raises(StorageError, match="disk-custom"):
        commands.of_disk({"disk-custom": "--x 'a"})


def test_two_primaries_take_protocol_c() -> None:
    assert commands.changeable({"protocol": "A"}, dual_primary=True) == ["--protocol=C", "--allow-two-primaries=yes"]
    assert commands.changeable({"protocol": "A"}, dual_primary=False) == ["--protocol=A", "--allow-two-primaries=no"]
