# SPDX-License-Identifier: BSD-2-Clause
"""The program `qa`: a cluster of real machines for people, and the scenarios."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from qa import work
from qa.cluster import setup
from qa.image import build
from qa.machines import lab, network
from qa.scenarios import runner
from qa.work import QaError, Unavailable

NODES = 3


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever is ended clears up, too
    try:
        why_not = work.missing()
        if why_not and options.run is cmd_scenarios:
            print(f"qa: no scenario was run: {why_not}")
            return 0
        if why_not:
            raise QaError(why_not)
        return int(options.run(options))
    except QaError as err:
        print(f"qa: {err}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="qa", description="A cluster of real machines inside QEMU.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, action: object, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=action)
        return made

    up = command("up", cmd_up, "bring the ready cluster up: from its snapshot, with the tree's present code")
    up.add_argument("--anew", action="store_true", help="boot and initialise, whatever snapshot there is")
    up.add_argument("--nodes", type=int, default=NODES, help="how many machines (default: %(default)s)")
    chosen = command("scenarios", cmd_scenarios, "run scenarios, all or the named ones; then the machines are down")
    chosen.add_argument("names", nargs="*", metavar="NAME")
    chosen.add_argument("--keep", action="store_true", help="leave the machines up after the last or the first failed")
    chosen.add_argument("--attempts", type=int, default=1, help="how often one that fails is tried: emulated machines "
                        "on a busy host may be too slow (default: %(default)s)")
    chosen.add_argument("--list", action="store_true", help="only say which there are")
    command("down", cmd_down, "end the machines and remove their network")
    command("status", cmd_status, "which machines run")
    command("refresh", cmd_refresh, "put the tree's present code on the running nodes and restart the daemons")
    execute = command("exec", cmd_exec, "run a command on a node")
    execute.add_argument("node")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND...")
    ssh = command("ssh", cmd_ssh, "log in on a node")
    ssh.add_argument("node")
    for name, text in (("kill", "cut a node's power"), ("boot", "switch a node on again"),
                       ("freeze", "let a node stand still"), ("thaw", "let it go on"),
                       ("cut", "cut a node off from both networks"), ("rejoin", "let it back in")):
        command(name, cmd_machine, text).add_argument("node")
        commands.choices[name].set_defaults(verb=name)
    for name, act, text in (("save", cmd_save, "keep memory and disks of all machines under a name"),
                            ("load", cmd_load, "go on from what was saved")):
        command(name, act, text).add_argument("name")
    return parser


def cmd_up(options: argparse.Namespace) -> int:
    setup.up(options.nodes, anew=options.anew)
    work.say("the cluster is up; try: qa exec node1 gnt-node list")
    return 0


def cmd_scenarios(options: argparse.Namespace) -> int:
    if options.list:
        for name in runner.names():
            print(f"{name:<14} {runner.summary(name)}")
        return 0
    try:
        build.prepared()
        network.try_out()
    except Unavailable as err:
        print(f"qa: no scenario was run: {err}")
        return 0
    return runner.run(options.names, count=NODES, keep=options.keep, attempts=options.attempts)


def cmd_down(_options: argparse.Namespace) -> int:
    lab.down()
    return 0


def cmd_status(_options: argparse.Namespace) -> int:
    for machine in lab.present():
        pid = machine.pid()
        print(f"{machine.name}  {network.address(machine.number)}  {'pid ' + str(pid) if pid else 'off'}")
    return 0


def cmd_refresh(_options: argparse.Namespace) -> int:
    setup.refresh(lab.present())
    return 0


def cmd_exec(options: argparse.Namespace) -> int:
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        raise QaError("exec needs a command after the node's name")
    machine = lab.present()[options.node]

    def tell(kind: bytes, data: bytes) -> None:
        if kind != b"x":
            stream = sys.stdout if kind == b"o" else sys.stderr
            stream.buffer.write(data)
            stream.flush()
    return machine.run(*argv, seconds=3600, may_fail=True, heard=tell).status


def cmd_ssh(options: argparse.Namespace) -> int:
    machine = lab.present()[options.node]
    argv = network.inside("ssh", "-i", str(machine.image.private_key), "-o", "StrictHostKeyChecking=no",
                          "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                          f"root@{network.address(machine.number)}")
    sys.stdout.flush()
    os.execvp(argv[0], argv)  # noqa: S606 - the terminal is handed over


def cmd_machine(options: argparse.Namespace) -> int:
    machine = lab.present()[options.node]
    if options.verb == "boot":
        machine.start()
        machine.wait_until_up()
    else:
        {"kill": machine.kill, "freeze": machine.freeze, "thaw": machine.thaw,
         "cut": machine.cut_off, "rejoin": machine.rejoin}[options.verb]()
    return 0


def cmd_save(options: argparse.Namespace) -> int:
    lab.save(lab.present(), options.name, {})
    return 0


def cmd_load(options: argparse.Namespace) -> int:
    if not lab.snapshot(options.name).is_dir():
        raise QaError(f"nothing was saved as {options.name}")
    lab.load(options.name)
    return 0
