# SPDX-License-Identifier: BSD-2-Clause
"""gnt-debug: for those who look under the hood."""

from typing import Any

from gantry.cli.declare import Command, flag, opt
from gantry.cli.lists import Listing, list_command


def _owners(value: Any) -> str:
    return ",".join(map(str, value)) if value else "-"


def _pending(value: Any) -> str:
    return " ".join(f"{mode}:{','.join(map(str, jobs))}" for mode, jobs in value) if value else "-"


LOCKS = Listing("lock", "name,mode,owner,pending",
                {"owner": _owners, "pending": _pending, "mode": lambda value: str(value or "-")})

COMMANDS = {
    "delay": Command("DURATION", "Sleep, as a job", sets="SPN", opcode="test.TestDelay", run="debug_run:delay",
                     options=(
        opt("--no-master", param="on_master", help="Do not sleep on the master"),
        opt("-n", kind="append", param="on_nodes", metavar="NODE"),
        opt("-r", "--repeat", param="repeat", metavar="N"), opt("-i", "--interruptible", param="interruptible"),
        flag("-l", "--no-locks", help="Take no locks"))),
    "submit-job": Command("FILE...", "Submit jobs from files with lists of opcodes", sets="PN",
                          run="debug_run:submit_job", options=(
        flag("-v", "--verbose", help="Say more"),
        opt("--op-repeat", kind="uint", metavar="N", help="Repeat the list of opcodes in each job"),
        opt("--job-repeat", kind="uint", metavar="N", help="Submit each job N times"),
        flag("--timing-stats", help="Print how long it took"), flag("--each", help="Submit one by one"))),
    "iallocator": Command("INSTANCE...", "Ask the instance allocator", sets="PN", opcode="test.TestAllocator",
                          run="debug_run:iallocator", options=(
        opt("--dir", param="direction", metavar="in|out"),
        opt("-I", "--iallocator", param="iallocator", metavar="NAME"),
        opt("-m", "--mode", param="mode", metavar="MODE"),
        opt("--memory", kind="size", param="memory", metavar="SIZE"),
        opt("--disks", kind="list", metavar="SIZE,...", help="Sizes of the disks (default: 4096,4096)"),
        opt("-t", "--disk-template", param="disk_template", metavar="TEMPLATE"),
        opt("--nics", kind="list", metavar="MAC/IP/BRIDGE,...", help="Network interfaces"),
        opt("-o", "--os-type", param="os", metavar="OS"), opt("-p", "--vcpus", param="vcpus", metavar="N"),
        opt("--tags", param="tags", metavar="TAG,..."), opt("--evac-mode", param="evac_mode", metavar="MODE"),
        opt("--target-groups", kind="append", param="target_groups", metavar="GROUP"),
        opt("--spindle-use", param="spindle_use", metavar="N"), opt("--count", param="count", metavar="N"))),
    "locks": list_command(LOCKS, "", "Show locks, who holds them and who waits",
                          opt("--interval", kind="float", metavar="SECONDS", help="Show them again and again"),
                          run="debug_run:locks"),
    "wconfd": Command("echo|cleanuplocks|listlocks|listalllocks|listalllocksowners|flushconfig [ARGUMENT]",
                      "Ask for locks as other implementations' configuration daemon shows them",
                      run="debug_daemons:wconfd"),
    "metad": Command("echo [TEXT]", "Ask the metadata daemon", run="debug_daemons:metad"),
    "test-osparams": Command("", "", (opt("--os-parameters-secret", kind="keyval", param="osparams_secret",
                                          metavar="K=V,..."),), "S", "test.TestOsParams"),
    "test-jobqueue": Command("", "Test the job queue", (), "P", "test.TestJqueue", run="debug_run:test_jobqueue"),
}
