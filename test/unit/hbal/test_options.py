# SPDX-License-Identifier: BSD-2-Clause
"""The command lines of the programs."""

import pytest

from hbal.errors import BadOption, BadValue
from hbal.load.options import OPTIONS, AllocSpec, Options, completion, parse, usage
from hbal.model import Template

ALL = tuple(OPTIONS)


def parsed(*argv: str) -> Options:
    return parse(ALL, argv)[0]


def said(options: Options) -> dict[str, object]:
    return {name: getattr(options, name) for name in Options.__annotations__}


def test_nothing_given_is_the_defaults() -> None:
    assert vars(parsed()) == {}
    assert (Options().min_score, Options().min_gain, Options().min_gain_limit) == (1e-9, 0.01, 0.1)


@pytest.mark.parametrize(("argv", "field", "value"), [
    (["-t", "f"], "text_data", "f"), (["-tf"], "text_data", "f"), (["--text-data=f"], "text_data", "f"),
    (["--text-data", "f"], "text_data", "f"), (["--text=f"], "text_data", "f"), (["-m", "h:1"], "master", "h:1"),
    (["-L"], "luxi", ""), (["-L/s"], "luxi", "/s"), (["--luxi=/s"], "luxi", "/s"), (["-I", "f"], "ialloc_src", "f"),
    (["--simulate", "a", "--simu=b"], "simulate", ("a", "b")), (["-p"], "print_nodes", ()),
    (["-pname,pcnt"], "print_nodes", ("name", "pcnt")), (["--print-nodes=+idx"], "print_nodes", ("+", "idx")),
    (["--print-instances"], "print_instances", True), (["-C"], "print_commands", ""),
    (["-Cfile"], "print_commands", "file"), (["-S", "f"], "save", "f"), (["-O", "a", "-O", "b"], "offline", ("a", "b")),
    (["-G", "g"], "group", "g"), (["-l", "-1"], "max_length", -1), (["-e", "1e-3"], "min_score", 1e-3),
    (["-g", "1"], "min_gain", 1.0), (["--min-gain-limit", "2"], "min_gain_limit", 2.0),
    (["--max-cpu", "4.5"], "max_cpu", 4.5), (["--min-disk", "0.1"], "min_disk", 0.1),
    (["--no-disk-moves"], "no_disk_moves", True), (["--no-inst"], "no_instance_moves", True),
    (["-E"], "evac_mode", True), (["--restricted-migration"], "restricted_migration", True),
    (["--select-instances", "a,b"], "select_instances", ("a", "b")),
    (["--exclude-instances=a"], "exclude_instances", ("a",)),
    (["--exclusion-tags=a,b"], "exclusion_tags", ("a", "b")), (["-U", "f"], "dynu_file", "f"),
    (["--ignore-dynu"], "ignore_dynu", True), (["--ignore-soft-errors"], "ignore_soft_errors", True),
    (["--mond"], "mond", True), (["--mond=no"], "mond", False), (["--mond-data=f"], "mond_data", "f"),
    (["--mond-xen"], "mond_xen", True), (["--exit-on-missing-mond-data"], "exit_on_missing_mond_data", True),
    (["--static-kvm-node-memory=0"], "static_kvm_node_memory", 0), (["-X"], "execute", True),
    (["--first-job-group"], "first_job_group", True), (["--reason=r"], "reason", "r"),
    (["--prio=low"], "priority", "low"), (["--machine-readable"], "machine_readable", True),
    (["--machine-readable=no"], "machine_readable", False), (["--no-capacity-checks"], "no_capacity_checks", True),
    (["--restrict-allocation-to=a,b"], "restrict_allocation_to", ("a", "b")),
    (["--disk-template=rbd"], "disk_template", Template.RBD), (["--spindle-use=0"], "spindle_use", 0),
    (["--standard-alloc=1t,2g,3"], "standard_alloc", AllocSpec(1048576, 2048, 3)),
    (["--tiered-alloc=1,2,3,4"], "tiered_alloc", AllocSpec(1, 2, 3, 4)),
    (["--independent-groups"], "independent_groups", True), (["--accept-existing"], "accept_existing_errors", True),
    (["--no-simulation"], "no_simulation", True), (["-f"], "force", True),
    (["--full-evacuation"], "full_evacuation", True),
    (["--skip-non-redundant"], "skip_non_redundant", True), (["--ignore-non-redundant"], "ignore_non_redundant", True),
    (["--offline-maintenance"], "offline_maintenance", True), (["--one-step-only"], "one_step_only", True),
    (["--print-moves"], "print_moves", True), (["--no-headers"], "no_headers", True),
    (["--node-tags=a"], "node_tags", ("a",)), (["-d", "x"], "output_dir", "x"),
    (["--minimal-resources=1"], "minimal_resources", 1.0), (["--target-resources=0"], "target_resources", 0.0),
    (["--job-delay=0.5"], "job_delay", 0.5), (["--dry-run"], "dry_run", True), (["--method=plan"], "method", "plan"),
    (["--explain=i"], "explain", "i"), (["-v", "-vq", "--verbose"], "verbosity", 3), (["-q"], "verbosity", 0),
])
def test_each_option(argv: list[str], field: str, value: object) -> None:
    options = parsed(*argv)
    assert getattr(options, field) == value
    setattr(options, field, getattr(Options(), field))
    assert said(options) == said(Options())


