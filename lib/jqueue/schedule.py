# SPDX-License-Identifier: BSD-2-Clause
"""Which jobs may start now.  Pure: queued and running jobs in, a choice out."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gantry.jqueue.trail import Bucket
from gantry.objects.cluster import FilterRule


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A job as the scheduler sees it."""

    id: int
    priority: int
    buckets: frozenset[Bucket] = frozenset()

    @property
    def rank(self) -> tuple[int, int]:
        return (self.priority, self.id)


@dataclass(frozen=True, kw_only=True)
class Choice:
    start: tuple[int, ...]
    reject: tuple[int, ...]


RuleOf = Callable[[Candidate], FilterRule | None]


def no_rules(candidate: Candidate) -> FilterRule | None:
    return None


def choose(ready: Iterable[Candidate], active: Iterable[Candidate], limit: int,
           rule_of: RuleOf = no_rules) -> Choice:
    """Job ids to start and to reject.

    `ready` is sorted by rank, its dependencies are done.  At most `limit` jobs run at once, at most n of a
    bucket (n, label), at most n of a rule RATE_LIMIT n; the first deciding rule counts.
    """
    running = list(active)
    free = limit - len(running)
    used: Counter[Bucket] = Counter(bucket for item in running for bucket in item.buckets)
    rated: Counter[str] = Counter()
    if rule_of is not no_rules:
        rated.update(rule.uuid for rule in map(rule_of, running) if rule is not None)
    start: list[int] = []
    reject: list[int] = []
    for item in ready:
        if free <= 0 and rule_of is no_rules:
            break
        if any(used[bucket] >= bucket[0] for bucket in item.buckets):
            continue
        rule = rule_of(item)
        if rule is not None and rule.action == "REJECT":
            reject.append(item.id)
            continue
        if free <= 0 or not _allows(rule, rated):
            continue
        free -= 1
        start.append(item.id)
        used.update(item.buckets)
        if rule is not None:
            rated[rule.uuid] += 1
    return Choice(start=tuple(start), reject=tuple(reject))


def _allows(rule: FilterRule | None, rated: Counter[str]) -> bool:
    if rule is None or rule.action == "ACCEPT":
        return True
    if isinstance(rule.action, (list, tuple)) and len(rule.action) == 2 and rule.action[0] == "RATE_LIMIT":
        return rated[rule.uuid] < int(rule.action[1])
    return False
