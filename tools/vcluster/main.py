# SPDX-License-Identifier: BSD-2-Clause
"""The program `vcluster`."""

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from gantry.errors import Error
from vcluster import layout, processes, up
from vcluster.layout import Layout, VclusterError

DAEMONS = ("gnt-noded", "gnt-masterd", "gnt-rapi")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="vcluster", description="A Gantry cluster on this machine: nodes with a "
                                  "root folder and a loopback address each, real daemons, real guests in QEMU.")
    top.add_argument("--dir", type=Path, default=None, metavar="DIR",
                     help="folder of the cluster (default: $VCLUSTER_DIR or ~/.local/state/gantry/vcluster)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, *positional: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.add_argument("--dir", type=Path, default=argparse.SUPPRESS, metavar="DIR", help=argparse.SUPPRESS)
        for argument in positional:
            sub.add_argument(argument)
        return sub

    sub = add("up", "make the cluster if there is none, start what does not run, show what to type next")
    sub.add_argument("--nodes", type=int, default=3, metavar="N", help="how many nodes a new cluster gets (3)")
    sub.add_argument("--hypervisor", choices=["kvm", "fake"], default="kvm",
                     help="fake: no guests run, where QEMU is missing or logic is tested")
    sub.add_argument("--no-demo", action="store_true", help="create no guest")
    sub = add("down", "end all processes of all nodes and remove the cluster's folder")
    sub.add_argument("--keep", action="store_true", help="keep the folder; `vcluster up` continues from it")
    add("status", "show the nodes, their daemons and processes")
    sub = add("exec", "run a command as on a node", "node")
    sub.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND...")
    add("env", "print what to export so that gnt-* commands in this shell act as on a node", "node")
    add("kill", "a power cut: SIGKILL to everything of a node, its guests included", "node")
    add("start", "switch a node on again", "node")
    add("isolate", "cut a node's daemons off from those of the others", "node")
    add("rejoin", "undo isolate", "node")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 1 with a sentence on stderr."""
    args = parser().parse_args(argv)
    folder = Path(args.dir).absolute() if args.dir else layout.default_folder()
    try:
        status = COMMANDS[args.command](folder, args)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (VclusterError, Error, OSError) as err:
        print(f"vcluster: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("vcluster: interrupted", file=sys.stderr)
        return 130
    return status


def existing(folder: Path) -> Layout:
    found = layout.load(folder)
    if found is None:
        raise VclusterError(f"there is no cluster in {folder}; make one with `vcluster up`")
    return found


def cmd_up(folder: Path, args: argparse.Namespace) -> int:
    if args.nodes < 1 or args.nodes > 100:
        raise VclusterError(f"--nodes takes a number from 1 to 100, not {args.nodes}")
    cluster = up.up(folder, count=args.nodes, hypervisor=args.hypervisor, demo=not args.no_demo)
    print_status(cluster)
    if not args.no_demo and cluster.hypervisor == "kvm":
        print(f"\nConsole of the guest {up.DEMO} (gnt-instance console {up.DEMO}):")
        for line in up.console(cluster, up.DEMO, lines=4, seconds=30):
            print(f"    {line}")
    master = up.master_of(cluster)
    option = "" if folder == layout.default_folder() else f" --dir {shlex.quote(str(folder))}"
    program = shutil.which("vcluster") or sys.argv[0]
    print(f"\nWhat to type next:\n    eval $({program} env{option} {master})"
          f"\n    gnt-node list\n    gnt-instance list"
          f"\n    gnt-instance add -t sharedfile --disk 0:size=256m -o {up.GUEST_OS} -n node1 web1"
          f"\n    gnt-instance console web1        # leave with Ctrl-]"
          f"\n    gnt-instance migrate -f {up.DEMO}"
          f"\n    curl -k {up.rapi_address(cluster)}/2/instances    # described at /2/docs"
          f"\n    vcluster{option} down            # ends and removes everything")
    return 0


def cmd_down(folder: Path, args: argparse.Namespace) -> int:
    cluster = existing(folder)
    for node in cluster.nodes:
        processes.power_cut(cluster, node)
    if not args.keep:
        shutil.rmtree(folder)
    return 0


def cmd_status(folder: Path, args: argparse.Namespace) -> int:
    print_status(existing(folder))
    return 0


def print_status(cluster: Layout) -> None:
    master = up.master_of(cluster)
    print(f"{'Node':<10} {'Address':<16} {'Role':<7} {'gnt-noded':<10} {'gnt-masterd':<12} {'gnt-rapi':<9} "
          f"{'Guests':<6} Root")
    for node in cluster.nodes:
        names = [process.name() for process in processes.of_node(cluster, node) if process.is_running()]
        guests = sum(name.startswith("qemu-system") for name in names)
        states = ["up" if up.is_running(cluster, node, daemon) else "-" for daemon in DAEMONS]
        role, note = "master" if node == master else "", "  (isolated)" if _cut(cluster, node).exists() else ""
        print(f"{node:<10} {cluster.address(node):<16} {role:<7} {states[0]:<10} {states[1]:<12} {states[2]:<9} "
              f"{guests:<6} {cluster.root(node)}{note}")


def cmd_exec(folder: Path, args: argparse.Namespace) -> int:
    cluster = existing(folder)
    argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    if not argv:
        raise VclusterError("exec needs a command after the node's name")
    cluster.root(args.node)
    env = os.environ | processes.environment(cluster, args.node)
    program = shutil.which(argv[0], path=env["PATH"])
    if program is None:
        raise VclusterError(f"there is no program {argv[0]}")
    sys.stdout.flush()
    os.execve(program, argv, env)  # noqa: S606 - the command the person asked for


def cmd_env(folder: Path, args: argparse.Namespace) -> int:
    for key, value in processes.environment(existing(folder), args.node).items():
        print(f"export {key}={shlex.quote(value)}")
    return 0


def cmd_kill(folder: Path, args: argparse.Namespace) -> int:
    cluster = existing(folder)
    cluster.root(args.node)
    print(f"{args.node}: ended {processes.power_cut(cluster, args.node)} processes")
    return 0


def cmd_start(folder: Path, args: argparse.Namespace) -> int:
    cluster = existing(folder)
    cluster.root(args.node)
    up.start_node(cluster, args.node)
    return 0


def cmd_isolate(folder: Path, args: argparse.Namespace) -> int:
    flag = _cut(existing(folder), args.node)
    flag.parent.mkdir(parents=True, exist_ok=True)
    flag.touch()
    return 0


def cmd_rejoin(folder: Path, args: argparse.Namespace) -> int:
    _cut(existing(folder), args.node).unlink(missing_ok=True)
    return 0


def _cut(cluster: Layout, node: str) -> Path:
    return cluster.root(node) / "run/gantry/cut-off"


COMMANDS = {"up": cmd_up, "down": cmd_down, "status": cmd_status, "exec": cmd_exec, "env": cmd_env,
            "kill": cmd_kill, "start": cmd_start, "isolate": cmd_isolate, "rejoin": cmd_rejoin}
