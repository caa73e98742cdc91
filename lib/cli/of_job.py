# SPDX-License-Identifier: BSD-2-Clause
"""gnt-job: the queue."""

from typing import Any

from gantry.cli.declare import Command, flag
from gantry.cli.lists import Listing, fields_command, list_command
from gantry.cli.options import FORCE, JOB_STATES, YES_DO_IT
from gantry.cli.output import exact_date


def _stamps(value: Any) -> str:
    return ",".join(map(exact_date, value)) if value and isinstance(value[0], list) else exact_date(value)


LISTING = Listing("job", "id,status,summary", {
    "summary": ",".join,
    **dict.fromkeys(("received_ts", "start_ts", "end_ts", "opstart", "opexec", "opend"), _stamps),
}, key="id")

COMMANDS = {
    "list": list_command(
        LISTING, "[ID...]", "List jobs",
        JOB_STATES[0], flag("--running", help="Jobs that run"), flag("--error", help="Jobs that failed"),
        flag("--finished", help="Jobs that ended"), flag("--archived", help="Archived jobs as well"),
        filters=True, run="job_list:run"),
    "list-fields": fields_command("job"),
    "info": Command("ID...", "Show all about jobs", run="job_info:run"),
    "cancel": Command("[ID...]", "Cancel jobs", run="job_change:cancel", options=(
        FORCE, flag("--kill", help="Kill the running job; needs --yes-do-it"), *JOB_STATES, YES_DO_IT)),
    "change-priority": Command("[ID...]", "Change the priority of jobs", sets="P", run="job_change:change_priority",
                               options=(FORCE, *JOB_STATES)),
    "archive": Command("ID...", "Archive jobs that ended", run="job_change:archive"),
    "autoarchive": Command("AGE|all", "Archive all jobs that ended before", run="job_change:autoarchive"),
    "wait": Command("ID", "Wait until a job ends", run="job_wait:wait"),
    "watch": Command("ID", "Follow a job's log until it ends", run="job_wait:watch"),
}
