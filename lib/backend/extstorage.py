# SPDX-License-Identifier: BSD-2-Clause
"""Calls about providers of external storage."""

from gantry.objects.node import ExtProvider
from gantry.storage import ext_providers


def extstorage_list() -> list[ExtProvider]:
    return ext_providers.find_all()
