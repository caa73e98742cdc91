# SPDX-License-Identifier: BSD-2-Clause
"""How results look: numbers, tables, the lists of nodes and instances, assignments for a shell."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hbal.figures import METRICS, NodeFigures, divided
from hbal.model import NO_NODE, ClusterData, Policy

if TYPE_CHECKING:
    from decimal import Decimal


def fixed(value: float, digits: int, width: int = 0) -> str:
    """Fixed-point: the shortest decimal form of the number, rounded half to even."""
    return special(value) or f"{_rounded(repr(float(value)), digits):>{width}}"


def _rounded(shortest: str, digits: int) -> str:
    """The shortest form is rounded as the number itself, but for numbers with fewer digits and for halves."""
    decimals = shortest.partition(".")[2]
    if "e" not in shortest and len(decimals) <= digits:
        return shortest + "0" * (digits - len(decimals))
    if "e" in shortest or (len(decimals) == digits + 1 and decimals[-1] == "5"):
        return f"{_decimal(shortest):.{digits}f}"
    return f"{float(shortest):.{digits}f}"


def _decimal(shortest: str) -> "Decimal":
    from decimal import Decimal  # seldom needed, and a tenth of the start of a short run

    return Decimal(shortest)


def special(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return ("Infinity" if value > 0 else "-Infinity") if math.isinf(value) else ""


def general(value: float) -> str:
    """Six decimals from 0.1 up to 10^7 and for 0, else a mantissa with six decimals and an exponent."""
    if special(value):
        return special(value)
    if value == 0 or 0.1 <= abs(value) < 1e7:
        return fixed(value, 6)
    mantissa, exponent = f"{_decimal(repr(float(value))):.6e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def table(prefix: str, rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    """Columns as wide as their widest cell, numbers to the right; each line ends with a newline."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) if right else cell.ljust(width)
                 for cell, width, right in zip(row, widths, numeric, strict=True)]
        lines.append(f"{prefix} {' '.join(cells)}\n")
    return "".join(lines)


def coefficients(values: Sequence[float], prefix: str = "  ") -> str:
    """The table of metrics, without the newline at its end; the header alone without values."""
    rows = [("Field", "Value", "Weight")]
    rows += [(name, fixed(value, 8), f"x{fixed(weight, 2)}")
             for (name, weight), value in zip(METRICS, values, strict=bool(values))]
    return table(prefix, rows, (False, True, True)).removesuffix("\n")


def assignment(prefix: str, key: str, value: str) -> str:
    """`PREFIX_KEY=value` for a shell, quoted unless the value is letters, digits and dots only."""
    bare = value.replace(".", "")
    plain = not value or (bare.isascii() and (bare.isalnum() or not bare))
    quoted = value if plain else "'" + value.replace("'", "'\\''") + "'"
    return f"{prefix}_{key.upper()}={quoted}"


class Column(NamedTuple):
    header: str
    numeric: bool
    cell: Callable[[NodeFigures], str]


def _left(header: str, cell: Callable[[NodeFigures], str]) -> Column:
    return Column(header, numeric=False, cell=cell)


def _right(header: str, cell: Callable[[NodeFigures], str]) -> Column:
    return Column(header, numeric=True, cell=cell)


def _flag(one: NodeFigures) -> str:
    if one.node.offline:
        return "-"
    return "*" if one.fails_n1 else " "


def _tags(one: NodeFigures) -> str:
    return ",".join(f"{tag}={count}" for tag, count in sorted(one.exclusion.items()))


def _pairs(pairs: Iterable[tuple[int, int]]) -> str:
    return f"[{','.join(f'({left},{right})' for left, right in pairs)}]"


def _indices(indices: Iterable[int]) -> str:
    return f"[{','.join(map(str, indices))}]"


def _load(place: int) -> Callable[[NodeFigures], str]:
    return lambda one: fixed(one.loads[place], 3)


