# SPDX-License-Identifier: BSD-2-Clause
"""Instances as whole objects, in the JSON text that the remote API sends.

Thousands of instances make megabytes, and between two looks hardly one has changed.  So each object's text is kept
with what it was made of, and made again only when that has changed; and the text of all has a version, by which a
client that has it need not be sent it again.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Sequence
from typing import Any

from gantry.errors import NotFound, WrongInput
from gantry.objects.instance import Disk, Instance
from gantry.query import instance_live, resource_instance
from gantry.query.fields import Field, Missing
from gantry.query.resource_instance import InstanceRow
from gantry.query.world import World

TURN = 100
"""Objects that are made before other work gets its turn."""
MOST_KINDS = 4
"""Sets of fields that texts are kept for."""


def _beparams(row: InstanceRow) -> dict[str, Any]:
    """Clients of old know the largest memory by its old name."""
    return {**row.be, "memory": row.be["maxmem"]}


class _Kept:
    """The text of one instance and what it was made of."""

    __slots__ = ("disks", "item", "live", "text")

    def __init__(self, item: Instance, disks: tuple[Disk, ...], live: tuple[Any, ...], text: str) -> None:
        self.item, self.disks, self.live, self.text = item, disks, live, text


class _Texts:
    """All texts for one set of fields.

    `around`: the objects of the configuration that instances show values of; `answers`: what the nodes said.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        known = resource_instance.RESOURCE.fields
        missing = [name for name in fields if name not in known]
        if missing:
            raise WrongInput(detail=f"Unknown output fields selected: {', '.join(missing)}")
        columns = [known[name] for name in fields]
        self._gets = [(field.name, _beparams if field.name == "beparams" else field.get) for field in columns]
        self._live: list[Field] = [field for field in columns if field.needs]
        self.needs = frozenset(field.needs for field in self._live)
        self._kept: dict[str, _Kept] = {}
        self._around: list[Any] = []
        self._start, self._count = os.urandom(4).hex(), 0
        self.serial = -1
        self.answers: list[Any] = []
        self.whole = b"[]"

    @property
    def version(self) -> str:
        return f"{self._start}-{self._count}"

    def is_current(self, serial: int, answers: Sequence[Any]) -> bool:
        """Whether nothing was recorded, and the nodes said the same, since the whole was made."""
        return (self.serial == serial and len(answers) == len(self.answers)
                and all(new is old or _facts(new) == _facts(old)
                        for new, old in zip(answers, self.answers, strict=True)))

    async def make(self, rows: Sequence[InstanceRow], around: Sequence[Any]) -> None:
        """Bring `whole` up to date."""
        before = self._kept
        if not _same(around, self._around):
            before = {}
        kept: dict[str, _Kept] = {}
        changed = len(rows) != len(before)
        made = 0
        for row in rows:
            old = before.get(row.item.uuid)
            live = tuple(field.get(row) for field in self._live)
            disks = row.disks
            if old is None or old.item is not row.item or old.live != live or not _same(old.disks, disks):
                old, changed, made = _Kept(row.item, disks, live, self.text(row)), True, made + 1
                if made % TURN == 0:
                    await asyncio.sleep(0)
            kept[row.item.uuid] = old
        if changed:
            self.whole = f"[{', '.join([item.text for item in kept.values()])}]".encode()
            self._count += 1
        self._kept, self._around = kept, list(around)

    def text(self, row: InstanceRow) -> str:
        return json.dumps({name: None if (value := get(row)).__class__ is Missing else value
                           for name, get in self._gets})


def _facts(answer: Any) -> Any:
    """What fields show of a node's answer."""
    if isinstance(answer, Exception):
        return None
    return [(vm.uuid, vm.state, vm.memory, vm.vcpus) for vm in answer]


def _same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return len(one) == len(other) and all(new is old for new, old in zip(one, other, strict=True))


class InstanceObjects:
    """Answers for one world."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, ...], _Texts] = {}
        self._guard = asyncio.Lock()

    async def all(self, world: World, fields: Sequence[str], version: str | None) -> tuple[str, bytes | None]:
        """The version, and the JSON text of the list of all instances; None when `version` is that of now."""
        async with self._guard:  # who comes while the texts are made wants the same ones
            texts = self._texts_of(tuple(fields))
            serial = world.config.serial
            answers = await instance_live.pulse(world) if texts.needs else []
            if not texts.is_current(serial, answers):
                steady = world.steady()
                rows = await resource_instance.RESOURCE.rows(steady, None, texts.needs)
                if texts.needs:
                    await resource_instance.fetch(steady, rows, texts.needs)
                config = steady.config
                await texts.make(rows, [config.cluster, *config.nodes.values(), *config.groups.values(),
                                        *config.networks.values()])
                texts.serial, texts.answers = config.serial, answers
            return texts.version, None if version == texts.version else texts.whole

    async def some(self, world: World, fields: Sequence[str], names: Sequence[str]) -> bytes:
        """The JSON text of the list of these instances; unknown ones are left out."""
        texts = self._texts_of(tuple(fields))
        found = []
        for name in names:
            with contextlib.suppress(NotFound):
                found.append(world.config.instance(name).name)
        rows = await resource_instance.RESOURCE.rows(world, found, texts.needs)
        if texts.needs:
            await resource_instance.fetch(world, rows, texts.needs)
        return f"[{', '.join([texts.text(row) for row in rows])}]".encode()

    def _texts_of(self, fields: tuple[str, ...]) -> _Texts:
        texts = self._texts.pop(fields, None) or _Texts(fields)
        self._texts[fields] = texts
        while len(self._texts) > MOST_KINDS:
            del self._texts[next(iter(self._texts))]
        return texts
