# SPDX-License-Identifier: BSD-2-Clause
"""What moves do to a state and its score: by their change and in full."""

from pathlib import Path

import numpy as np
import pytest

from hbal.core.after import applied
from hbal.core.arrays import KEPT, State, build
from hbal.core.delta import Candidates
from hbal.core.exact import Trial
from hbal.core.moves import Kind, Move, Restrictions, allowed, make, placement, written
from hbal.core.rounds import keys_below, named
from hbal.core.score import components, deviations, optimum, score
from hbal.core.swaps import Swaps, possible
from hbal.load import text
from hbal.load.prepare import prepare
from support.hbal_core import drawn

EVERYTHING = 1e300
ORDINARY = "tags locations migration desired exclusive offline forthcoming split groups"


def candidates(state: State, rules: Restrictions) -> list[tuple[Move, float]]:
    """All moves that are allowed, with the change of the score they are said to make."""
    found = Candidates(state, rules)
    if not len(found.rows):
        return []
    found.refresh()
    block = found.block(found.rows)
    moves = []
    for instance, target, place in sorted(keys_below(block, EVERYTHING)):
        row = int(np.flatnonzero(block.rows == instance)[0])
        plane = {0: 0, 1: 2, 2: 3, 3: 1}.get(place, 0)
        worth = block.failover[row] if target < 0 else block.per_target[plane, row, target]
        moves.append((named(state, instance, target, place), float(worth)))
    return moves


@pytest.mark.parametrize("seed", range(40))
def test_the_change_of_each_move_is_that_of_the_whole_score(seed: int, tmp_path: Path) -> None:
    state, rules = drawn(seed, tmp_path)
    before = score(state)
    for move, worth in candidates(state, rules):
        after = state.copy()
        make(after, move)
        assert score(after) - before == pytest.approx(worth, abs=1e-7), move


@pytest.mark.parametrize("seed", range(40, 70))
def test_the_score_follows_any_sequence_of_moves(seed: int, tmp_path: Path) -> None:
    state, rules = drawn(seed, tmp_path)
    for turn in range(12):
        moves = candidates(state, rules)
        if not moves:
            break
        before, (move, worth) = score(state), moves[(seed * 31 + turn * 17) % len(moves)]
        make(state, move)
        assert score(state) - before == pytest.approx(worth, abs=1e-7)


@pytest.mark.parametrize("seed", range(70, 100))
def test_a_moved_state_is_the_state_of_the_moved_cluster(seed: int, tmp_path: Path) -> None:
    state, rules = drawn(seed, tmp_path, off="forthcoming")
    group = state.nodes[0].group
    for turn in range(8):
        moves = candidates(state, rules)
        if moves:
            make(state, moves[(seed + turn * 13) % len(moves)][0])
    fresh = build(applied(state), group)
    for name in ("used_memory", "unallocated", "free_disk", "free_disk_forth", "free_spindles", "used_cpus",
                 "used_spindles", "primaries", "secondaries", "peers", "peers_by_primary", "failing",
                 "location_score", "tag_counts", "location_pairs"):
        mine, theirs = getattr(state, name), getattr(fresh, name)
        assert (mine is None and theirs is None) or np.array_equal(mine, theirs), name
    assert np.allclose(state.loads, fresh.loads)
    assert np.array_equal(state.largest[0], fresh.largest[0])


@pytest.mark.parametrize("seed", range(30))
def test_the_change_of_each_exchange_is_that_of_the_whole_score(seed: int, tmp_path: Path) -> None:
    state, rules = drawn(seed, tmp_path, off=ORDINARY)
    if not possible(state) or state.failing.any():
        pytest.skip("exchanges are for ordinary clusters")
    found = Candidates(state, rules)
    found.refresh()
    first, second = np.triu_indices(len(state.instances), 1)
    usable = np.isin(first, Swaps(found).rows) & np.isin(second, Swaps(found).rows)
    first, second = first[usable], second[usable]
    for primaries in (True, False):
        worth = Swaps(found).changes(first, second, primaries=primaries)
        for pair in np.flatnonzero(np.isfinite(worth))[::7]:
            after = state.copy()
            _exchange(after, int(first[pair]), int(second[pair]), primaries=primaries)
            assert score(after) - score(state) == pytest.approx(float(worth[pair]), abs=1e-7)
            assert not after.failing.any()


def _exchange(state: State, one: int, two: int, *, primaries: bool) -> None:
    first = int(state.primary[one]), int(state.secondary[one])
    second = int(state.primary[two]), int(state.secondary[two])
    state.move(one, *((second[0], first[1]) if primaries else (first[0], second[1])))
    state.move(two, *((first[0], second[1]) if primaries else (second[0], first[1])))


def test_a_copy_is_independent(tmp_path: Path) -> None:
    state, rules = drawn(3, tmp_path, off="offline")
    before = score(state)
    after = state.copy()
    make(after, candidates(state, rules)[0][0])
    assert score(state) == before != score(after)


