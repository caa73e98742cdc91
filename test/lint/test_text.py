# SPDX-License-Identifier: BSD-2-Clause
"""Every source file says whose licence it is under and what it is for."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("lib", "tools", "bench", "qa") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "a docstring says what the file is for"
    if path.name != "__init__.py":
        assert text.startswith("# SPDX-License-Identifier: BSD-2-Clause\n")
