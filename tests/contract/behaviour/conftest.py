"""The embedded runtimes that behave alike: over memory, over memory with nothing kept warm, over SQLite."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import pytest

from agnt5 import WorkerSettings

from .world import File, Medium, Memory, World

# In "replaying" a run is forgotten whenever it waits, and replayed from its journal when it goes on.
RUNTIMES: Final[dict[str, tuple[Callable[[Path], Medium], WorkerSettings]]] = {
    "memory": (lambda folder: Memory(), WorkerSettings()),
    "replaying": (lambda folder: Memory(), WorkerSettings(max_cached_runs=0)),
    "sqlite": (File, WorkerSettings()),
}


@pytest.fixture(params=list(RUNTIMES))
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A runtime that all calls of the test go to."""
    medium, settings = RUNTIMES[request.param]
    made = World(medium(tmp_path / "journal"), settings)
    await made.start()
    yield made
    await made.stop()
