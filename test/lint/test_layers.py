# SPDX-License-Identifier: BSD-2-Clause
"""Imports follow the flow of the data: a module imports only from layers below its own."""

import ast
from pathlib import Path

LIB = Path(__file__).parents[2] / "lib"
TOOLS = Path(__file__).parents[2] / "tools"
BASE = {"errors", "constants", "paths", "utils", "objects", "__init__"}
CONTRACT = BASE | {"opcodes", "rpc"}
STATE = {"config", "store", "leader"}
MAY_IMPORT = {  # read downwards: this is the architecture
    "cli": BASE | {"opcodes", "luxi", "bootstrap", "query"},  # query: the text of filters only, see below
    "rapi": CONTRACT | {"luxi", "query"},  # query: names and kinds of fields only, see below
    "watcher": BASE | {"luxi", "bootstrap"},
    "bootstrap": CONTRACT | STATE | {"luxi"},
    "luxi": CONTRACT | STATE | {"query", "jqueue", "cmdlib", "locking"},
    "jqueue": CONTRACT | STATE | {"cmdlib", "locking", "iallocator"},
    "cmdlib": CONTRACT | STATE | {"locking", "iallocator", "query"},
    "query": CONTRACT | {"config"},
    "iallocator": CONTRACT | {"config"},
    "leader": BASE | {"store", "rpc"},
    "config": BASE | {"store"},
    "store": BASE | {"rpc", "leader"},
    "locking": BASE,
    "backend": BASE | {"rpc", "hypervisor", "storage", "net", "store", "leader"},
    "hypervisor": BASE | {"net"},
    "storage": BASE,
    "net": BASE,
    "rpc": BASE | {"leader"},
    "opcodes": BASE,
    "objects": BASE,
    "utils": BASE,
}
EVERYTHING = {"server"}  # wiring
PROCESS_STARTERS = {"utils/command.py"}
CLOCK_READERS = {"utils/clock.py"}


def our_modules(path: Path) -> set[str]:
    """Full names of our own modules that the file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name.split(".")[0] == "gantry")
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gantry":
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def layer(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def test_every_folder_has_its_place() -> None:
    folders = {path.name for path in LIB.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders == MAY_IMPORT.keys() | EVERYTHING


def test_imports_follow_the_flow() -> None:
    wrong = [f"{path.relative_to(LIB)} imports {module}"
             for name, allowed in MAY_IMPORT.items()
             for path in sorted((LIB / name).rglob("*.py"))
             for module in sorted(our_modules(path))
             if layer(module) not in allowed | {name, "__version__"}]
    assert not wrong, "\n".join(wrong)


def test_the_command_line_takes_only_the_filter_text_from_queries() -> None:
    wrong = [f"{path.name} imports {module}" for path in (LIB / "cli").glob("*.py") for module in our_modules(path)
             if layer(module) == "query" and not module.startswith("gantry.query.text_filter")]
    assert not wrong, "\n".join(wrong)


def test_the_balancers_tools_know_only_their_door() -> None:
    """vcluster drives programs; of the package it takes paths, constants, files and errors."""
    allowed = BASE | {"luxi"}
    wrong = [f"{path.name} imports {module}" for path in (TOOLS / "vcluster").glob("*.py")
             for module in our_modules(path) if layer(module) not in allowed]
    assert not wrong, "\n".join(wrong)


def calls_of(path: Path) -> set[str]:
    """Dotted names of what the file calls or imports, as far as they can be read off."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
    return found


def test_processes_are_started_in_one_place() -> None:
    starters = {str(path.relative_to(LIB)) for path in LIB.rglob("*.py")
                if {"subprocess", "os.system", "os.popen"} & calls_of(path)}
    assert starters <= PROCESS_STARTERS


def test_the_clock_is_read_in_one_place() -> None:
    readers = {str(path.relative_to(LIB)) for path in LIB.rglob("*.py")
               if {"time.time", "time.sleep", "time.monotonic", "time.time_ns", "datetime.now"} & calls_of(path)}
    assert readers <= CLOCK_READERS


def test_only_output_prints() -> None:
    printers = {str(path.relative_to(LIB)) for path in LIB.rglob("*.py")
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"}
    assert printers <= {"cli/output.py"}
