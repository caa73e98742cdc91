# SPDX-License-Identifier: BSD-2-Clause
"""ssconf files: written whole, in order, readable by all."""

import os

import pytest

from gantry.backend import ssconf
from gantry.errors import WrongInput


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    return tmp_path / "var/lib/gantry"


def test_values_end_with_a_newline_and_empty_ones_are_empty(state):
    ssconf.write({"cluster_name": "c.example.com", "node_list": "a\nb\n", "uid_pool": ""}, 1)
    assert (state / "ssconf_cluster_name").read_text() == "c.example.com\n"
    assert (state / "ssconf_node_list").read_text() == "a\nb\n"
    assert (state / "ssconf_uid_pool").read_text() == ""
    assert (state / "ssconf_cluster_name").stat().st_mode & 0o777 == 0o444


def test_an_older_serial_changes_nothing(state):
    ssconf.write({"master_node": "node2"}, 5)
    ssconf.write({"master_node": "node1"}, 4)
    assert (state / "ssconf_master_node").read_text() == "node2\n"


def test_the_same_serial_may_be_written_again(state):
    ssconf.write({"master_node": "node2"}, 5)
    (state / "ssconf_master_node").unlink()
    ssconf.write({"master_node": "node2"}, 5)
    assert (state / "ssconf_master_node").read_text() == "node2\n"


def test_what_is_not_given_any_more_goes_away(state):
    ssconf.write({"hvparams_kvm": "a=1", "master_node": "x"}, 1)
    ssconf.write({"master_node": "x"}, 2)
    assert sorted(path.name for path in state.glob("ssconf_*")) == ["ssconf_master_node"]


def test_files_that_stay_the_same_are_not_written(state):
    ssconf.write({"master_node": "x"}, 1)
    before = os.stat(state / "ssconf_master_node").st_ino
    ssconf.write({"master_node": "x"}, 2)
    assert os.stat(state / "ssconf_master_node").st_ino == before


@pytest.mark.parametrize(("key", "text"), [("../evil", "x"), ("", "x"), ("big", "x" * 200_000)])
def test_bad_keys_and_sizes_are_refused_before_anything_is_written(state, key, text):
    with pytest.raises(WrongInput):
        ssconf.write({"master_node": "x", key: text}, 1)
    assert not list(state.glob("ssconf_*"))


def test_a_damaged_serial_counts_as_none(state):
    ssconf.write({"master_node": "x"}, 7)
    (state / "ssconf.serial").write_text("garbage")
    ssconf.write({"master_node": "y"}, 3)
    assert (state / "ssconf_master_node").read_text() == "y\n"


def test_remove_leaves_nothing(state):
    ssconf.write({"master_node": "x"}, 7)
    ssconf.remove()
    assert list(state.iterdir()) == []
