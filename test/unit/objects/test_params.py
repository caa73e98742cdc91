# SPDX-License-Identifier: BSD-2-Clause
"""Parameters as people give them: converted, refused in the known words, inherited again."""

import pytest

from gantry.errors import ParameterError, WrongInput
from gantry.objects import params
from gantry.objects.paramtype import Kind, ParamType, declare, merge_own


@pytest.mark.parametrize(("name", "value", "expected"), [
    ("maxmem", "1g", 1024), ("maxmem", 512, 512), ("vcpus", "4", 4), ("auto_balance", "no", False),
    ("auto_balance", "TRUE", True), ("auto_balance", False, False)])
def test_backend_values_are_converted(name, value, expected):
    assert params.check_be({name: value}) == {name: expected}


@pytest.mark.parametrize(("given", "error"), [
    ({"colour": 1}, "Unknown parameter 'colour'"),
    ({"vcpus": "two"}, "'vcpus' (value two) is not a valid integer"),
    ({"vcpus": True}, "'vcpus' (value True) is not a valid integer"),
    ({"vcpus": 0}, "must be at least 1"),
    ({"maxmem": "3q"}, "'maxmem' (value 3q) is not a valid size"),
    ({"maxmem": "9" * 400}, "is not a valid size"),
    ({"auto_balance": "perhaps"}, "'auto_balance' (value perhaps) is not a valid boolean"),
    ({"memory": 64, "minmem": 32}, "cannot be given together"),
    ({"memory": "much"}, "'memory' (value much) is not a valid size"),
])
def test_backend_refusals(given, error):
    with pytest.raises(ParameterError) as caught:
        params.check_be(given)
    assert error in str(caught.value)


def test_memory_sets_both_limits():
    assert params.check_be({"memory": "256m"}) == {"minmem": 256, "maxmem": 256}
    assert params.check_be({"memory": "256", "minmem": 256, "maxmem": "256m"}) == {"minmem": 256, "maxmem": 256}
    assert params.merge_be({"minmem": 1, "vcpus": 2}, {"memory": "default"}) == {"vcpus": 2}
    with pytest.raises(ParameterError, match=r"Minimum memory \(512 MiB\)"):
        params.check_be_effective({"minmem": 512, "maxmem": 256})


def test_default_and_none_inherit_again():
    own = {"vcpus": 4, "maxmem": 512}
    assert params.merge_be(own, {"vcpus": "default", "maxmem": None, "spindle_use": "0"}) == {"spindle_use": 0}
    assert own == {"vcpus": 4, "maxmem": 512}
    with pytest.raises(ParameterError, match="Unknown parameter 'x'"):
        params.merge_be(own, {"x": "default"})
    assert merge_own({"a": "1"}, {"a": "default", "b": 2}) == {"b": 2}


def test_maybe_strings_and_numbers():
    schema = declare(ParamType("path", Kind.MAYBE_STR, None, ""), ParamType("speed", Kind.FLOAT, 1.0, ""))
    assert schema["path"].normalise("none") is None
    assert schema["speed"].normalise("2.5") == 2.5
    for value in ("fast", "inf", "nan", None, True):
        with pytest.raises(ParameterError, match="is not a valid float"):
            schema["speed"].normalise(value)


def test_nic_parameters():
    assert params.merge_nic({"mode": "routed"}, {"mode": "default", "link": "br0"}) == {"link": "br0"}
    with pytest.raises(ParameterError, match="must be one of bridged, routed"):
        params.check_nic({"mode": "wireless"})
    params.check_nic_effective({"mode": "bridged", "link": "br0", "vlan": ".5:7:9"})
    params.check_nic_effective({"mode": "routed", "link": "main"}, ip="192.0.2.1")
    params.check_nic_effective({"mode": "routed", "link": "main"}, has_ip=True)
    for bad in ({"mode": "bridged", "link": ""}, {"mode": "routed", "link": "main"},
                {"mode": "bridged", "link": "br0", "vlan": "a"}):
        with pytest.raises(ParameterError):
            params.check_nic_effective(bad)


def test_node_parameters():
    assert params.merge_nd({}, {"exclusive_storage": "yes"}) == {"exclusive_storage": True}
    with pytest.raises(WrongInput, match="'exclusive_storage' is set for clusters and node groups"):
        params.merge_nd({}, {"exclusive_storage": True}, node=True)
    for bad in ({"ssh_port": 70000}, {"cpu_speed": 0}, {"oob_program": "relative"}):
        with pytest.raises(ParameterError):
            params.check_nd(bad)


