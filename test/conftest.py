# SPDX-License-Identifier: BSD-2-Clause
"""What all tests share."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.definitions import remove_written
from support.harness import Harness, virtual_cluster


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate", action="store_true", help="rewrite golden files instead of comparing")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """`golden(path, text)`: the text must equal the file, or becomes it with --regenerate."""
    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--regenerate"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.is_file(), f"{path.name} is missing; see --regenerate"
        assert text == path.read_text(), f"differs from {path.name}; see --regenerate"
    return compare


@pytest.fixture(scope="session")
def session_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """The cluster behind `shared_cluster`."""
    with virtual_cluster(tmp_path_factory.mktemp("c")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def shared_cluster(session_cluster: Harness) -> Iterator[Harness]:
    """Three nodes with fake guests, for tests that leave it as they found it, but for OS definitions."""
    yield session_cluster
    remove_written(session_cluster)


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Three nodes with fake guests, for one file of tests that break them."""
    with virtual_cluster(tmp_path_factory.mktemp("c")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def qemu_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Three nodes with real QEMU and the small guest."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is missing")
    with virtual_cluster(tmp_path_factory.mktemp("c"), hypervisor="kvm") as cluster:
        yield cluster
