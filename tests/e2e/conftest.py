"""No test leaves a process behind, however it ends."""

from collections.abc import Iterator

import processes
import pytest


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    """What a test has started ends with it."""
    yield
    processes.kill_all()
