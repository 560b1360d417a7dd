"""The machine's clock is set forward and back by hours while runs sleep, wait with timeouts and retry.

Method: a preloaded library sets the clock that the process is told by its system. A monotonic clock goes on, as it does
on a real machine, and with it every alarm that was set for so and so many seconds.
"""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from e2e.processes import read_journal

from agnt5.core.engine.invariants import check_journal
from agnt5.core.journal.entry import AttemptBegan, AttemptEnded, Entry, Fired, Outcome, Retrying

from . import preloading

SHORT = "slept waited had enough lucky slept lucky"
HOUR = 3600
CASES = {
    "forward": [HOUR],
    "back and forward again": [-HOUR, 2 * HOUR],
    "forward in two parts": [1000, 1000],
    "there and back and there": [HOUR, -HOUR, HOUR],
    "by a day, back, and a little": [24 * HOUR, -24 * HOUR, HOUR],
}


def check_times(entries: list[Entry]) -> None:
    """Nothing happens before its time by the journal's own clock, and nothing twice."""
    check_journal(entries)
    fired = Counter(entry.body.n for entry in entries if isinstance(entry.body, Fired))
    assert all(count == 1 for count in fired.values()), f"timers fired: {fired}"
    for entry in entries:
        if isinstance(entry.body, Fired):
            assert entry.at >= entry.body.due, f"entry {entry.index} fired early"
    for before, after in pairwise(entries):
        if isinstance(before.body, AttemptEnded) and isinstance(after.body, AttemptBegan):
            assert after.at >= before.body.retry_at, f"entry {after.index} tries again early"
        if isinstance(before.body, Retrying) and isinstance(after.body, Outcome):
            assert after.body.began >= before.body.retry_at, f"entry {after.index} tries again early"


@pytest.mark.parametrize("cached", [1000, 0], ids=["in memory", "evicted"])
@pytest.mark.parametrize("case", CASES)
def test_a_clock_that_is_set_delays_nothing_for_long_and_fires_nothing_early_or_twice(
    tmp_path: Path, calendar: Path, case: str, cached: int
) -> None:
    """P8, F84: whatever is due by the clock as it is now happens within seconds; new runs are not concerned at all."""
    jumps = CASES[case]

    finished = preloading.run(
        calendar, "clocked.py", str(tmp_path / "journal.db"), ",".join(map(str, jumps)), str(cached)
    )

    assert (finished.code, finished.err) == (0, ""), finished
    assert finished.out.splitlines() == [
        f"before: {SHORT}",
        *(f"after {jump}: {SHORT}" for jump in jumps),
        f"long: {SHORT} lucky",
    ]
    for _, entries in read_journal(tmp_path / "journal.db"):
        check_times(entries)
