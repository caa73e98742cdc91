# SPDX-License-Identifier: BSD-2-Clause
"""Carrying plans out on a world, and cutting them off: as the master's executor does it."""

from gantry.errors import Error, NodeUnreachable
from gantry.objects.plan import Delete, Put, Several, Update, decode_plan, fill
from support.guest_world import filled


class Cut(Exception):
    """The master died here."""


class Runner:
    """One plan; what it knows survives a `Cut`, as the store does."""

    def __init__(self, world, plan):
        self.world, self.plan = world, decode_plan(plan.encode())  # through JSON, as stored plans are
        self.done, self.results, self.inverse = {}, {}, {}
        self.warnings, self.half, self.stuck = [], -1, set()

    def forward(self, *, cut=None):
        """`cut`: (index, "before" or "half")."""
        for index, step in enumerate(self.plan.steps):
            if index in self.done:
                continue
            if cut == (index, "before"):
                raise Cut
            result = self._step(index, step)
            self.half = index
            if cut == (index, "half") and not _stores_itself(step.action):
                raise Cut
            self.done[index] = result
            if step.key:
                self.results[step.key] = result
            if cut == (index, "half"):
                raise Cut
        return fill(self.plan.result, self.results)

    def _step(self, index, step):
        changes = _parts(step.action)
        if step.undo is None and _stores_itself(step.action):
            self.inverse[index] = Several(actions=self.world.writer.inverse(filled(changes, self.results)))
        try:
            return self.world.act(step.action, self.results)
        except Error as err:
            if isinstance(err, NodeUnreachable) and step.confirm and self.world.act(step.confirm, self.results):
                return None
            if not step.may_fail:
                raise
            self.warnings.append(str(err))
            return None

    def past_return(self, reached):
        """A step of no return that was done is not undone, recorded or not: the node tells that it was done."""
        done = {*self.done, self.half}
        return (reached > 0 and not self.plan.undoable) or any(
            step.no_return for index, step in enumerate(self.plan.steps) if index in done)

    def undo(self, reached, *, lenient=False):
        """`lenient`: what cannot be undone is a warning, as the executor has it."""
        for index in range(min(reached, len(self.plan.steps) - 1), -1, -1):
            step = self.plan.steps[index]
            action = step.undo or (self.inverse.get(index) if index in self.done else None)
            if action is None or (step.undo_after and step.undo_after in self.stuck):
                continue
            try:
                self.world.act(action, self.results)
            except Error as err:
                if not lenient:
                    raise
                self.warnings.append(str(err))
                self.stuck.add(step.key)


def _parts(action):
    return action.actions if isinstance(action, Several) else [action]


def _stores_itself(action):
    """Changes of the configuration and the record of their step are one store record."""
    return all(isinstance(item, (Put, Update, Delete)) for item in _parts(action))


def run(world, plan):
    """The plan's result."""
    return Runner(world, plan).forward()


def check_every_cut(make, *, undone_without=(), check=lambda world: None):
    """Cut a plan off before each step, and after each step that was not recorded; then resume it, or undo it.

    `make` gives a fresh (world, plan).  Resumed, the world must be as after an undisturbed run; undone, as
    before, but for the instance's fields `undone_without`.  `check` looks at the world in the end.  Every
    action is done twice on the way, since what was not recorded is done again.
    """
    world, plan = make()
    result = run(world, plan)
    goal = world.snapshot()
    check(world)
    assert plan.steps, "an empty plan cannot be cut"
    for cut in [(index, kind) for index in range(len(plan.steps)) for kind in ("before", "half")]:
        world, plan = make()
        runner = _cut_off(world, plan, cut)
        assert runner.forward() == result
        assert world.snapshot() == goal, f"resumed after {cut}"
        check(world)
        world, plan = make()
        start = world.snapshot(without=undone_without)
        runner = _cut_off(world, plan, cut)
        if not runner.past_return(cut[0]):
            runner.undo(cut[0])
            assert world.snapshot(without=undone_without) == start, f"undone after {cut}"
            check(world)


def _cut_off(world, plan, cut):
    runner = Runner(world, plan)
    try:
        runner.forward(cut=cut)
    except Cut:
        return runner
    raise AssertionError(f"the plan has no step {cut}")


def fails_and_undoes(world, plan):
    """Run a plan that fails, undo it; the error."""
    runner = Runner(world, plan)
    reached = 0
    try:
        runner.forward()
    except Error as err:
        reached = max(runner.done, default=-1) + 1
        assert not runner.past_return(reached)
        runner.undo(reached)
        return err
    raise AssertionError("the plan did not fail")


def check_half_a_removal(world, plan):
    """Cut a plan off while it removes something: it may go back only if what it leads back to is all there.

    Of that removal everything was done and nothing was recorded, as when it is canceled.
    """
    index = next(index for index, step in enumerate(plan.steps)
                 if any(getattr(part, "call", "") == "disk_remove" for part in _parts(step.action)))
    start = world.snapshot(without=("degraded_since",))
    runner = _cut_off(world, plan, (index, "before"))
    world.act(runner.plan.steps[index].action, runner.results)
    if runner.past_return(index):
        runner.forward()
        return
    runner.undo(index)
    assert world.snapshot(without=("degraded_since",)) == start
