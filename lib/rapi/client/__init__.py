# SPDX-License-Identifier: BSD-2-Clause
"""The remote API from the other side: a typed client for programs.

    with RapiClient("cluster.example.com", credentials=("", token)) as rapi:
        job = rapi.instances.startup("web1.example.com", reason="after the move")
        rapi.jobs.wait_until_ended(job)

Parameters that are an opcode's (`**params`) have the names and values of `/2/openapi.json`.
"""

from types import TracebackType

from gantry.constants import RAPI_PORT
from gantry.rapi.client.cluster import ClusterResource
from gantry.rapi.client.events import Event, Events
from gantry.rapi.client.groups import Groups, Networks
from gantry.rapi.client.instances import Instances
from gantry.rapi.client.jobs import Filters, JobFailed, Jobs, Queries
from gantry.rapi.client.nodes import Nodes
from gantry.rapi.client.transport import Credentials, RapiError, Transport, Unreachable

__all__ = ["Event", "JobFailed", "RapiClient", "RapiError", "Unreachable"]


class RapiClient:
    """One connection, kept; one thread at a time.

    `host` may be a URL.  `authority`: file of certificates that the server's must be issued by, or be (the name in it
    is not looked at then); without one the system's count, and `verify=False` accepts any.  Raises RapiError for what
    the server refuses, Unreachable when it cannot be asked.
    """

    def __init__(self, host: str, *, credentials: Credentials | None = None, authority: str | None = None,
                 verify: bool = True, seconds: float = 60.0) -> None:
        url = host if "://" in host else f"https://{host}:{RAPI_PORT}"
        self._transport = Transport(url, credentials, authority=authority, verify=verify, seconds=seconds)
        self.cluster = ClusterResource(self._transport)
        self.groups, self.networks = Groups(self._transport), Networks(self._transport)
        self.nodes, self.instances = Nodes(self._transport), Instances(self._transport)
        self.jobs, self.queries = Jobs(self._transport), Queries(self._transport)
        self.filters = Filters(self._transport)
        self.events = Events(self._transport)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> "RapiClient":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
