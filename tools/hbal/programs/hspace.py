# SPDX-License-Identifier: BSD-2-Clause
"""hspace: how many more instances fit on a cluster, and what it looks like then."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hbal import figures, output
from hbal.errors import Error
from hbal.load import source, text
from hbal.load.options import AllocSpec, Options
from hbal.model import ClusterData, Spec, Template
from hbal.programs.common import Program, run

if TYPE_CHECKING:
    from hbal.alloc.capacity import Filled, Space
    from hbal.core.arrays import State

PROGRAM = Program("hspace", (
    "print-nodes", "text-data", "disk-template", "spindle-use", "simulate", "master", "luxi", "ialloc-src", "verbose",
    "quiet", "independent-groups", "accept-existing-errors", "offline", "no-capacity-checks", "machine-readable",
    "max-cpu", "max-length", "min-disk", "standard-alloc", "tiered-alloc", "save", "static-kvm-node-memory"))
PREFIX = "HTS"


def main(argv: Sequence[str] | None = None) -> int:
    return run(PROGRAM, fill, argv)


class Totals(NamedTuple):
    """Sums over all nodes of a state."""

    score: float
    instances: int
    memory: float
    memory_free: float
    memory_available: float
    memory_used: float
    memory_overhead: float
    most_memory: float
    disk: float
    disk_free: float
    disk_available: float
    most_disk: float
    spindles: float
    spindles_free: float
    cpus: float
    vcpus: float
    used_cpus: float
    normal_cpus: float
    """Virtual CPUs over the ratio."""

    @classmethod
    def of(cls, state: "State") -> "Totals":
        import numpy as np

        from hbal.core.score import score

        limits = state.limits
        spare = np.maximum(0.0, state.unallocated - state.largest[0])[:-1]
        disk = np.maximum(0.0, state.free_disk - limits.low_disk)[:-1]
        ratios = np.where(limits.cpu_ratio == 0, 1.0, limits.cpu_ratio)[:-1]
        return cls(
            score=score(state), instances=int(state.primaries[:-1].sum()), memory=float(limits.memory[:-1].sum()),
            memory_free=float(state.unallocated[:-1].sum()), memory_available=float(spare.sum()),
            memory_used=float(state.used_memory[:-1].sum()),
            memory_overhead=float(sum(node.node_memory + (node.missing_memory or 0) for node in state.nodes)),
            most_memory=float(spare.max(initial=0.0)), disk=float(limits.disk[:-1].sum()),
            disk_free=float(state.free_disk[:-1].sum()), disk_available=float(disk.sum()),
            most_disk=float(disk.max(initial=0.0)), spindles=float(limits.spindles[:-1].sum()),
            spindles_free=float(state.free_spindles[:-1].sum()), cpus=float(limits.cpus[:-1].sum()),
            vcpus=float(np.floor(limits.cpu_ratio * limits.cpus)[:-1].sum()),
            used_cpus=float(state.used_cpus[:-1].sum()), normal_cpus=sum((state.used_cpus[:-1] / ratios).tolist()))

    def assignments(self) -> Iterator[tuple[str, str]]:
        used_disk, used_spindles = self.disk - self.disk_free, self.spindles - self.spindles_free
        yield "SCORE", output.fixed(self.score, 8)
        yield "INST_CNT", str(self.instances)
        yield "MEM_FREE", _whole(self.memory_free)
        yield "MEM_AVAIL", _whole(self.memory_available)
        yield "MEM_RESVD", _whole(self.memory_free - self.memory_available)
        yield "MEM_INST", _whole(self.memory_used)
        yield "MEM_OVERHEAD", _whole(self.memory_overhead)
        yield "MEM_EFF", _part(self.memory_used, self.memory)
        yield "DSK_FREE", _whole(self.disk_free)
        yield "DSK_AVAIL", _whole(self.disk_available)
        yield "DSK_RESVD", _whole(self.disk_free - self.disk_available)
        yield "DSK_INST", _whole(used_disk)
        yield "DSK_EFF", _part(used_disk, self.disk)
        yield "SPN_FREE", _whole(self.spindles_free)
        yield "SPN_INST", _whole(used_spindles)
        yield "SPN_EFF", _part(used_spindles, self.spindles)
        yield "CPU_INST", _whole(self.used_cpus)
        yield "CPU_EFF", _part(self.used_cpus, self.vcpus)
        yield "MNODE_MEM_AVAIL", _whole(self.most_memory)
        yield "MNODE_DSK_AVAIL", _whole(self.most_disk)


def _whole(value: float) -> str:
    return output.fixed(value, 0)


def _part(value: float, total: float) -> str:
    return output.fixed(figures.divided(value, total), 8)


def fill(options: Options, arguments: Sequence[str]) -> int:
    """Print the results."""
    del arguments
    data = source.load(options)
    from hbal.alloc.allocate import Conditions
    from hbal.alloc.capacity import Rules, Space

    template = options.disk_template or next(iter(data.policy.templates), Template.DRBD)
    use = data.policy.standard.spindle_use if options.spindle_use is None else options.spindle_use
    rules = Rules(template, Conditions(capacity_checks=not options.no_capacity_checks), use, options.max_length,
                  options.accept_existing_errors, options.independent_groups)
    space = Space(data, rules)
    if options.print_nodes is not None:
        _nodes("Initial cluster", data, options)
    _talk(space, options)
    tiers = [_asked(options.tiered_alloc)] if options.tiered_alloc else [
        pair.max for pair in data.policy.minmax]
    normal = _asked(options.standard_alloc) if options.standard_alloc else data.policy.standard
    report = _Report(space, options)
    report.head()
    tiered = space.tiered(tiers)
    report.tiered(tiers[0] if tiers else normal, tiered)
    _after("Tiered", tiered, options)
    standard = space.standard(normal)
    report.standard(normal, standard)
    _after("Standard", standard, options)
    return 0


def _asked(spec: AllocSpec) -> Spec:
    return Spec(spec.memory, spec.cpus, spec.disk, 1, 1, 1 if spec.spindles is None else spec.spindles)


class _Report:
    """What is printed, for people or for a shell."""

    def __init__(self, space: "Space", options: Options) -> None:
        self.space, self.shell = space, options.machine_readable
        self.initial = Totals.of(space.start)
        self.template = space.rules.template

    def head(self) -> None:
        first, nodes = self.initial, len(self.space.data.nodes)
        if self.shell:
            self._assign([("CLUSTER_MEM", _whole(first.memory)), ("CLUSTER_DSK", _whole(first.disk)),
                          ("CLUSTER_CPU", _whole(first.cpus)), ("CLUSTER_VCPU", _whole(first.vcpus)),
                          ("CLUSTER_SPN", _whole(first.spindles)), ("CLUSTER_NODES", str(nodes))])
            self._totals("INI", first)
            return
        spindles = f", SPN {_whole(first.spindles)}" if self.space.exclusive else ""
        print(f"The cluster has {nodes} nodes and the following resources:\n"
              f"  MEM {_whole(first.memory)}, DSK {_whole(first.disk)}, CPU {_whole(first.cpus)}, "
              f"VCPU {_whole(first.vcpus)}{spindles}.\n"
              f"There are {first.instances or 'no'} initial instances on the cluster.")

    def _assign(self, pairs: Sequence[tuple[str, str]]) -> None:
        for key, value in pairs:
            print(output.assignment(PREFIX, key, value))

    def _totals(self, prefix: str, totals: Totals) -> None:
        self._assign([(f"{prefix}_{key}", value) for key, value in totals.assignments()])

    def _spec(self, prefix: str, spec: Spec) -> None:
        self._assign([(f"{prefix}_{key}", value) for key, value in (
            ("MEM", str(spec.memory)), ("DSK", str(spec.disk)), ("CPU", str(spec.cpus)),
            ("SPN", str(spec.spindle_use)), ("RQN", "2" if self.template.has_secondary else "1"),
            ("DISK_TEMPLATE", str(self.template)))])

    def _written(self, spec: Spec) -> str:
        spindles = f", SPN {spec.spindle_use}" if self.space.exclusive else ""
        return f"MEM {spec.memory}, DSK {spec.disk}, CPU {spec.cpus}{spindles}"

    def tiered(self, spec: Spec, filled: "Filled") -> None:
        after = Totals.of(filled.state)
        if self.shell:
            self._spec("TSPEC_INI", spec)
            self._totals("TRL", after)
            found = " ".join(f"{one.memory},{one.disk},{one.cpus},{one.spindle_use}={count}"
                             for one, count in filled.groups())
            print(f"{PREFIX}_TSPEC='{found}'" if found else f"{PREFIX}_TSPEC=")
            self._resources(after)
            return
        print(f"Tiered (initial size) instance spec is:\n  {self._written(spec)}, using disk template "
              f"'{self.template}'.\nTiered allocation results:")
        for one, count in filled.groups():
            print(f"  - {count:3d} instances of spec {self._written(one)}")
        if not filled.specs:
            print("  - no instances allocated")
        self._results(filled, after)

    def _resources(self, after: Totals) -> None:
        """What is used, what tiered allocation took, what is left."""
        first = self.initial
        used = (first.used_cpus, first.normal_cpus, first.memory_used, first.disk - first.disk_free,
                first.spindles - first.spindles_free)
        taken = (after.used_cpus - first.used_cpus, after.normal_cpus - first.normal_cpus,
                 after.memory_used - first.memory_used, first.disk_free - after.disk_free,
                 first.spindles_free - after.spindles_free)
        left = (after.vcpus - after.used_cpus, after.cpus - after.normal_cpus, after.memory - after.memory_used,
                after.disk_free, after.spindles_free)
        for name, values in (("USED", used), ("POOL", taken), ("UNAV", left)):
            for key, value in zip(("CPU", "NPU", "MEM", "DSK", "SPN"), values, strict=True):
                self._assign([(f"KM_{name}_{key}", repr(float(value)) if key == "NPU" else _whole(value))])

    def standard(self, spec: Spec, filled: "Filled") -> None:
        after = Totals.of(filled.state)
        reasons = filled.listed()
        if not self.shell:
            print(f"Standard (fixed-size) instance spec is:\n  {self._written(spec)}, using disk template "
                  f"'{self.template}'.\nNormal (fixed-size) allocation results:\n"
                  f"  - {len(filled.specs):3d} instances allocated")
            self._results(filled, after)
            return
        self._spec("SPEC", spec)
        self._totals("FIN", after)
        self._assign([("ALLOC_USAGE", _part(self.initial.instances, after.instances)),
                      ("ALLOC_INSTANCES", str(len(filled.specs))),
                      ("ALLOC_FAIL_REASON", reasons[0][0].name.upper()),
                      *((f"ALLOC_{fail.name.upper()}_CNT", str(count)) for fail, count in reasons
                        if count or self.space.pool), ("OK", "1")])

    def _results(self, filled: "Filled", after: Totals) -> None:
        print(f"  - most likely failure reason: {filled.listed()[0][0].name}")
        rows = [("initial cluster score", f"{output.fixed(self.initial.score, 8)}"),
                ("final cluster score", f"{output.fixed(after.score, 8)}"),
                ("memory usage efficiency", _percent(after.memory_used, after.memory)),
                ("disk usage efficiency", _percent(after.disk - after.disk_free, after.disk)),
                ("vcpu usage efficiency", _percent(after.used_cpus, after.vcpus))]
        if self.space.exclusive:
            rows.append(("spindles usage efficiency", _percent(after.spindles - after.spindles_free, after.spindles)))
        widest = max(len(label) for label, _ in rows[2:])
        for place, (label, value) in enumerate(rows):
            print(f"  - {label:>{21 if place < 2 else widest}}: {value}")


def _percent(value: float, total: float) -> str:
    return f"{output.fixed(100 * figures.divided(value, total), 2):>5}%"


def _talk(space: "Space", options: Options) -> None:
    """What goes to stderr when it may be said."""
    if options.verbosity > 2:
        from hbal.core.score import components, total

        values = components(space.start)
        print(f"Initial coefficients: overall {output.fixed(total(values), 8)}\n{output.coefficients(values)}",
              file=sys.stderr)
    if options.verbosity > 3:
        names = [node.name for node in space.data.nodes]
        groups = ",".join(f'"{space.data.groups[group].name}"' for group in sorted(space.bad_groups))
        print(f"Bad nodes: {[names[node] for node in space.bad_nodes]}\nBad groups: [{groups}]\n"
              f"Allocatable nodes: {[names[node] for nodes in space.pool for node in nodes]}", file=sys.stderr)


def _after(kind: str, filled: "Filled", options: Options) -> None:
    from hbal.alloc.capacity import saved

    if options.print_nodes is None and options.save is None and options.verbosity < 2:
        return
    data = saved(filled)
    sys.stdout.flush()
    if options.verbosity > 1:
        _map(kind, data, filled)
    if options.print_nodes is not None:
        _nodes(f"{kind} allocation", data, options)
    if options.save is not None:
        path = f"{options.save}.{kind.lower()}"
        try:
            text.save(data, path)
        except OSError as err:
            raise Error(f"Cannot write the state of the cluster to '{path}': {err.strerror}") from err
        print(f"The cluster state after {kind.lower()} allocation has been written to file '{path}'", file=sys.stderr)


def _map(kind: str, data: ClusterData, filled: "Filled") -> None:
    exclusive = filled.state.limits.any_exclusive
    rows = [[one.name, data.nodes[one.primary].name, data.nodes[one.secondary].name if one.secondary >= 0 else "",
             str(one.memory), str(one.disk), str(one.vcpus), str(one.spindles) if exclusive else ""]
            for one in data.instances[len(data.instances) - len(filled.specs):]]
    print(f"{kind} allocation map", file=sys.stderr)
    if rows:
        print(output.table("", rows, (False,) * 3 + (True,) * 3 + (False,)), file=sys.stderr, end="")


def _nodes(title: str, data: ClusterData, options: Options) -> None:
    print(output.node_list(title, figures.figures(data), options.print_nodes or ()), file=sys.stderr)
