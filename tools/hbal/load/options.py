# SPDX-License-Identifier: BSD-2-Clause
"""The command-line options that the programs share: names, values, meanings, each said once.

GNU style: options and arguments may be mixed, long names shortened to an unambiguous prefix, optional values are
attached.  A program names the options it takes; `parse` returns an `Options` record.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from hbal.errors import BadOption, BadUnit, BadValue
from hbal.load.choices import chosen
from hbal.load.units import mebibytes, number, whole
from hbal.model import Template

QUERY_SOCKET = ""
"""The value of `luxi` that means the default socket."""
KVM_NODE_MEMORY = 4096


class AllocSpec(NamedTuple):
    """The size of instances to try: MiB, MiB, virtual CPUs, spindles."""

    disk: int
    memory: int
    cpus: int
    spindles: int | None = None


class Options:
    """What the command line said; the defaults, those of every program, are attributes of the class."""

    text_data: str | None = None
    master: str | None = None
    luxi: str | None = None
    ialloc_src: str | None = None
    simulate: tuple[str, ...] = ()
    print_nodes: tuple[str, ...] | None = None
    """Fields of the node list, a first `+` standing for the default ones; empty for those alone, None for no list."""
    print_instances: bool = False
    print_commands: str | None = None
    """A file, or empty for standard output."""
    save: str | None = None
    offline: tuple[str, ...] = ()
    group: str | None = None
    max_length: int = -1
    min_score: float = 1e-9
    min_gain: float = 0.01
    min_gain_limit: float = 0.1
    max_cpu: float | None = None
    min_disk: float = 0.0
    no_disk_moves: bool = False
    no_instance_moves: bool = False
    evac_mode: bool = False
    restricted_migration: bool = False
    select_instances: tuple[str, ...] | None = None
    exclude_instances: tuple[str, ...] = ()
    exclusion_tags: tuple[str, ...] = ()
    dynu_file: str | None = None
    ignore_dynu: bool = False
    ignore_soft_errors: bool = False
    mond: bool = False
    mond_data: str | None = None
    mond_xen: bool = False
    exit_on_missing_mond_data: bool = False
    static_kvm_node_memory: int = KVM_NODE_MEMORY
    execute: bool = False
    first_job_group: bool = False
    reason: str | None = None
    priority: str | None = None
    machine_readable: bool = False
    no_capacity_checks: bool = False
    restrict_allocation_to: tuple[str, ...] | None = None
    disk_template: Template | None = None
    spindle_use: int | None = None
    standard_alloc: AllocSpec | None = None
    tiered_alloc: AllocSpec | None = None
    independent_groups: bool = False
    accept_existing_errors: bool = False
    no_simulation: bool = False
    force: bool = False
    full_evacuation: bool = False
    skip_non_redundant: bool = False
    ignore_non_redundant: bool = False
    offline_maintenance: bool = False
    one_step_only: bool = False
    print_moves: bool = False
    no_headers: bool = False
    node_tags: tuple[str, ...] | None = None
    output_dir: str = "."
    minimal_resources: float = 2.0
    target_resources: float = 2.0
    job_delay: float = 10.0
    dry_run: bool = False
    method: str = "greedy"
    explain: str | None = None
    verbosity: int = 1


class Option(NamedTuple):
    """One option.  Without `metavar` it is a flag; `optional` values are attached; `repeat` ones add up."""

    name: str
    help: str
    short: str = ""
    metavar: str = ""
    optional: bool = False
    repeat: bool = False
    read: Callable[[str], Any] = str
    key: str = ""
    complete: str = ""

    @property
    def field(self) -> str:
        return self.key or self.name.replace("-", "_")


def _reader(what: str, read: Callable[[str], Any]) -> Callable[[str], Any]:
    def wrapped(text: str) -> Any:
        try:
            return read(text)
        except ValueError as err:
            raise BadValue(f"{what}: {err}") from err
    return wrapped


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _yes_no(text: str) -> bool:
    if text not in ("", "yes", "no"):
        raise BadValue(f"Invalid choice '{text}', pass one of 'yes' or 'no'")
    return text != "no"


def _one_of(complaint: str, *choices: str) -> Callable[[str], str]:
    def wrapped(text: str) -> str:
        if text not in choices:
            raise BadValue(complaint.format(text))
        return text
    return wrapped


def _max_cpu(text: str) -> float:
    value = _reader("max-cpu ratio", number)(text)
    if value <= 0:
        raise BadValue("Invalid value of the max-cpu ratio, expected >0")
    return float(value)


def _spindle_use(text: str) -> int:
    value = _reader("spindle-use", whole)(text)
    if value < 0:
        raise BadValue("Invalid value of the spindle-use (expected >= 0)")
    return int(value)


def _kvm_memory(text: str) -> int:
    value = _reader("static node memory", whole)(text)
    if value < 0:
        raise BadValue(f"static node memory: negative size '{text}'")
    return int(value)


def _template(text: str) -> Template:
    try:
        return chosen(Template, text)
    except ValueError as err:
        raise BadValue(str(err)) from err


def _alloc(kind: str) -> Callable[[str], AllocSpec]:
    def wrapped(text: str) -> AllocSpec:
        columns = text.split(",")
        if len(columns) not in (3, 4):
            raise BadValue(f"Invalid {kind} specification: '{text}', expected disk,ram,cpu")
        sizes = []
        for what, read, column in zip(("disk", "memory", "cpus", "spindles"), (mebibytes, mebibytes, whole, whole),
                                      columns, strict=False):
            try:
                sizes.append(read(column))
            except (ValueError, BadUnit) as err:
                raise BadValue(f"{kind} specs {what}: {err}") from err
            if sizes[-1] < 0:
                raise BadValue(f"{kind} specs {what}: negative size '{column}'")
        return AllocSpec(*sizes)
    return wrapped


def _fields(text: str) -> tuple[str, ...]:
    return _listed(text) if not text.startswith("+") else ("+", *_listed(text[1:]))


OPTIONS: dict[str, Option] = {option.name: option for option in (
    Option("text-data", "take the cluster data from FILE", "t", "FILE", complete="file"),
    Option("master", "take the cluster data from the RAPI server at ADDRESS", "m", "ADDRESS", complete="host"),
    Option("luxi", "take the cluster data from the master daemon of this machine, at SOCKET if one is given", "L",
           "SOCKET", optional=True, complete="file"),
    Option("ialloc-src", "take the cluster data from an iallocator request", "I", "FILE", complete="file"),
    Option("simulate", "invent an empty group: policy,nodes,disk,ram,cpus[,spindles[,exclusive]]", "", "SPEC",
           repeat=True, complete="string"),
    Option("print-nodes", "print the list of nodes; with +FIELDS in addition to the usual ones", "p", "FIELDS",
           optional=True, read=_fields),
    Option("print-instances", "print the list of instances"),
    Option("print-commands", "print the commands that lead to the solution, or write them to FILE", "C", "FILE",
           optional=True),
    Option("save", "write the states of the cluster to files that begin with FILE", "S", "FILE"),
    Option("offline", "take NODE as offline", "O", "NODE", repeat=True, complete="onenode"),
    Option("group", "work on this node group (name or UUID)", "G", "ID", complete="onegroup"),
    Option("max-length", "stop after N steps", "l", "N", read=_reader("max solution length", whole),
           complete="integer"),
    Option("min-score", "stop when the score is this near to what N+1 reservations allow", "e", "EPSILON",
           read=_reader("min score", number), complete="float"),
    Option("min-gain", "stop when a step gains less than DELTA", "g", "DELTA", read=_reader("min gain", number),
           complete="float"),
    Option("min-gain-limit", "look at the gain of a step only below this score", "", "SCORE",
           read=_reader("min gain limit", number), complete="float"),
    Option("max-cpu", "at most RATIO virtual CPUs for each physical one of a node", "", "RATIO", read=_max_cpu,
           complete="float"),
    Option("min-disk", "keep this part of each node's disk free", "", "RATIO",
           read=_reader("min free disk space", number), complete="float"),
    Option("no-disk-moves", "fail over and migrate only, copy no disks"),
    Option("no-instance-moves", "replace secondaries only, move no primaries"),
    Option("evac-mode", "move only instances that have an offline or drained node", "E"),
    Option("restricted-migration", "no moves that migrate twice; when evacuating, migrate only off drained nodes"),
    Option("select-instances", "move only these instances", "", "INSTS", read=_listed, complete="manyinstances"),
    Option("exclude-instances", "do not move these instances", "", "INSTS", read=_listed, complete="manyinstances"),
    Option("exclusion-tags", "keep instances apart that share a tag with one of these prefixes", "", "TAG,...",
           read=_listed, complete="string"),
    Option("dynu-file", "take the utilisation of instances from FILE", "U", "FILE", complete="file"),
    Option("ignore-dynu", "take no account of utilisation"),
    Option("ignore-soft-errors", "let moves break the rules that may be broken"),
    Option("mond", "ask the monitoring daemons of all nodes", "", "CHOICE", optional=True, read=_yes_no,
           complete="choices=yes,no"),
    Option("mond-data", "take what the monitoring daemons said from FILE", "", "FILE", complete="file"),
    Option("mond-xen", "ask the monitoring daemons for each Xen domain's load"),
    Option("exit-on-missing-mond-data", "give up when a monitoring daemon does not answer"),
    Option("static-kvm-node-memory", "count N MiB for the node itself on KVM, 0 for what it reports", "", "N",
           read=_kvm_memory, complete="integer"),
    Option("exec", "carry the moves out (with -L only)", "X", key="execute"),
    Option("first-job-group", "carry out, or print, only the first set of jobs"),
    Option("reason", "say REASON in the jobs", "", "REASON"),
    Option("priority", "the priority of the jobs: low, normal, high", "", "PRIO",
           read=_one_of("Unknown priority '{}'", "low", "normal", "high"), complete="choices=low,normal,high"),
    Option("machine-readable", "print assignments that a shell can read", "", "CHOICE", optional=True, read=_yes_no,
           complete="choices=yes,no"),
    Option("no-capacity-checks", "do not ask whether every node can be evacuated"),
    Option("restrict-allocation-to", "allocate on these nodes only", "", "NODE,...", read=_listed,
           complete="manynodes"),
    Option("disk-template", "the disk template of the instances", "", "TEMPLATE", read=_template,
           complete=f"choices={','.join(Template)}"),
    Option("spindle-use", "how many spindles an instance uses", "", "SPINDLES", read=_spindle_use,
           complete="integer"),
    Option("standard-alloc", "the size of instances, all alike", "", "STDALLOC", read=_alloc("standard"),
           complete="string"),
    Option("tiered-alloc", "the size of instances, shrinking", "", "TSPEC", read=_alloc("tiered"), complete="string"),
    Option("independent-groups", "take groups with errors out and go on with the others"),
    Option("accept-existing-errors", "accept that the cluster has errors already"),
    Option("no-simulation", "only look, do not try to rebalance"),
    Option("force", "go on in spite of warnings", "f"),
    Option("full-evacuation", "move all instances off the nodes, secondaries too"),
    Option("skip-non-redundant", "leave out nodes with instances that have no second copy"),
    Option("ignore-non-redundant", "do not ask where instances without a second copy would go"),
    Option("offline-maintenance", "the instances are shut down meanwhile"),
    Option("one-step-only", "print the first set of nodes only"),
    Option("print-moves", "print where instances would move"),
    Option("no-headers", "print no header line"),
    Option("node-tags", "only nodes that have one of these tags", "", "TAG,...", read=_listed, complete="string"),
    Option("output-dir", "write the files to this folder", "d", "PATH", complete="dir"),
    Option("minimal-resources", "bring nodes online when less than FACTOR standard instances fit", "", "FACTOR",
           read=_reader("minimal resources", number), complete="float"),
    Option("target-resources", "take nodes offline while FACTOR standard instances fit", "", "FACTOR",
           read=_reader("target resources", number), complete="float"),
    Option("job-delay", "let jobs wait this long before they start", "", "SECONDS",
           read=_reader("job delay", number), complete="float"),
    Option("dry-run", "submit no jobs, print them"),
    Option("method", "how to search: greedy (step by step, as ever) or plan (looks further, weighs cost)", "",
           "METHOD", read=_one_of("Unknown method '{}', expected greedy or plan", "greedy", "plan"),
           complete="choices=greedy,plan"),
    Option("explain", "say for each node why it may or may not hold INSTANCE", "", "INSTANCE",
           complete="oneinstance"),
    Option("verbose", "say more", "v"),
    Option("quiet", "say less", "q"),
    Option("version", "print the version", "V"),
    Option("help", "print this help", "h"),
    Option("help-completion", "print the options for a shell's completion"),
)}


def parse(names: Sequence[str], argv: Sequence[str]) -> tuple[Options, list[str], list[str]]:
    """The options, the remaining arguments, and which of version, help and help-completion were asked for.

    Raises BadOption for an option that is none of `names` and for a value too many or too few, BadValue for a
    value that makes no sense.
    """
    known = {name: OPTIONS[name] for name in names}
    options = Options()
    asked: list[str] = []
    arguments: list[str] = []
    words = iter(argv)
    given: list[tuple[Option, str]] = []
    for word in words:
        if word == "--":
            arguments += words
        elif word.startswith("--"):
            given.append(_long(known, word[2:], words))
        elif word.startswith("-") and word != "-":
            given += _shorts(known, word[1:], words)
        else:
            arguments.append(word)
    for option, text in given:
        if option.name in ("version", "help", "help-completion"):
            asked.append(option.name)
        else:
            _apply(options, option, text)
    return options, arguments, asked


def _long(known: dict[str, Option], text: str, words: Iterator[str]) -> tuple[Option, str]:
    name, equals, value = text.partition("=")
    matches = [name] if name in known else [full for full in known if full.startswith(name)]
    if not matches:
        raise BadOption(f"unrecognized option `--{text}'")
    if len(matches) > 1:
        raise BadOption(f"option `--{name}' is ambiguous; could be one of: "
                        + ", ".join(f"--{full}" for full in matches))
    option = known[matches[0]]
    if equals and not option.metavar:
        raise BadOption(f"option `--{option.name}' doesn't allow an argument")
    if equals or option.optional or not option.metavar:
        return option, value
    return option, _value(option, f"--{option.name}", words)


def _shorts(known: dict[str, Option], text: str, words: Iterator[str]) -> Iterator[tuple[Option, str]]:
    """The options of one word like `-vp` or `-tFILE`."""
    for position, letter in enumerate(text):
        option = next((option for option in known.values() if option.short == letter), None)
        if option is None:
            raise BadOption(f"unrecognized option `-{letter}'")
        if not option.metavar:
            yield option, ""
            continue
        rest = text[position + 1:]
        yield option, rest if rest or option.optional else _value(option, f"-{letter}", words)
        return


def _value(option: Option, spelled: str, words: Iterator[str]) -> str:
    value = next(words, None)
    if value is None:
        raise BadOption(f"option `{spelled}' requires an argument {option.metavar}")
    return value


def _apply(options: Options, option: Option, text: str) -> None:
    if option.name in ("verbose", "quiet"):
        options.verbosity += 1 if option.name == "verbose" else -1
        return
    value: Any = option.read(text) if option.metavar else True
    if option.repeat:
        value = (*getattr(options, option.field), value)
    setattr(options, option.field, value)


def usage(program: str, version: str, names: Sequence[str]) -> str:
    """The text of --help."""
    rows = []
    for option in (OPTIONS[name] for name in names):
        value = f"[{option.metavar}]" if option.optional else f" {option.metavar}" if option.metavar else ""
        short = f"-{option.short}{value}" if option.short else ""
        equals = f"[={option.metavar}]" if option.optional else f"={option.metavar}" if option.metavar else ""
        rows.append((short, f"--{option.name}{equals}", option.help))
    shorts, longs = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"  {short:<{shorts}}  {long:<{longs}}  {text}" for short, long, text in rows]
    return "\n".join([f"{program} (ganeti) version {version}", f"Usage: {program} [OPTION...]", *lines])


def completion(names: Sequence[str]) -> str:
    """The text of --help-completion: an option a line, and what its value is."""
    options = [OPTIONS[name] for name in names]
    return "\n".join(f"{f'-{option.short},' if option.short else ''}--{option.name} {option.complete or 'none'}"
                     for option in options)
