# SPDX-License-Identifier: BSD-2-Clause
"""All declared calls by name, for those who get a name from elsewhere."""

from gantry.rpc import calls
from gantry.rpc.declare import CallType

CALLS = {name: found for name, found in vars(calls).items() if isinstance(found, CallType)}