def test_arguments_mix_with_options_until_two_dashes() -> None:
    options, arguments, asked = parse(ALL, ["a", "-v", "b", "-", "--", "-q", "--help"])
    assert (options.verbosity, arguments, asked) == (2, ["a", "b", "-", "-q", "--help"], [])
    assert parse(ALL, ["-hV", "--help-completion"])[2] == ["help", "version", "help-completion"]


def test_a_value_after_a_blank_is_no_optional_value() -> None:
    options, arguments, _ = parse(ALL, ["-L", "/path"])
    assert (options.luxi, arguments) == ("", ["/path"])


@pytest.mark.parametrize(("argv", "complaint"), [
    (["--bogus"], "unrecognized option `--bogus'"), (["-Z"], "unrecognized option `-Z'"),
    (["--min-"], "option `--min-' is ambiguous; could be one of: --min-score, --min-gain, --min-gain-limit"),
    (["--verbose=1"], "option `--verbose' doesn't allow an argument"),
    (["-t"], "option `-t' requires an argument FILE"),
    (["--reason"], "option `--reason' requires an argument REASON"),
])
def test_options_that_do_not_exist(argv: list[str], complaint: str) -> None:
    with pytest.raises(BadOption) as caught:
        parsed(*argv)
    assert str(caught.value).startswith(complaint)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("argv", "complaint"), [
    (["-l", "x"], "max solution length: cannot parse string 'x'"), (["-e", ""], "min score: cannot parse string ''"),
    (["--max-cpu=0"], "Invalid value of the max-cpu ratio, expected >0"),
    (["--mond=foo"], "Invalid choice 'foo', pass one of 'yes' or 'no'"), (["--priority=x"], "Unknown priority 'x'"),
    (["--disk-template=x"], 'Invalid string value for type DiskTemplate: "x"'),
    (["--tiered-alloc=1"], "Invalid tiered specification: '1', expected disk,ram,cpu"),
    (["--tiered-alloc=1,2,x"], "tiered specs cpus: cannot parse string 'x'"),
    (["--standard-alloc=1,2q,3"], "standard specs memory: Unknown unit 'q'"),
    (["--standard-alloc=1,-2,3"], "standard specs memory: negative size '-2'"),
    (["--spindle-use=-1"], "Invalid value of the spindle-use (expected >= 0)"),
    (["--static-kvm-node-memory=x"], "static node memory: cannot parse string 'x'"),
    (["--static-kvm-node-memory=-1"], "static node memory: negative size '-1'"),
    (["--method=magic"], "Unknown method 'magic', expected greedy or plan"),
])
def test_values_that_make_no_sense(argv: list[str], complaint: str) -> None:
    with pytest.raises(BadValue) as caught:
        parsed(*argv)
    assert str(caught.value) == complaint
    assert caught.value.exit_code == 1


def test_help_names_every_option() -> None:
    text = usage("hbal", "1", ALL)
    assert all(f"--{name}" in text for name in ALL)
    assert "-L[SOCKET]" in text
    assert "--luxi[=SOCKET]" in text
    assert completion(("luxi", "priority", "force")).splitlines() == [
        "-L,--luxi file", "--priority choices=low,normal,high", "-f,--force none"]