def test_columns_and_rows_of_a_block_agree_with_the_whole(tmp_path: Path) -> None:
    state, rules = drawn(7, tmp_path, off="offline options")
    found = Candidates(state, rules)
    found.refresh()
    whole = found.block(found.rows)
    columns = np.array([2, 0])
    part = found.block(found.rows[3:6], columns)
    assert np.allclose(part.per_target, whole.per_target[:, 3:6][:, :, columns], atol=1e-9)
    assert np.allclose(part.failover, whole.failover[3:6], atol=1e-9)
    assert np.allclose(whole.by_row[3:6], np.minimum(
        whole.per_target[:, 3:6].min(axis=(0, 2)), whole.failover[3:6]))


def test_placements_and_names() -> None:
    made = {kind: placement(Move(0, kind, 7), 1, 2, 9) for kind in Kind}
    assert made == {
        Kind.FAILOVER: (2, 1), Kind.REPLACE: (1, 7), Kind.REPLACE_FAILOVER: (7, 1),
        Kind.FAILOVER_REPLACE_FAILOVER: (7, 2), Kind.FAILOVER_REPLACE: (2, 7), Kind.FAILOVER_ANY: (7, 9)}
    assert [written(Move(0, kind, 7), "n") for kind in Kind] == ["f", "r:n", "r:n f", "f r:n f", "f r:n", "fa:n"]


@pytest.mark.parametrize(("rules", "online", "kinds"), [
    (Restrictions(), (True, True), "f r rf frf fr"),
    (Restrictions(disk_moves=False), (True, True), "f"),
    (Restrictions(instance_moves=False), (True, True), "r"),
    (Restrictions(restricted_migration=True), (True, True), "f r"),
    (Restrictions(restricted_migration=True), (False, True), "f r rf fr"),
    (Restrictions(), (True, False), "r rf"),
    (Restrictions(instance_moves=False), (True, False), "r"),
    (Restrictions(evacuate=True), (True, True), ""),
    (Restrictions(evacuate=True), (False, True), "f r rf frf fr"),
    (Restrictions(), (False, False), "r rf"),
])
def test_which_moves_are_tried(rules: Restrictions, online: tuple[bool, bool], kinds: str, tmp_path: Path) -> None:
    state, _ = drawn(1, tmp_path, off="external not-balanced offline options groups split desired")
    instance = 0
    state.limits.online[state.primary[instance]], state.limits.online[state.secondary[instance]] = online
    found = allowed(state, rules)
    names = ["f"] * int(found.failover[instance]) + [
        name for name, plane in (("r", 0), ("rf", 2), ("frf", 3), ("fr", 1)) if found.per_target[plane, instance]]
    assert " ".join(names) == kinds


def test_deviations_are_those_of_the_population() -> None:
    found = deviations(np.array([[1.0, 2.0, 3.0, 6.0], [5.0, 5.0, 5.0, 5.0]]))
    assert found.tolist() == pytest.approx([3.5**0.5, 0.0])


def test_no_online_node_has_no_score(tmp_path: Path) -> None:
    state, _ = drawn(1, tmp_path)
    state.limits.online[:] = False
    assert score(state) == 0.0
    assert components(state) == []


def test_the_optimum_is_what_equal_reserves_would_leave(tmp_path: Path) -> None:
    state, _ = drawn(2, tmp_path)
    memory = state.limits.memory[:-1]
    whole, kept = memory.sum(), state.peers.sum()
    assert optimum(state) == pytest.approx(0.25 * (kept / (whole - memory.max()) - kept / whole))


def test_a_node_without_memory_takes_no_instance_that_is_down_either(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("\n".join((
        "g|u|preferred||", "", *(f"n{index}|4096|0|{free}|9000|{9000 - used}|4|N|u|1||N|0|1|1.0"
                                 for index, free, used in ((0, 4096, 1000), (1, 4096, 1000), (2, 0, 0))), "",
        "i|1024|1000|1|ADMIN_down|Y|n0|n1|drbd||1|-|N", "", "", "")))
    state = build(prepare(text.load(str(tmp_path / "data"))))
    found = {written(move, state.nodes[move.target].name) for move, _ in candidates(state, Restrictions())}
    assert found == {"f"}, "n2 is full, and no secondary either: what is down asks for memory when it starts"


@pytest.mark.parametrize("seed", range(30))
def test_the_deviations_alone_bound_every_move(seed: int, tmp_path: Path) -> None:
    state, rules = drawn(seed, tmp_path, off=f"{ORDINARY} options")
    found = Candidates(state, rules)
    for move, _ in candidates(state, rules)[::29]:
        found.refresh()
        if found.bounded:
            spread = found.spread(found.rows)
            some = spread.of(np.arange(0, len(found.rows), 2))
            assert (found.bounds(spread) <= found.completed(spread).by_row + 1e-9).all()
            assert np.allclose(found.completed(some).by_row, found.completed(spread).by_row[::2], atol=1e-9)
        make(state, move)


@pytest.mark.parametrize("seed", range(20))
def test_a_trial_leaves_nothing_behind(seed: int, tmp_path: Path) -> None:
    state, rules = drawn(seed, tmp_path)
    before = state.copy()
    for move, _ in candidates(state, rules)[::7]:
        trial = Trial(state, move)
        assert trial.score == score(state)
        trial.undo()
        for name in ("tally", *KEPT):
            assert np.array_equal(getattr(state, name), getattr(before, name)), name
