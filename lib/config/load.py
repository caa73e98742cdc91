# SPDX-License-Identifier: BSD-2-Clause
"""The configuration from stored rows, read strictly: a valid cluster or an error that names the place."""

from collections.abc import Mapping
from typing import Any

from gantry.config.config import TYPES, Config
from gantry.errors import ConfigurationError
from gantry.objects import codec


def load(tables: Mapping[str, Mapping[str, Any]], *, serial: int = 0) -> Config:
    """The cluster of rows by table and UUID (`Store.tables()`); tables of other kinds are passed over.

    Raises ConfigurationError.
    """
    objects = {table: {uuid: codec.decode(kind, value, f"{table}/{uuid}")
                       for uuid, value in tables.get(table, {}).items()}
               for table, kind in TYPES.items()}
    if len(objects["cluster"]) != 1:
        raise ConfigurationError(detail=f"the store holds {len(objects['cluster'])} cluster records, there must be "
                                        "exactly one: it is damaged; start from the copy of a master candidate")
    for table, found in objects.items():
        for uuid, item in found.items():
            if item.uuid != uuid:
                raise ConfigurationError(detail=f"{table}/{uuid} holds an object with the UUID {item.uuid}: the store "
                                                "is damaged; start from the copy of a master candidate")
    return Config(objects, serial=serial)
