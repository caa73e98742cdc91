# SPDX-License-Identifier: BSD-2-Clause
"""hail: what it answers, and that what it promises about the cluster is so."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from hbal import alloc
from hbal.alloc import allocate, memory, places, redundancy, requests, values
from hbal.core.score import score
from hbal.load.prepare import prepare
from hbal.load.simulate import load as simulate
from hbal.model import NO_NODE, Disk, Instance, Status, Template
from hbal.programs.hail import main

REPLIES = Path(__file__).parents[2] / "data" / "hbal" / "hail-replies.json"
"""Requests, and what hail of Debian's ganeti-htools 3.0.2 replies to them."""

SPECS = {"min": (128, 1, 1024, 1, 1, 1), "max": (32768, 8, 1048576, 16, 8, 12)}
KEYS = ("memory-size", "cpu-count", "disk-size", "disk-count", "nic-count", "spindle-use")
POLICY = {"minmax": [{name: dict(zip(KEYS, spec, strict=True)) for name, spec in SPECS.items()}],
          "std": dict(zip(KEYS, SPECS["min"], strict=True)), "disk-templates": [*Template], "vcpu-ratio": 4.0,
          "spindle-ratio": 32.0}


def node(free=16000, disk=100000, **more):
    return {"offline": False, "drained": False, "group": "g", "ndparams": {"exclusive_storage": False,
            "spindle_count": 4}, "total_memory": 17000, "reserved_memory": 1000, "free_memory": free,
            "total_disk": 100000, "free_disk": disk, "total_cpus": 8, "reserved_cpus": 1, "total_spindles": 4,
            "free_spindles": 4, "tags": [], **more}


def guest(*nodes, template="drbd", memory=1024):
    return {"memory": memory, "vcpus": 1, "disk_space_total": 2048, "disks": [{"size": 2048}],
            "disk_template": template, "tags": [], "spindle_use": 1, "nics": [], "nodes": [*nodes]}


def message(nodes, instances, /, **request):
    return {"cluster_tags": [], "enabled_hypervisors": ["fake"], "nodegroups": {"g": {
                "name": "default", "alloc_policy": "preferred", "networks": [], "ipolicy": POLICY, "tags": []}},
            "nodes": nodes, "instances": instances, "request": request}


def wish(template="drbd", memory=1024, **more):
    new = guest(template=template, memory=memory) | {"name": "new", "type": "allocate",
                                                     "required_nodes": 2 if template == "drbd" else 1}
    del new["nodes"]
    return new | more


NODES = {f"n{number}": node() for number in range(3)}


def test_an_allocation():
    nodes = NODES | {"n2": node(15000)}
    reply = alloc.answer(message(nodes, {"i": guest("n2", template="ext", memory=1000)}, **wish("plain")))
    assert reply["success"]
    assert reply["result"] in (["n0"], ["n1"])
    assert reply["info"].startswith("Request successful: Selected group: default, Group default (preferred): score: ")


def test_a_refusal_says_why_and_with_a_table_by_how_much():
    request = message(NODES, {}, **wish(memory=20000))
    sentence = ("Request failed: Group default (preferred): No valid allocation solutions, failure reasons: "
                "FailMem: 6")
    assert alloc.answer(request) == {"success": False, "info": sentence, "result": []}
    first, *table = alloc.answer(request, verbose=True)["info"].splitlines()
    assert first == sentence
    assert table[0].split() == ["Node", "Role", "Rule", "What", "Has", "Needs"]
    assert table[1].split() == ["n0", "primary", "FailMem", "unallocated", "memory", "16000", "20000"]


@pytest.mark.parametrize("required", [0, 3])
def test_one_or_two_nodes_are_found(required):
    sentence = "Unsupported number of nodes, only one or two  supported"
    for where, begin in (({}, "Group default: error "), ({"group_name": "default"}, "")):
        reply = alloc.answer(message(NODES, {}, **wish("plain", required_nodes=required, **where)))
        assert reply == {"success": False, "info": f"Request failed: {begin}{sentence}", "result": []}


