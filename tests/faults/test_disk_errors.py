"""A disk that fails while a process serves: what is unknown is said to be unknown, and what was promised is kept.

Goal: nobody is told that something failed which took place, or that something took place which isn't on the disk.
Method: a preloaded library lets the calls of the process's system fail, so that SQLite, the store and the runtime
are those that everybody uses. A ledger outside of agnt5 has what each customer heard and what each step did; then
another process, on a disk that is well, asks again for the same things under the same keys.
"""

import errno
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from e2e.processes import for_each, lines, read_journal

from . import preloading

CUSTOMERS = 10
FOREVER = 1_000_000
SHORT = -1  # As in preload/trouble.c.
NAMES = {SHORT: "short"} | errno.errorcode
# After these nobody knows what is on the disk.
UNKNOWN = [("sync", errno.EIO), ("sync", errno.ENOSPC), ("write", errno.EIO), ("write", errno.EROFS)]
UNKNOWN += [("write", errno.EDQUOT), ("write", errno.EFBIG)]
# After these it is known that nothing was written.
FULL = [("write", errno.ENOSPC), ("write", SHORT)]
STOPPED = {"OutcomeUnknown", "StoreError", "Unavailable"}


class Ledger:
    """What was heard and done in one process."""

    def __init__(self, facts: list[list[Any]]) -> None:
        self.facts = facts

    def of(self, kind: str) -> dict[int, Any]:
        """The facts of one kind, by the order they are about."""
        return {order: rest[0] if rest else None for fact, order, *rest in self.numbered if fact == kind}

    def count(self, kind: str) -> Counter[int]:
        """How often each order has a fact of this kind."""
        return Counter(order for fact, order, *_ in self.numbered if fact == kind)

    @property
    def numbered(self) -> list[list[Any]]:
        return [fact for fact in self.facts if len(fact) > 1]

    def split(self, mark: str) -> "tuple[Ledger, Ledger]":
        """What was before a mark, and what was after it."""
        place = [fact[0] for fact in self.facts].index(mark)
        return Ledger(self.facts[:place]), Ledger(self.facts[place + 1 :])


def serve(trouble: Path, folder: Path, operation: str, what: int, skip: int, times: int) -> tuple[Ledger, Ledger]:
    """Serve customers on a disk that fails, then ask again on one that is well; returns both ledgers."""
    folder.mkdir(exist_ok=True)
    journal, ledger = str(folder / "journal.db"), str(folder / "ledger")
    troubled = preloading.run(
        trouble, "serving.py", journal, ledger, operation, *map(str, (what, skip, times)), TROUBLE_PATH=journal
    )
    assert troubled.code == 0, troubled
    assert "Traceback" not in troubled.err, troubled.err
    again = preloading.run(trouble, "serving.py", journal, ledger)
    assert (again.code, again.err) == (0, ""), again
    return Ledger([json.loads(line) for line in lines(folder / "ledger")]).split("again")


def check(first: Ledger, second: Ledger, journal: Path) -> None:
    """Whatever the disk did, all of this holds."""
    assert first.of("healed").popitem()[0] > 0, "the disk did not fail"
    results = second.of("result")
    assert results == {order: f"shipped {order} 5000" for order in range(CUSTOMERS)}, second.facts
    # What was promised is what there is.
    ids = second.of("acknowledged")
    for order, run_id in first.of("acknowledged").items():
        assert ids[order] == run_id, f"order {order} was acknowledged, and lost"
    assert first.of("result").items() <= results.items()
    assert Counter(ids.values()) == Counter(run.id for run, _ in read_journal(journal)), "one run for each order"
    # A step that others relied upon is not run again.
    for order in first.of("shipped"):
        assert second.count("charged")[order] == 0, f"order {order} was charged again after it was shipped"
    for order in first.of("result"):
        assert second.count("shipped")[order] == 0, f"order {order} was shipped again after its result was told"
    assert "nothing" not in first.of("error").values(), "somebody was never answered"


@pytest.mark.parametrize("operation", ["sync", "write"])
def test_a_disk_that_fails_stops_everything_and_says_so(tmp_path: Path, trouble: Path, operation: str) -> None:
    """P1: after an error nobody knows what was written: callers are told so, no other is served, a restart tells."""

    def fail_after(skip: int) -> None:
        folder = tmp_path / f"{skip}"

        first, second = serve(trouble, folder, operation, errno.EIO, skip, FOREVER)

        check(first, second, folder / "journal.db")
        before, after = first.split("afterwards")
        assert set(before.of("error").values()) <= STOPPED
        assert "OutcomeUnknown" in first.of("error").values()
        assert set(after.of("error").values()) <= STOPPED
        assert not after.of("result"), "it went on after its disk had failed"

    for_each([0, 1, 2, 4], fail_after)


@pytest.mark.parametrize(("operation", "what"), UNKNOWN, ids=lambda value: NAMES.get(value, value))
def test_a_disk_that_fails_once_stops_everything_too(tmp_path: Path, trouble: Path, operation: str, what: int) -> None:
    """P1: that the next write succeeds says nothing of the one that failed; the system may have dropped it."""
    first, second = serve(trouble, tmp_path, operation, what, skip=2, times=1)

    check(first, second, tmp_path / "journal.db")
    before, after = first.split("afterwards")
    assert "OutcomeUnknown" in before.of("error").values()
    assert not after.of("result"), "it went on after its disk had failed"


@pytest.mark.parametrize(("operation", "what"), FULL, ids=lambda value: NAMES.get(value, value))
def test_a_disk_that_is_full_for_a_while_costs_nothing_but_time(
    tmp_path: Path, trouble: Path, operation: str, what: int
) -> None:
    """P12: what can't be kept is refused with `StoreFull`; once there is room all goes on, without a restart."""

    def fill_after(skip: int) -> None:
        folder = tmp_path / f"{skip}"

        first, second = serve(trouble, folder, operation, what, skip, times=5)

        check(first, second, folder / "journal.db")
        assert set(first.of("error").values()) <= {"StoreFull"}
        acknowledged = first.of("acknowledged").keys()
        assert acknowledged == first.of("result").keys(), "what was acknowledged goes on by itself"
        assert CUSTOMERS - 1 in acknowledged, "it serves again"

    for_each([0, 1, 6], fill_after)


def test_a_disk_that_hangs_keeps_nobody_from_doing_anything_else(tmp_path: Path, trouble: Path) -> None:
    """P1, F43: callers keep their own deadlines while a sync hangs, nothing is acknowledged, and then all goes on."""
    finished = preloading.run(
        trouble, "hanging.py", str(tmp_path / "journal.db"), TROUBLE_PATH=str(tmp_path / "journal.db")
    )

    assert finished == (0, "waits\n1 sync hung, then: slept, slept\n", "")
