# SPDX-License-Identifier: BSD-2-Clause
"""Which filter rule decides about a job, remembered until the rules change."""

from collections.abc import Mapping

from gantry.config.config import Config
from gantry.jqueue import filters
from gantry.jqueue.job import Job
from gantry.jqueue.schedule import Candidate, RuleOf, no_rules
from gantry.objects.cluster import FilterRule


class Verdicts:
    """Looking at thousands of queued jobs each time one ends must cost little."""

    def __init__(self) -> None:
        self._rules: list[FilterRule] = []
        self._known: dict[int, FilterRule | None] = {}

    def rule_of(self, config: Config, jobs: Mapping[int, Job]) -> RuleOf:
        if not config.filters:
            return no_rules
        rules = filters.in_order(list(config.filters.values()))
        if rules != self._rules:
            self._rules, self._known = rules, {}

        def find(candidate: Candidate) -> FilterRule | None:
            if candidate.id not in self._known:
                inputs = [op.input for op in jobs[candidate.id].ops]
                self._known[candidate.id] = filters.first_rule(rules, candidate.id, inputs)
            return self._known[candidate.id]
        return find

    def forget(self, job: int) -> None:
        self._known.pop(job, None)
