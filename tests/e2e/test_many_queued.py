"""Runs that are queued far back live in the store alone: a hundred thousand take no more memory than a few thousand."""

import json
import sys
from pathlib import Path

import pytest
from processes import run

COUNT = 100_000
# Of the second half of the queue together; the first half has filled the store's cache by then. It leaves 160
# bytes for each run, where a record that was kept would take a thousand.
GROWTH_KIB_MAX = 8 * 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_a_hundred_thousand_queued_runs_take_bounded_memory(tmp_path: Path) -> None:
    """All are accepted and none starts before its turn; then they run in order, those too that memory let go."""
    finished = run("queued.py", str(tmp_path / "journal.db"), f"{COUNT}")

    assert (finished.code, finished.err) == (0, "")
    said = json.loads(finished.out)
    sizes = said["sizes"]
    assert said["waiting"] == ["queued", 0]
    assert said["results"] == list(range(5_000))
    assert sizes[-1] - sizes[len(sizes) // 2] < GROWTH_KIB_MAX, f"KiB after each thousand: {sizes}"
