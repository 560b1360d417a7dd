"""Runs that wait are found again by the store alone, after their process was killed.

While a run waits, only the journal knows of it; what wakes it has to be found there: a time, an event, a signal,
a child's end, a cancel. Here the process dies once all of them have been written down as waiting.
"""

import json
import time
from collections import Counter
from pathlib import Path

from processes import KILLED, finish, lines, read_journal, run, start

PROGRAM = "suspended.py"
RESULTS = ["slept", "timed out", "event came", "signal came", "slept", 2, "compensated", "delayed"]
RUNS = len(RESULTS) + 1  # One of them has a child.


def statuses(journal: Path) -> Counter[str]:
    """How many runs of the journal file are where."""
    return Counter(run.status.value for run, _ in read_journal(journal))


def is_acknowledged(log: Path) -> bool:
    """Whether all have been submitted."""
    return any(line.startswith("acknowledged") for line in lines(log))


def test_runs_that_wait_when_the_power_goes_are_woken_by_the_next_process(tmp_path: Path) -> None:
    """P1, P8: sleeping, waiting and delayed runs, of which no process knows any more, go on where they were."""
    journal, log = tmp_path / "journal.db", tmp_path / "effects"
    process = start(PROGRAM, "begin", str(journal), EFFECTS=str(log))
    deadline = time.monotonic() + 20
    while not is_acknowledged(log) or statuses(journal) != {"suspended": RUNS - 1, "queued": 1}:
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline, f"they never waited: {lines(log)}"
        time.sleep(0.02)

    process.kill()
    first = finish(process)
    last = run(PROGRAM, "go_on", str(journal), EFFECTS=str(log))

    assert first.code == KILLED
    assert (last.code, last.err) == (0, "")
    assert json.loads(last.out) == RESULTS
    assert statuses(journal) == {"completed": RUNS}
    seen = Counter(line for line in lines(log) if line.startswith("effect "))
    # The child does the same step as the run that sleeps on its own.
    assert seen.pop("effect sleeps 1") == 2
    assert set(seen.values()) == {1}
    assert {"effect retry 1", "effect retry 2"} <= seen.keys()
