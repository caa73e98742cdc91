# SPDX-License-Identifier: BSD-2-Clause
"""Hypervisor parameters: types, values, and what values ask of each other."""

import pytest

from gantry.errors import NotFound, ParameterError
from gantry.objects.hvparams import DEFAULTS, GLOBAL, SCHEMAS, check, check_merged


def test_defaults_pass_their_own_checks():
    for hypervisor, values in DEFAULTS.items():
        assert check(hypervisor, values) == values
        check_merged(hypervisor, values, vcpus=4)


def test_global_parameters_are_parameters():
    assert SCHEMAS["kvm"].keys() >= GLOBAL


def test_text_becomes_values():
    given = {"acpi": "no", "serial_speed": "115200", "kernel_path": "", "root_path": None, "cpu_type": "a,+b"}
    assert check("kvm", given) == {"acpi": False, "serial_speed": 115200, "kernel_path": "", "root_path": None,
                                   "cpu_type": "a,+b"}


@pytest.mark.parametrize(("name", "value", "said"), [
    ("nonsense", 1, "Unknown parameter 'nonsense'"), ("acpi", "maybe", "is not a valid boolean"),
    ("serial_speed", "fast", "is not a valid integer"), ("serial_speed", 5, "must be one of"),
    ("disk_type", "floppy", "must be one of"), ("kernel_path", "vmlinuz", "absolute path"),
    ("kernel_path", "/a/../b", "absolute path"), ("migration_port", 0, "between 1 and 65535"),
    ("cpu_mask", "1-", "list of CPUs"), ("kvm_extra", "'open", "quoted"), ("spice_bind", "a b", "IP address"),
    ("vnc_bind_address", "/run/../etc", "absolute folder"), ("cdrom_image_path", "iso", "URL"),
    ("migration_caps", "a b", "joined by ':'")])
def test_wrong_values_are_named(name, value, said):
    with pytest.raises(ParameterError) as caught:
        check("kvm", {name: value})
    assert said in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize(("hvparams", "said"), [
    ({"kernel_path": "/boot/k", "root_path": ""}, "needs a root_path"),
    ({"vnc_x509_verify": True}, "vnc_x509_path"), ({"boot_order": "cdrom"}, "cdrom_image_path"),
    ({"boot_order": "floppy"}, "floppy_image_path"), ({"security_model": "user"}, "security_domain"),
    ({"security_domain": "kvm"}, "security_model user"), ({"disk_aio": "native"}, "disk_cache none"),
    ({"spice_bind": "lo", "vnc_bind_address": "lo"}, "exclude"), ({"spice_use_tls": True}, "needs spice_bind"),
    ({"spice_bind": "::1", "spice_ip_version": 4}, "no IPv4 address"), ({"cpu_mask": "1:2"}, "2 vCPUs")])
def test_what_does_not_go_together(hvparams, said):
    with pytest.raises(ParameterError, match=said):
        check_merged("kvm", DEFAULTS["kvm"] | check("kvm", hvparams), vcpus=3)


def test_an_unknown_hypervisor():
    with pytest.raises(NotFound):
        check("xen-pvm", {})