def test_disk_parameters():
    assert params.merge_disk({"drbd": {"protocol": "A"}}, {"drbd": {"protocol": "default"}}) == {}
    assert params.merge_disk({}, {"plain": {"stripes": "2"}}) == {"plain": {"stripes": 2}}
    for good in ("n", "b", "bf", "bfd", "dfb"):
        assert params.check_disk({"drbd": {"disk-barriers": good}})
    for bad in ("", "nb", "bb", "x", "bfdb"):
        with pytest.raises(ParameterError):
            params.check_disk({"drbd": {"disk-barriers": bad}})
    with pytest.raises(ParameterError, match="Unknown disk template 'tape'"):
        params.check_disk({"tape": {}})


def test_tags():
    assert params.check_tags(["a", "b:c/d"], {"z"}) == {"a", "b:c/d", "z"}
    for bad in ("", "a b", "ä ", "x" * 129, "semi;colon", "new\nline"):
        with pytest.raises(WrongInput):
            params.check_tags([bad])
    with pytest.raises(WrongInput, match="more than 4096 tags"):
        params.check_tags([str(number) for number in range(4097)])


# --- instance policy ----------------------------------------------------------------------------------------------


def spec(**fields):
    return params.InstanceSpec(**{"memory": 512, "vcpus": 1, "disks": (1024,), "nics": 1, "spindle_use": 1,
                                  "disk_template": "sharedfile"} | fields)


def test_an_instance_within_bounds():
    policy = params.default_ipolicy(["sharedfile", "diskless"])
    assert params.check_instance(policy, spec()) == []
    assert params.check_instance(policy, spec(disk_template="diskless", disks=())) == []


def test_violations_are_sentences():
    policy = params.default_ipolicy(["sharedfile", "plain"])
    assert params.check_instance(policy, spec(memory=64, disks=(1024, 10), disk_template="drbd")) == [
        "Disk template drbd is not allowed (allowed templates: sharedfile, plain)",
        "memory-size value 64 is not in range [128, 32768]",
        "disk-size/1 value 10 is not in range [1024, 1048576]"]
    assert params.check_instance(policy, spec(disks=())) == ["disk-count value 0 is not in range [1, 16]"]


def test_one_pair_of_bounds_is_enough():
    policy = params.default_ipolicy(["sharedfile"])
    small, large = dict(policy["minmax"][0]["min"]), dict(policy["minmax"][0]["max"])
    policy["minmax"] = [{"min": small, "max": small | {"memory-size": 256}},
                        {"min": small | {"memory-size": 1024}, "max": large}]
    assert params.check_instance(policy, spec(memory=200)) == []
    assert params.check_instance(policy, spec(memory=2048, vcpus=4)) == []
    assert params.check_instance(policy, spec(memory=512)) == ["memory-size value 512 is not in range [128, 256]"]


def test_policy_values_are_checked():
    full = params.default_ipolicy(["plain"])
    pair = full["minmax"][0]
    assert params.check_ipolicy({"minmax": [pair], "vcpu-ratio": "2"}) == {"minmax": [pair], "vcpu-ratio": 2.0}
    bad = [({"colour": 1}, "Unknown key in instance policy: 'colour'"), ({"minmax": []}, "at least one pair"),
           ({"minmax": [{"min": pair["min"]}]}, "the keys min and max"),
           ({"minmax": [{"min": {}, "max": pair["max"]}]}, "min bounds of the instance policy lack cpu-count"),
           ({"minmax": [{"min": pair["max"], "max": pair["min"]}]}, "is more than max"),
           ({"vcpu-ratio": 0.5}, "must be at least 1"), ({"disk-templates": ["tape"]}, "'tape'"),
           ({"disk-templates": "plain"}, "is not a valid list"), ({"std": {"x": 1}}, "Unknown parameter 'x'")]
    for given, error in bad:
        with pytest.raises((ParameterError, WrongInput)) as caught:
            params.check_ipolicy(given)
        assert error in str(caught.value)


def test_groups_inherit_again_and_clusters_cannot():
    own = {"vcpu-ratio": 2.0, "disk-templates": ["plain"]}
    assert params.merge_ipolicy(own, {"vcpu-ratio": "default"}, group=True) == {"disk-templates": ["plain"]}
    assert params.merge_ipolicy(own, {"disk-templates": ["default"]}, group=True) == {"vcpu-ratio": 2.0}
    with pytest.raises(WrongInput, match="Can't unset 'vcpu-ratio'"):
        params.merge_ipolicy(own, {"vcpu-ratio": "default"}, group=False)
    with pytest.raises(WrongInput, match="Standard instance specs"):
        params.merge_ipolicy(own, {"std": {"cpu-count": 1}}, group=True)
    merged = params.merge_ipolicy({"std": {"cpu-count": 1, "nic-count": 1}}, {"std": {"cpu-count": 2}}, group=False)
    assert merged == {"std": {"cpu-count": 2, "nic-count": 1}}
