# SPDX-License-Identifier: BSD-2-Clause
"""Names, addresses and ports that running jobs will use; kept in memory, stored plans list theirs."""

from collections.abc import Iterable

from gantry.errors import NotUnique


class ReservationBook:
    """All reservations, by kind and value."""

    def __init__(self) -> None:
        self._owners: dict[str, dict[str, int]] = {}

    def of(self, job: int) -> "JobReservations":
        return JobReservations(self, job)

    def taken(self, kind: str, job: int) -> frozenset[str]:
        return frozenset(value for value, owner in self._owners.get(kind, {}).items() if owner != job)

    def held(self, kind: str) -> frozenset[str]:
        return frozenset(self._owners.get(kind, ()))

    def reserve(self, kind: str, value: str, job: int) -> None:
        """Raises NotUnique when another job has it."""
        owner = self._owners.setdefault(kind, {}).setdefault(value, job)
        if owner != job:
            raise NotUnique(detail=f"{kind} {value} is reserved by job {owner}")

    def reserve_all(self, reserves: Iterable[tuple[str, str]], job: int) -> None:
        for kind, value in reserves:
            self.reserve(kind, value, job)

    def release(self, job: int) -> None:
        """Everything the job has reserved."""
        for values in self._owners.values():
            for value in [value for value, owner in values.items() if owner == job]:
                del values[value]


class JobReservations:
    """The reservations as one job sees them."""

    def __init__(self, book: ReservationBook, job: int) -> None:
        self._book, self._job = book, job

    def taken(self, kind: str) -> frozenset[str]:
        return self._book.taken(kind, self._job)

    def held(self, kind: str) -> frozenset[str]:
        return self._book.held(kind)

    def reserve(self, kind: str, value: str) -> None:
        self._book.reserve(kind, value, self._job)
