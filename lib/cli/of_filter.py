# SPDX-License-Identifier: BSD-2-Clause
"""gnt-filter: rules of the job queue."""

import json

from gantry.cli.declare import Command, opt
from gantry.cli.lists import Listing, fields_command, list_command

LISTING = Listing("filter", "uuid,watermark,priority,predicates,action,reason_trail",
                  dict.fromkeys(("predicates", "action", "reason_trail"), json.dumps), key="uuid")

RULE = (opt("--priority", kind="uint", metavar="N", help="Order of rules; lower comes first (default: 0)"),
        opt("--predicates", kind="str", metavar="JSON", help="What a job must be for the rule to apply"),
        opt("--action", kind="str", metavar="ACTION",
            help="ACCEPT, CONTINUE (default), PAUSE, REJECT or 'RATE_LIMIT N'"))

COMMANDS = {
    "list": list_command(LISTING, "[UUID...]", "List filter rules"),
    "list-fields": fields_command("filter"),
    "info": Command("[UUID...]", "Show all about filter rules", run="filter_run:info"),
    "add": Command("", "Add a filter rule", RULE, run="filter_run:add"),
    "replace": Command("UUID", "Change a filter rule, or add it under this UUID", RULE, run="filter_run:replace"),
    "delete": Command("UUID", "Delete a filter rule", run="filter_run:delete"),
}
