# SPDX-License-Identifier: BSD-2-Clause
"""What an owner needs, as a list of locks."""

from gantry.locking.modes import Wanted, key_name


def test_what_has_no_name_has_no_lock():
    """The empty name is the lockset's: who asked for both would wait for itself."""
    unnamed = Wanted(exclusive={"instance": frozenset({"", "web1"})}).in_order()
    assert [key_name(key) for key, _, _ in unnamed] == ["cluster/BGL", "instance/[lockset]", "instance/web1"]
