# SPDX-License-Identifier: BSD-2-Clause
"""Finding nodes for instances: new ones (`allocate`), those that must go elsewhere (`evacuate`), and whether the
cluster could lose any of its nodes (`redundancy`).  Pure; on the arrays of `core`.

`answer` is the whole of hail as a function: an iallocator request in, its reply out.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hbal.errors import Error

if TYPE_CHECKING:
    from hbal.alloc.memory import Memory


def answer(request: dict[str, Any], verbose: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002  # agreed interface
    """The reply to an iallocator request: success, info, result.

    `verbose`: on refusal, `info` goes on with a table of which node fails which rule, and by how much, after a newline.
    A request that cannot be understood is answered with success false, too.  The reply depends on the request alone;
    what was made of the cluster is kept, so that the next request on the same or nearly the same one costs less.
    """
    from hbal.alloc import requests

    try:
        return requests.reply(request, requests.Conditions(), verbose=verbose, memory=_memory())
    except Error as err:
        return {"success": False, "info": f"Request failed: {err}", "result": []}


@lru_cache(maxsize=1)
def _memory() -> "Memory":
    from hbal.alloc.memory import Memory

    return Memory()