@pytest.mark.parametrize(("exclusive", "memory", "more", "reason"), [
    (False, 99999, {}, "FailMem"), (False, 99999, {"vcpus": 0}, "FailCPU"), (False, 100, {"vcpus": 9}, "FailMem"),
    (False, 1024, {"vcpus": 9, "spindle_use": 0}, "FailSpindles"), (True, 99999, {"vcpus": 9}, "FailSpindles"),
    (True, 100, {}, "FailMem")])
def test_what_a_policy_has_too_little_of_comes_before_what_it_has_too_much_of(exclusive, memory, more, reason):
    """Without spindles an instance has too little of them on exclusive storage."""
    nodes = {name: one | {"ndparams": {"exclusive_storage": exclusive, "spindle_count": 4}}
             for name, one in NODES.items()}
    reply = alloc.answer(message(nodes, {}, **wish("plain", memory, **more)))
    assert reply["info"].endswith(f"failure reasons: {reason}: 3")


def test_a_restriction_holds_for_the_choice_of_another_group():
    nodes = NODES | {name: node(group="h") for name in ("h1", "h2")}
    there = message(nodes, {"i": guest("n0", template="ext")}, type="change-group", instances=["i"], target_groups=[])
    there["nodegroups"]["h"] = there["nodegroups"]["g"] | {"name": "other"}
    assert [moved[1] for moved in alloc.answer(there)["result"][0]] == ["other"]
    reply = alloc.answer(there, options=["--restrict-allocation-to", "n1"])
    assert reply["result"][1] == [["i", "Group other: error No online nodes"]]


def test_tags_hold_for_the_choice_of_another_group():
    """The one group has an instance with the tag on each node."""
    nodes = {name: node(group=name[0]) for name in ("a1", "b1", "b2", "g1", "g2")}
    tagged = {"tags": ["role:db"]}
    there = message(nodes, {"i": guest("a1", template="ext") | tagged, **{
        f"on-{name}": guest(name, template="ext") | tagged for name in ("b1", "b2")}},
        type="change-group", instances=["i"], target_groups=[])
    there["cluster_tags"] = ["htools:iextags:role"]
    there["nodegroups"] |= {name: there["nodegroups"]["g"] | {"name": name} for name in "ab"}
    there["nodes"] |= {name: one | {"total_memory": 20000} for name, one in nodes.items() if name[0] == "g"}
    assert [moved[1] for moved in alloc.answer(there, options=["--no-capacity-checks"])["result"][0]] == ["default"]
    there["nodes"] = {name: one for name, one in nodes.items() if name[0] != "g"}
    assert alloc.answer(there, options=["--no-capacity-checks"])["result"][1] == [
        ["i", "Group b (preferred): No valid allocation solutions, failure reasons: FailTags: 2"]]
    there["request"]["target_groups"] = ["default"]
    assert alloc.answer(there)["result"][1] == [
        ["i", "no groups for evacuation: allowed groups was Just [0], all groups: [a,b]"]]


@pytest.mark.parametrize(("order", "template", "memory", "reason"), [
    (1, "plain", 8000, "FailMem"), (-1, "plain", 8000, "FailCPU"), (1, "ext", 8000, "FailMem"),
    (1, "ext", 4000, "FailDisk")])
def test_the_reason_of_a_policy_is_that_of_its_first_range_and_then_the_template(order, template, memory, reason):
    ranges = [{"min": SPECS["min"], "max": (high, cpus, 1048576, 16, 8, 12)} for high, cpus in ((4096, 8), (8192, 4))]
    request = message(NODES, {}, **wish(template, memory, vcpus=6))
    request["nodegroups"]["g"]["ipolicy"] = POLICY | {"disk-templates": ["plain"], "minmax": [
        {name: dict(zip(KEYS, spec, strict=True)) for name, spec in pair.items()} for pair in ranges[::order]]}
    assert alloc.answer(request)["info"].endswith(f"failure reasons: {reason}: 3")


def recorded():
    return [pytest.param(case["options"], case["message"], case["reply"], id=case["about"])
            for case in json.loads(REPLIES.read_text())]


