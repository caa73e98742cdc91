# SPDX-License-Identifier: BSD-2-Clause
"""Utilisation: files of `-U`, and what monitoring daemons say."""

import json
from pathlib import Path
from typing import Any

import pytest

from hbal.errors import Error
from hbal.load import dynutil, mond, text
from hbal.load.prepare import prepare
from hbal.model import Load

DATA = prepare(text.load(str(Path(__file__).parents[2] / "data" / "hbal" / "two-groups.data")))


def test_lines_of_utilisation() -> None:
    assert dynutil.parse("a 0.5 0.25 3 100\nb 0 0 0 0\n") == {"a": Load(0.5, 0.25, 3.0, 100.0), "b": Load(0, 0, 0, 0)}
    assert dynutil.parse("a 1 2 3 4") == {"a": Load(1, 2, 3, 4)}
    assert dynutil.parse("") == {}


@pytest.mark.parametrize(("content", "complaint"), [
    ("a 1 2 3", "can't parse utilisation data: Cannot parse line a 1 2 3"),
    ("a  1 2 3", "can't parse utilisation data: a: cannot parse string ''"),
    ("a 1 x 3 4", "can't parse utilisation data: a: cannot parse string 'x'"),
    ("a 1 2 3 4\n\n", "can't parse utilisation data: Cannot parse line "),
])
def test_lines_that_make_no_sense(content: str, complaint: str) -> None:
    with pytest.raises(Error) as caught:
        dynutil.parse(content)
    assert str(caught.value) == complaint


def test_no_such_files(tmp_path: Path) -> None:
    with pytest.raises(Error, match="cannot read utilisation data"):
        dynutil.load(str(tmp_path / "nothing"))
    with pytest.raises(Error, match="cannot read monitoring data"):
        mond.from_file(str(tmp_path / "nothing"), mond.TOTAL)


def reports(*totals: Any) -> mond.Reports:
    return {node.name: {"cpu_total": total} for node, total in zip(DATA.nodes, totals, strict=True)}


def test_primaries_share_a_node_s_total_by_their_cpus() -> None:
    measured = mond.applied(DATA, reports(2.0, 1.0, 0.5, 0), mond.TOTAL)
    assert measured is not None
    assert [node.cpu_load for node in measured.nodes] == [2.0, 1.0, 0.5, 0.0]
    assert [one.load.cpu for one in measured.instances] == [pytest.approx(4 / 3), pytest.approx(2 / 3),
                                                             pytest.approx(2 / 3)]
    assert measured.instances[0].load.disk == 1.0


@pytest.mark.parametrize("bad", [None, "x", -1, float("nan"), True])
def test_one_bad_answer_spoils_all(bad: Any) -> None:
    assert mond.applied(DATA, reports(2.0, bad, 0, 0), mond.TOTAL) is None
    missing = reports(2.0, 1.0, 0, 0)
    del missing["node3.example.com"]
    assert mond.applied(DATA, missing, mond.TOTAL) is None


def test_loads_of_xen_domains() -> None:
    answer = {"inst1.example.com": 0.75, "inst2.example.com": 0.25}
    measured = mond.applied(DATA, {node.name: answer for node in DATA.nodes}, mond.XEN)
    assert measured is not None
    assert [node.cpu_load for node in measured.nodes] == [0.75, 0.25, 0, 0]
    assert [one.load.cpu for one in measured.instances] == [0.75, 0.25, 1.0]
    assert mond.applied(DATA, {node.name: {} for node in DATA.nodes}, mond.XEN) is None
    assert mond.applied(DATA, {}, mond.XEN) is None


def test_reports_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mond.json"
    path.write_text(json.dumps([{"node": "a", "reports": [{"name": "other", "data": 1},
                                                          {"name": mond.TOTAL, "data": {"cpu_total": 2}}]}]))
    assert mond.from_file(str(path), mond.TOTAL) == {"a": {"cpu_total": 2}}
    for content in ("{", "{}", "[3]", '[{"node": "a", "reports": [{}]}]'):
        path.write_text(content)
        with pytest.raises(Error, match="can't parse MonD data: "):
            mond.from_file(str(path), mond.TOTAL)
