# SPDX-License-Identifier: BSD-2-Clause
"""The description fits what is declared, and the requests it allows are accepted."""

import json
import re
from html.parser import HTMLParser

import pytest

from gantry.opcodes import load_all
from gantry.rapi.events import Events
from gantry.rapi.openapi import Description, description
from gantry.rapi.routes import all_endpoints
from support.rapi import ADMIN, FakeDoor, application, ask


@pytest.fixture(scope="module")
def described():
    load_all()
    return json.loads(json.dumps(description(all_endpoints()), default=list))


def test_every_endpoint_is_described(described):
    known = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    for endpoint in all_endpoints():
        path = endpoint.path.replace(":int}", "}").replace("{what}", "instance")
        assert (endpoint.method, path) in known


def test_streams_are_described_apart():
    """Who tries all paths must come to an end."""
    found = json.loads(Description([*all_endpoints(), Events(None).endpoint()]).json())
    assert "/2/events" not in found["paths"]
    assert [item["name"] for item in found["x-streams"]["/2/events"]["get"]["parameters"]] == ["kinds"]


def test_operations_have_names_of_their_own(described):
    names = [operation["operationId"] for methods in described["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names), names


def test_parameters_of_paths_are_described(described):
    for path, methods in described["paths"].items():
        for operation in methods.values():
            named = {item["name"] for item in operation["parameters"] if item["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


def test_references_lead_somewhere(described):
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(described)):
        place = described
        for part in reference.split("/"):
            place = place[part]


def body(described, method, path):
    return described["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]


def test_bodies_have_the_parameters_of_opcodes(described):
    shown = body(described, "put", "/2/instances/{name}/modify")
    assert "instance_name" not in shown["properties"]
    assert not any(name.endswith("_uuid") for name in shown["properties"])
    assert "custom_beparams" in shown["properties"]
    assert shown["properties"]["offline"]["description"].startswith("true: admin_state offline")
    create = body(described, "post", "/2/instances")
    assert {"__version__", "name", "mode", "disks", "nics"} <= set(create["required"])
    assert create["properties"]["mode"]["enum"] == ["create", "import", "remote-import"]
    assert "requestBody" not in described["paths"]["/2/instances/{name}/startup"]["put"]


def test_objects_have_the_fields_of_queries(described):
    instance = described["components"]["schemas"]["instance"]["properties"]
    assert instance["oper_ram"]["type"] == ["integer", "null"]
    assert instance["name"]["type"] == ["string", "null"]


def test_what_is_needed_and_nothing_else_is_accepted(described, tmp_path):
    """The least body of each endpoint that has one, as the description says."""
    app = application(FakeDoor(), tmp_path)
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if "requestBody" not in operation or not path.startswith(("/2/instances", "/2/groups", "/2/networks")):
                continue
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            least = {name: example(schema["properties"][name]) for name in schema.get("required", ())}
            query = "&".join(f"{item['name']}={example(item['schema'])}" for item in operation["parameters"]
                             if item["in"] == "query" and item["required"])
            target = re.sub(r"\{disk\}", "0", re.sub(r"\{name\}", "x", path)) + (f"?{query}" if query else "")
            answer = ask(app, method.upper(), target, least, user=ADMIN)
            assert answer.status == 200, (method, path, least, answer.body)


def example(schema):
    if "enum" in schema:
        return schema["enum"][0]
    if "CIDR" in schema.get("description", ""):
        return "10.0.0.0/24"
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    return {"string": "x", "integer": 1, "array": [], "object": {}, "boolean": True}[kind]


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_from_elsewhere():
    text = Description(all_endpoints()).page().decode()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.links == ["/2/openapi.json"]
    assert "<script" not in text
    assert "/2/instances/{name}/startup" in text


def test_both_are_served(tmp_path):
    app = application(FakeDoor(), tmp_path)
    assert "/metrics" in ask(app, "GET", "/2/openapi.json").body["paths"]
    assert ask(app, "GET", "/2/docs").headers["Content-Type"] == "text/html; charset=utf-8"
