"""A runtime over a journal file, once with runs kept in memory and once with every run replayed at each turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from contract.behaviour.world import File, World

from agnt5 import WorkerSettings


@pytest.fixture(params=[1000, 0], ids=["kept", "replayed"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A runtime that serves the calls of a test."""
    made = World(File(tmp_path), WorkerSettings(max_cached_runs=request.param))
    await made.start()
    yield made
    await made.stop()
