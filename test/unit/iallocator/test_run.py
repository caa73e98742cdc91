# SPDX-License-Identifier: BSD-2-Clause
"""Asking allocators: hail in its worker, others as programs; and what is done with odd replies."""

import asyncio
import json

import pytest
from unit.iallocator.test_request import WANTED, info

from gantry.errors import BadEnvironment, NoResources, WrongInput
from gantry.iallocator import request, run
from support.cluster_world import config


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    return tmp_path


def message(**nodes):
    asked = request.allocate(WANTED)
    return request.message(config(), request.Live(nodes=nodes or {"n1": info(), "n2": info()}), asked)


def choose(name, **nodes):
    return asyncio.run(run.nodes(name, {}, message(**nodes)))


def install(root, body, name="mine"):
    folder = root / "usr/lib/ganeti/iallocators"
    folder.mkdir(parents=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_hail_answers_from_its_worker():
    params = {"static-kvm-node-memory": 0}
    names, why = asyncio.run(run.nodes("hail", params, message()))
    assert names[0] in {"node1", "node2"}
    assert "Selected group" in why
    with pytest.raises(NoResources) as caught:
        asyncio.run(run.nodes("hail", params, message(n1=info(free=100))))
    assert str(caught.value).startswith("Can't compute nodes using iallocator 'hail': Request failed: Group ")
    assert "failure reasons: Fail" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert any(line.startswith("node1") for line in run.reasons(caught.value)), "a table says why"


def test_a_program_gets_the_message_and_the_options(root):
    reply = json.dumps({"success": True, "info": "fine", "result": ["node2"]})
    install(root, f'test "$1" = --level=2 && grep -q allocate "$2" && echo \'{reply}\'')
    assert asyncio.run(run.nodes("mine", {"level": 2}, message())) == (["node2"], "fine")


@pytest.mark.parametrize(("body", "error", "says"), [
    ("exit 3", BadEnvironment, "Can't run"),
    ("echo nothing", BadEnvironment, "no JSON"),
    ("echo []", BadEnvironment, "no reply in the format"),
    ("""echo '{"success": true, "info": "", "result": ["node1", "node2"]}'""", BadEnvironment, "1 of the"),
    ("""echo '{"success": true, "info": "", "result": ["other"]}'""", BadEnvironment, "other"),
    ("""echo '{"success": false, "info": "full", "result": []}'""", NoResources, "'mine': full"),
])
def test_odd_replies_are_refused(root, body, error, says):
    install(root, body)
    with pytest.raises(error, match=says):
        choose("mine")


def test_names_that_are_none():
    with pytest.raises(BadEnvironment, match="no allocator of this name is installed"):
        choose("nosuch")
    with pytest.raises(WrongInput):
        choose("../../bin/true")
