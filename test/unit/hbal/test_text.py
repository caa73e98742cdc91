# SPDX-License-Identifier: BSD-2-Clause
"""The text format: every accepted form, every refusal, and that what was saved loads the same."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hbal.errors import Error, LoadError
from hbal.load import text
from hbal.model import DEFAULT_POLICY, NO_NODE, AllocPolicy, Disk, Policy, Spec, Status, Template
from support import hbal_random

DATA = Path(__file__).parents[2] / "data" / "hbal"
WHOLE = (DATA / "two-groups.data").read_text()


def changed(old: str, new: str) -> str:
    assert old in WHOLE
    return WHOLE.replace(old, new, 1)


def test_the_whole_file() -> None:
    data = text.load(str(DATA / "two-groups.data"))
    assert [group.alloc_policy for group in data.groups] == [AllocPolicy.PREFERRED, AllocPolicy.LAST_RESORT]
    assert data.groups[0].tags == ("gt1", "gt2")
    assert data.groups[0].networks == ("net1",)
    assert data.groups[0].policy == DEFAULT_POLICY
    assert data.groups[1].policy.vcpu_ratio == 2.5
    assert data.groups[1].policy.templates == (Template.DRBD,)
    first, second, third, fourth = data.nodes
    assert (first.master, first.group, first.tags) == (True, 0, ("nt1", "dc:a"))
    assert (second.total_memory, second.cpu_speed) == (16384.5, 1.5)
    assert (third.offline, third.exclusive_storage, third.free_spindles) == (True, True, 2)
    assert (fourth.offline, fourth.total_memory, fourth.spindles, fourth.tags, fourth.cpu_speed) == (
        True, 0.0, 0, (), 1.0)
    drbd, plain, rbd = data.instances
    assert (drbd.primary, drbd.secondary, drbd.disks) == (0, 1, (Disk(100000, None),))
    assert (plain.secondary, plain.status, plain.auto_balance, plain.spindles) == (
        NO_NODE, Status.ADMIN_DOWN, False, 3)
    assert (rbd.template, rbd.forthcoming) == (Template.RBD, True)
    assert data.tags == ("htools:iextags:t", "htools:nlocation:dc")
    assert data.policy.templates == (Template.DRBD, Template.PLAIN)


@pytest.mark.parametrize(("columns", "expected"), [
    (9, (1, (), False, 0, 1, 1.0)), (10, (2, (), False, 0, 1, 1.0)), (11, (2, ("nt1", "dc:a"), False, 0, 1, 1.0)),
    (12, (2, ("nt1", "dc:a"), True, 0, 1, 1.0)), (13, (2, ("nt1", "dc:a"), True, 5, 1, 1.0)),
    (14, (2, ("nt1", "dc:a"), True, 5, 3, 1.0)), (15, (2, ("nt1", "dc:a"), True, 5, 3, 0.5)),
    (16, (2, ("nt1", "dc:a"), True, 5, 3, 0.5)),
])
def test_short_forms_of_nodes(columns: int, expected: tuple[object, ...]) -> None:
    line = "n|1|0|1|1|1|1|N|u|2|nt1,dc:a|Y|5|3|0.5|more"
    node = text.parse_node("|".join(line.split("|")[:columns]), {"u": 0})
    assert (node.spindles, node.tags, node.exclusive_storage, node.free_spindles, node.node_cpus,
            node.cpu_speed) == expected


@pytest.mark.parametrize(("columns", "expected"), [
    (10, (1, None, False)), (11, (2, None, False)), (12, (2, 3, False)), (13, (2, 3, True)), (14, (2, 3, True))])
def test_short_forms_of_instances(columns: int, expected: tuple[object, ...]) -> None:
    line = "i|1|1|1|running|Y|n||plain|t|2|3|Y|more"
    instance = text.parse_instance("|".join(line.split("|")[:columns]), {"n": 0})
    assert (instance.spindle_use, instance.spindles, instance.forthcoming) == expected


@pytest.mark.parametrize("line", ["g|u|preferred|t", "g|u|preferred|t|", "g|u|preferred|t||more"])
def test_short_forms_of_groups(line: str) -> None:
    assert text.parse_group(line).tags == ("t",)


@pytest.mark.parametrize("column", range(1, 7))
def test_a_question_mark_takes_the_node_offline(column: int) -> None:
    columns = ["n", *"111111Nu2tY53", "0.5"]
    columns[column] = "?"
    node = text.parse_node("|".join(columns), {"u": 0})
    assert node.offline
    assert (node.total_memory, node.free_disk, node.node_cpus, node.tags) == (0.0, 0, 0, ())


def test_sections_may_be_empty_and_the_fifth_missing() -> None:
    data = text.parse("\n\n\n\n")
    assert (data.groups, data.nodes, data.instances, data.tags) == ((), (), (), ())
    assert text.parse("\n\n\n").policy == DEFAULT_POLICY
    assert text.parse("\n" * 9).instances == ()
    assert text.parse(WHOLE[:-1]) == text.parse(WHOLE)
    assert text.parse(WHOLE + "\nmore\n") == text.parse(WHOLE)


def test_policies_without_bounds_or_templates() -> None:
    owner, policy = text.parse_policy("g|1,2,3,4,5,6||" + "|4|32|more")
    assert (owner, policy) == ("g", Policy(Spec(1, 2, 3, 4, 5, 6), (), (), 4.0, 32.0))


@pytest.mark.parametrize("number", ["1", "1.5", "1e3", "1.5E-2", " 7"])
def test_numbers_as_they_may_be_written(number: str) -> None:
    assert text.parse_node(f"n|{number}|0|1|1|1|1|N|u", {"u": 0}).total_memory == float(number)


@pytest.mark.parametrize(("content", "complaint"), [
    ("", "Invalid format of the input file: 0 sections instead of 4 or more"),
    ("\n", "Invalid format of the input file: 2 sections instead of 4 or more"),
    (WHOLE[:300], "Invalid format of the input file: 2 sections instead of 4 or more"),
    (WHOLE.replace("\n", "\r\n"), "Invalid format of the input file: 1 sections instead of 4 or more"),
    (changed("preferred", "prefered"), 'Invalid string value for type AllocPolicy: "prefered"'),
    (changed("|preferred|gt1,gt2|net1", "|preferred"), "Invalid/incomplete group data: 'group-01|uuid-01|preferred'"),
    (changed("group-02|uuid-02", "group-02|uuid-01"), "Duplicate group 'uuid-01'"),
    (changed("|8|M|uuid-01|2|nt1,dc:a|N|0|1|1.0", "|8|M"), "Invalid/incomplete node data"),
    (changed("M|uuid-01", "M|uuid-0x"), "Unknown group 'uuid-0x' for node node1.example.com"),
    (changed("|1024|11264", "|1024.5|11264"),
     "node1.example.com: leftover characters when parsing '1024.5': '.5'"),
    (changed("16384|1024|11264", "abc|1024|11264"), "node1.example.com: cannot parse string 'abc'"),
    (changed("16384|1024|11264", "1 |1024|11264"), "node1.example.com: leftover characters when parsing '1 ': ' '"),
    (changed("16384|1024|11264", "-5|1024|11264"), "node1.example.com: negative size '-5'"),
    (changed("16384|1024|11264", "NaN|1024|11264"), "node1.example.com: cannot parse string 'NaN'"),
    (changed("16384|1024|11264", "1e999|1024|11264"), "node1.example.com: number '1e999' is too large"),
    (changed("dc:a|N", "dc:a|y"), "Invalid exclusive_storage value for node 'node1.example.com': y"),
    (changed("node2.example.com|16384.5", "node1.example.com|1"), "Duplicate node 'node1.example.com'"),
    (changed("|drbd|t:1,t:2|1|-|N", ""), "Invalid/incomplete instance data"),
    (changed("4096|100000", "-4096|100000"), "inst1.example.com: negative size '-4096'"),
    (changed("4096|100000", "|100000"), "inst1.example.com: cannot parse string ''"),
    (changed("running", "runnin"), 'Invalid string value for type InstanceStatus: "runnin"'),
    (changed("running|Y", "running|y"), "Invalid auto_balance value 'y' for instance inst1.example.com"),
    (changed("|drbd|t:1", "|drbd8|t:1"),
     'Instance inst1.example.com: Invalid string value for type DiskTemplate: "drbd8"'),
    (changed("Y|node1.example.com", "Y|nodeX"), "Unknown node 'nodeX' for instance inst1.example.com"),
    (changed("Y|node1.example.com", "Y|"), "Unknown node '' for instance inst1.example.com"),
    (changed("|node2.example.com|drbd", "|nodeX|drbd"), "Unknown node 'nodeX' for instance inst1.example.com"),
    (changed("|node2.example.com|drbd", "|node1.example.com|drbd"),
     "Instance inst1.example.com has same primary and secondary node - node1.example.com"),
    (changed("|1|-|N", "|1|x|N"), "inst1.example.com: cannot parse string 'x'"),
    (changed("|1|-|N", "|1|-|?"), "Invalid forthcoming value '?' for instance inst1.example.com"),
    (changed("inst2.example.com", "inst1.example.com"), "Duplicate instance 'inst1.example.com'"),
    (changed("128,1,1024,1,1,1;32768,8,1048576,16,8,12|drbd,plain", "128,1,1024,1,1,1|drbd,plain"),
     "Odd number of min/max specs for the cluster"),
    (changed("|128,1,1024,1,1,1|", "|128,1,1024,1,1|"), "Invalid ispec data for /stdspec: '128,1,1024,1,1'"),
    (changed("group-02|128", "group-0x|128"), "Instance policy of an unknown group 'group-0x'"),
    (changed("|drbd,plain|", "|drbd,plan|"), 'Invalid string value for type DiskTemplate: "plan"'),
    (changed("|4.0|32.0", "|x|32.0"), "/vcpu_ratio: cannot parse string 'x'"),
    (changed("|4.0|32.0", "|4.0"), "Invalid ipolicy data"),
])
def test_what_is_wrong_is_said_in_one_sentence(content: str, complaint: str) -> None:
    with pytest.raises(LoadError) as caught:
        text.parse(content)
    assert caught.value.detail.startswith(complaint)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


def test_a_policy_may_name_its_group_by_uuid() -> None:
    assert text.parse(changed("group-02|128", "uuid-02|128")) == text.parse(WHOLE)


@settings(deadline=None)
@given(st.integers(0, len(WHOLE)))
def test_a_truncated_file_is_understood_or_refused(length: int) -> None:
    try:
        text.parse(WHOLE[:length])
    except LoadError as err:
        assert "\n" not in str(err)  # noqa: PT017  # only some lengths fail


@settings(deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.sampled_from("|,;-?.xY\n 0"))
def test_a_garbled_file_is_understood_or_refused(place: int, letter: str) -> None:
    try:
        text.parse(WHOLE[:place] + letter + WHOLE[place + 1:])
    except LoadError as err:
        assert str(err).startswith("failed to load data, aborting: ")  # noqa: PT017  # only some places fail


@settings(deadline=None)
@given(st.integers(0, 100_000), st.integers(2, 8), st.integers(0, 20))
def test_what_was_saved_loads_the_same(seed: int, nodes: int, instances: int) -> None:
    data = hbal_random.cluster(seed, nodes=nodes, instances=instances)
    expected = data._replace(nodes=tuple(
        node._replace(master=node.master and not node.offline) for node in data.nodes))
    assert text.parse(text.dump(data)) == expected


def test_disks_are_saved_as_one() -> None:
    data = text.parse(WHOLE)
    two = data.instances[0]._replace(disks=(Disk(1, 2), Disk(3, 4)))
    assert text.instance_line(two, data).endswith("|100000|2|running|Y|node1.example.com|node2.example.com|drbd|"
                                                  "t:1,t:2|1|6|N")


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="No such file"):
        text.load(str(tmp_path / "nothing"))
    with pytest.raises(LoadError, match="Is a directory"):
        text.load(str(tmp_path))
    (tmp_path / "binary").write_bytes(b"a\xff|u|preferred||\n\n\n\n")
    with pytest.raises(LoadError, match="not a text file"):
        text.load(str(tmp_path / "binary"))
    with pytest.raises(Error, match="cannot write"):
        text.save(text.parse(WHOLE), str(tmp_path / "no" / "folder"))
    text.save(text.parse(WHOLE), str(tmp_path / "saved"))
    assert text.parse(text.dump(text.load(str(tmp_path / "saved")))) == text.load(str(tmp_path / "saved"))