@pytest.mark.parametrize(("options", "request_", "reply"), recorded())
def test_replies_are_those_of_others(options, request_, reply):
    assert alloc.answer(request_, options=options) == reply


@pytest.mark.parametrize("coming", [False, True])
def test_what_is_only_to_come_need_not_leave_a_node(coming):
    nodes = {"n0": node(2000), "n1": node(200), "n2": node(200)}
    there = {"i": guest("n0", template="ext", memory=1500) | {"forthcoming": coming}}
    assert alloc.answer(message(nodes, there, **wish("plain", memory=128)))["success"] == coming


@pytest.mark.parametrize("coming", [False, True])
def test_what_is_only_to_come_may_be_where_others_have_its_tags(coming):
    tagged = {"tags": ["role:db"], "forthcoming": coming}
    there = {f"on-{name}": guest(name, template="ext") | {"tags": ["role:db"]} for name in NODES}
    request = message(NODES, there, **wish("plain", **tagged))
    request["cluster_tags"] = ["htools:iextags:role"]
    assert alloc.answer(request)["success"] == coming


def test_networks_groups_and_restrictions():
    lost = message(NODES, {}, **wish("plain", nics=[{"network": "net"}]))
    assert "not connected to a network required by instance new" in alloc.answer(lost)["info"]
    assert alloc.answer(message(NODES, {}, **wish("plain", **{"restrict-to-nodes": ["n1"]})))["result"] == ["n1"]
    assert "Couldn't find group" in alloc.answer(message(NODES, {}, **wish(group_name="other")))["info"]
    offline = {name: one | {"drained": True} for name, one in NODES.items()}
    assert "error Not enough online nodes" in alloc.answer(message(offline, {}, **wish()))["info"]


def test_several_at_once():
    asked = [wish(name="a"), wish(name="b", memory=30000), wish(name="c")]
    reply = alloc.answer(message(NODES, {}, type="multi-allocate", instances=asked))
    placed, failed = reply["result"]
    assert [name for name, _ in placed] == ["a", "c"]
    assert [name for name, _ in failed] == ["b"]
    assert reply["info"].endswith("1 instances failed to allocate and 2 were allocated successfully")
    assert failed[0][1].startswith("Group default (preferred): No valid allocation solutions")
    inside = alloc.answer(message(NODES, {}, type="multi-allocate", instances=asked, group_name="default"))["result"]
    assert inside[1][0][1].startswith("No valid allocation solutions"), "the group needs no name where it was named"


def test_relocation_and_evacuation():
    nodes = NODES | {"n0": node(14976, 97952), "n1": node(16000, 97952)}
    instances = {"i": guest("n0", "n1"), "e": guest("n0", template="plain")}
    moved = alloc.answer(message(nodes, instances, type="relocate", name="i", relocate_from=["n1"], required_nodes=1))
    assert (moved["result"], moved["info"]) == (["n2"], "Request successful: success")
    wrong = alloc.answer(message(nodes, instances, type="relocate", name="i", relocate_from=["n0"], required_nodes=1))
    assert "excluded nodes not equal" in wrong["info"]
    done, failed, jobs = alloc.answer(message(nodes, instances, type="node-evacuate", instances=["i", "e"],
                                              evac_mode="primary-only"))["result"]
    assert done == [["i", "default", ["n1", "n0"]]]
    assert failed == [["e", "Instances of type plain cannot be relocated"]]
    assert [[opcode["OP_ID"] for opcode in job] for job in jobs] == [["OP_INSTANCE_MIGRATE"]]
    nowhere = alloc.answer(message(nodes, instances, type="change-group", instances=["i"], target_groups=[]))
    assert "no groups for evacuation" in nowhere["result"][1][0][1]


@pytest.mark.parametrize("request_", [{}, {"request": 3}, message(NODES, {}, type="fly"),
                                      message(NODES, {"i": guest("n9")}, **wish())])
def test_requests_that_make_no_sense(request_):
    reply = alloc.answer(request_)
    assert (reply["success"], reply["result"]) == (False, [])