COLUMNS: dict[str, Column] = {
    "status": _left("F", _flag),
    "name": _left("Name", lambda one: one.node.alias),
    "tmem": _right("t_mem", lambda one: fixed(one.node.total_memory, 0)),
    "nmem": _right("n_mem", lambda one: str(one.node.node_memory)),
    "imem": _right("i_mem", lambda one: str(one.instance_memory)),
    "xmem": _right("x_mem", lambda one: str(one.missing)),
    "fmem": _right("f_mem", lambda one: str(one.node.free_memory)),
    "umem": _right("u_mem", lambda one: str(one.unallocated)),
    "rmem": _right("r_mem", lambda one: str(one.reserved)),
    "tdsk": _right("t_dsk", lambda one: fixed(one.node.total_disk / 1024, 0)),
    "fdsk": _right("f_dsk", lambda one: str(one.free_disk // 1024)),
    "tcpu": _right("pcpu", lambda one: fixed(one.node.total_cpus, 0)),
    "ucpu": _right("vcpu", lambda one: str(one.cpus)),
    "pcnt": _right("pcnt", lambda one: str(len(one.primaries))),
    "scnt": _right("scnt", lambda one: str(len(one.secondaries))),
    "pfmem": _right("p_fmem", lambda one: fixed(one.free_memory_part, 4)),
    "pfdsk": _right("p_fdsk", lambda one: fixed(one.free_disk_part, 4)),
    "rcpu": _right("r_cpu", lambda one: fixed(divided(one.cpus, one.node.total_cpus), 2)),
    "cload": _right("lCpu", _load(0)),
    "mload": _right("lMem", _load(1)),
    "dload": _right("lDsk", _load(2)),
    "nload": _right("lNet", _load(3)),
}
DEFAULT_FIELDS = tuple(COLUMNS)
COLUMNS |= {
    "idx": _right("Index", lambda one: str(one.index)),
    "fqdn": _left("Name", lambda one: one.node.name),
    "amem": _right("a_mem", lambda one: str(one.available_memory)),
    "plist": _right("primaries", lambda one: _indices(reversed(one.primaries))),
    "slist": _right("secondaries", lambda one: _indices(reversed(one.secondaries))),
    "ptags": _left("PrimaryTags", _tags),
    "peermap": _left("PeerMap", lambda one: _pairs(sorted(reversed(one.peers.items()), key=lambda pair: -pair[1]))),
    "spindle_count": _right("NodeSpindles", lambda one: str(one.node.spindles)),
    "hi_spindles": _right("MaxSpindles", lambda one: fixed_or_short(one.high_spindles)),
    "inst_spindles": _right("InstSpindles", lambda one: fixed_or_short(one.spindles)),
}
UNKNOWN = _left("<unknown field>", lambda _: "<unknown field>")


def fixed_or_short(value: float) -> str:
    return special(value) or repr(float(value))


def node_list(title: str, nodes: Sequence[NodeFigures], fields: Sequence[str]) -> str:
    """The list of nodes (`-p`); `fields` as in the options: none for the usual ones, after a `+` the ones added."""
    return f"\n{title} status:\n{node_table(nodes, fields)}"


def node_table(nodes: Sequence[NodeFigures], fields: Sequence[str]) -> str:
    names = (*DEFAULT_FIELDS, *fields[1:]) if fields[:1] == ("+",) else (fields or DEFAULT_FIELDS)
    columns = [COLUMNS.get(name, UNKNOWN) for name in names]
    rows = [[column.header for column in columns], *([column.cell(one) for column in columns] for one in nodes)]
    return table("", rows, [column.numeric for column in columns])


INSTANCE_HEADERS = ("F", "Name", "Pri_node", "Sec_node", "Auto_bal", "vcpu", "mem", "dsk", "lCpu", "lMem", "lDsk",
                    "lNet")


def instance_list(title: str, data: ClusterData, instances: Iterable[int]) -> str:
    """The list of instances (`--print-instances`)."""
    rows: list[Sequence[str]] = [INSTANCE_HEADERS]
    for one in (data.instances[index] for index in instances):
        secondary = "" if one.secondary == NO_NODE else data.nodes[one.secondary].name
        load = one.load
        rows.append(("R" if one.running else " ", one.name, data.nodes[one.primary].name, secondary,
                     "Y" if one.auto_balance else "N", str(one.vcpus), f"{one.memory:5}", f"{one.disk // 1024:5}",
                     *(fixed(value, 3) for value in (load.cpu, load.memory, load.disk, load.network))))
    return f"\n{title} instance map:\n{table('', rows, (False,) * 5 + (True,) * 7)}"


def counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def policy_text(policy: Policy) -> str:
    """An instance policy on one line, as in the text format."""
    from hbal.load.text import policy_line

    return policy_line("", policy)[1:]
