# SPDX-License-Identifier: BSD-2-Clause
"""Finding nodes for instances: new ones (`allocate`), those that must go elsewhere (`evacuate`), and whether the
cluster could lose any of its nodes (`redundancy`).  Pure; on the arrays of `core`.

`answer` is the whole of hail as a function: an iallocator request in, its reply out.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hbal.errors import Error, LoadError

if TYPE_CHECKING:
    from hbal.alloc.memory import Memory


def answer(request: dict[str, Any], verbose: bool = False,  # noqa: FBT001, FBT002  # agreed interface
           options: Sequence[str] = ()) -> dict[str, Any]:
    """The reply to an iallocator request: success, info, result.

    `verbose`: on refusal, `info` goes on with a table of which node fails which rule, and by how much, after a newline.
    `options`: as on the command line of hail, those that are about allocation.
    A request that cannot be understood is answered with success false, too.  The reply depends on the request alone;
    what was made of the cluster is kept, so that the next request on the same or nearly the same one costs less.
    """
    from hbal.alloc import requests

    try:
        conditions = requests.conditions(options)
        return requests.reply(request, conditions, verbose=verbose, memory=_memory())
    except LoadError as err:
        return refusal(err.detail)
    except Error as err:
        return refusal(str(err))


def refusal(why: str) -> dict[str, Any]:
    return {"success": False, "info": f"Request failed: {why}", "result": []}


@lru_cache(maxsize=1)
def _memory() -> "Memory":
    from hbal.alloc.memory import Memory

    return Memory()