def test_what_is_remembered_never_shows():
    kept, made = memory.Memory(), random.Random(1)
    nodes, instances = {f"n{number}": node() for number in range(6)}, {}
    for number in range(12):
        request = message(nodes, instances, **wish(name=f"new{number}"))
        reply = requests.reply(request, requests.Conditions(), memory=kept)
        assert reply == requests.reply(request, requests.Conditions())
        instances[f"i{number}"] = guest(*reply["result"] or ["n0", "n1"], memory=512)
        name = made.choice([*nodes])
        nodes[name] = nodes[name] | {"free_memory": nodes[name]["free_memory"] - 100}


def test_what_is_remembered_of_nodes_depends_on_the_hypervisor():
    kept = memory.Memory()
    for hypervisor in ("xen-pvm", "kvm", "xen-pvm"):
        request = message(NODES, {}, **wish(memory=12000)) | {"enabled_hypervisors": [hypervisor]}
        assert requests.reply(request, requests.Conditions(), memory=kept) == requests.reply(
            request, requests.Conditions())


def cluster(seed, templates=(Template.DRBD,)):
    """A cluster, its instances placed at random."""
    made = random.Random(seed)
    data = simulate(["p,5,400g,16g,16"])
    instances = []
    for number in range(14):
        template = made.choice(templates)
        first, second = made.sample(range(5), 2)
        instances.append(Instance(f"i{number}", made.choice([512, 1024, 3000]), 4096, (Disk(4096),), 1, Status.RUNNING,
                                  auto_balance=True, primary=first,
                                  secondary=second if template.has_secondary else NO_NODE, template=template))
    used = [sum(one.memory for one in instances if one.primary == place) for place in range(5)]
    nodes = tuple(one._replace(free_memory=one.free_memory - used[place])
                  for place, one in enumerate(data.nodes))
    return prepare(type(data)(data.groups, nodes, tuple(instances)))


def newcomer(template):
    return Instance("new", 2000, 4096, (Disk(4096),), 2, Status.RUNNING, auto_balance=True, primary=NO_NODE,
                    secondary=NO_NODE, template=template)


@pytest.mark.parametrize("seed", range(6))
def test_all_candidates_at_once_are_what_each_would_be(seed):
    state = places.whole(cluster(seed), [newcomer(Template.DRBD)])
    index, everyone = len(state.instances) - 1, np.arange(5)
    grown = places.as_primary(state, index), places.as_secondary(state, index)
    table = values.pairs(state, index, everyone, everyone, grown, places.scored(state))
    kept = redundancy.pairs_kept(state, index, everyone, everyone)
    for first in range(5):
        for second in range(5):
            if first != second:
                trial = state.copy()
                trial.move(index, first, second)
                assert table[first, second] == pytest.approx(score(trial), abs=1e-9)
                assert kept[first, second] == redundancy.redundant(trial)


@pytest.mark.parametrize("seed", range(4))
def test_single_candidates_are_what_each_would_be(seed):
    state = places.whole(cluster(seed, (Template.DRBD, Template.PLAIN, Template.EXT)), [newcomer(Template.PLAIN)])
    index, everyone = len(state.instances) - 1, np.arange(5)
    row = values.singles(state, index, everyone, places.as_primary(state, index), places.scored(state))
    for node_ in range(5):
        trial = state.copy()
        trial.move(index, node_, trial.count)
        assert row[node_] == pytest.approx(score(trial), abs=1e-9)
    found = allocate.single(state, index, everyone, allocate.Conditions())
    if found.nodes:
        allocate.place(state, index, found.nodes)
        assert redundancy.redundant(state)


def test_the_program(tmp_path, capsys):
    path = tmp_path / "request.json"
    path.write_text(json.dumps(message(NODES, {}, **wish("plain"))))
    assert main([str(path), "-p", "-S", str(tmp_path / "state")]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["success"]
    assert "Initial cluster status:" in err
    assert "new|1024|2048|1|running" in (tmp_path / "state.post-ialloc").read_text()
    assert main([]) == 1
    assert "Error: This program needs an input file." in capsys.readouterr().err
    path.write_text("{")
    assert main([str(path)]) == 1
    assert capsys.readouterr().err.startswith("Error: Parsing input IAllocator message: Invalid JSON")
