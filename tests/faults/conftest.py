"""The preloaded libraries that the tests of this folder need, and no process left behind by any of them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e import processes

from .preloading import compiled


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    """What a test has started ends with it."""
    yield
    processes.kill_all()


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that records what a process does to its disk."""
    return compiled("recorder", tmp_path_factory.mktemp("recorder"))


@pytest.fixture(scope="session")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes a process's disk fail."""
    return compiled("trouble", tmp_path_factory.mktemp("trouble"))


@pytest.fixture(scope="session")
def calendar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that puts a process's clock forward and back."""
    return compiled("calendar", tmp_path_factory.mktemp("calendar"))


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, where there is one: images are synced as they are opened, and nobody needs that."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=shared if os.access(shared, os.W_OK) else None))
    yield folder
    shutil.rmtree(folder)
