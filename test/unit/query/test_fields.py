# SPDX-License-Identifier: BSD-2-Clause
"""Every field that clients know is there, with the title and kind that they know."""

from pathlib import Path

import pytest

from gantry.query.query import RESOURCES, query_fields

GOLDEN = Path(__file__).parents[2] / "data/query/fields.txt"
LINES = [line.split(" ") for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]
OPCODE_ONLY = ("os", "extstorage", "cluster")


@pytest.mark.parametrize("what", sorted(RESOURCES))
def test_names_titles_and_kinds(what):
    wanted = {name: (title, kind) for resource, name, title, kind, _ in LINES if resource == what}
    found = {field.name: (field.title, field.kind.value) for field in RESOURCES[what].fields.values()}
    assert found == wanted


@pytest.mark.parametrize("what", sorted(set(RESOURCES) - set(OPCODE_ONLY)))
def test_what_is_live(what):
    wanted = {name for resource, name, _, _, live in LINES if resource == what and live == "live"}
    assert {field.name for field in RESOURCES[what].fields.values() if field.needs} == wanted


def test_every_field_is_described_and_titles_are_one_word():
    for resource in RESOURCES.values():
        for field in resource.fields.values():
            assert field.doc
            assert " " not in field.title


def test_an_alias_has_everything_of_its_target():
    memory, target = query_fields("instance", ["be/memory", "be/maxmem"])["fields"]
    assert memory == target | {"name": "be/memory"}


def test_all_fields_come_in_nice_order():
    names = [field["name"] for field in query_fields("instance")["fields"]]
    assert names.index("disk.size/2") < names.index("disk.size/10")
    assert len(names) == len(RESOURCES["instance"].fields)


def test_an_unknown_field_is_described_as_unknown():
    assert query_fields("node", ["nope"])["fields"] == [
        {"name": "nope", "title": "nope", "kind": "unknown", "doc": "Unknown field 'nope'"}]
