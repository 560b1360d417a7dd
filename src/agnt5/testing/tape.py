"""What a store takes in: counted, crashed into at one place, and checked for steps that run twice."""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from logging import LogRecord
from typing import Final

from msgspec import Struct

from agnt5.core.journal.entry import AttemptBegan, Begun, Ended, Entry, Fired, Kind, Outcome, Retrying, Started
from agnt5.core.model.errors import StoreError
from agnt5.core.model.ids import OperationKey, RunId
from agnt5.store.memory import MemoryStore
from agnt5.store.port import Batch
from agnt5.testing.watched import BODY, Call

PLANNED: Final = "the disk has failed, as planned"


class Killed(BaseException):
    """The process is gone, as far as the runtime can tell. Not an `Exception`, so that nobody handles it."""


class How(StrEnum):
    """What happens at an append."""

    AFTER = "killed right after"
    BEFORE = "killed right before"
    UNKNOWN = "the disk fails, though it is written, at"
    UNKNOWN_LOST = "the disk fails, and it is not written, at"


class Fault(Struct, frozen=True):
    """A crash at one append.

    Attributes:
        append: Which one, from 1, counted over all runs.
    """

    how: How
    append: int


class Tape:
    """Listens to all that is written to a store, over the lives of several runtimes.

    Args:
        store: What it listens to.
        fault: Where the process dies, once.

    Attributes:
        appends: How often entries have been written.
        written: What each append wrote or was about to write, for people.
        repeated: Steps that were called again, since a crash cut them short.
        violations: Steps that were called though they had been completed.
    """

    def __init__(self, store: MemoryStore, fault: Fault | None = None) -> None:
        self.appends = 0
        self.written: list[str] = []
        self.has_struck = False
        self.repeated: Counter[str] = Counter()
        self.violations: list[str] = []
        self._fault = fault
        self._called: set[tuple[RunId, OperationKey, int]] = set()
        self._attempts: Counter[tuple[RunId, OperationKey]] = Counter()
        # By operation: whether it succeeded. What failed may be called again by a retry of the run.
        self._completed: dict[RunId, dict[OperationKey, bool]] = {}
        self._ended: set[RunId] = set()
        store.before_commit = self._before
        store.after_commit = self._after

    def _before(self, batch: Batch) -> None:
        if batch.entries:
            self.appends += 1
            self.written.append(describe(entry for _, entry in batch.entries))
            self._strike(How.BEFORE, How.UNKNOWN_LOST)

    def _after(self, batch: Batch) -> None:
        for run_id, entry in batch.entries:
            self._note(run_id, entry)
        if batch.entries:
            self._strike(How.AFTER, How.UNKNOWN)

    def _strike(self, kill: How, failure: How) -> None:
        fault = self._fault
        if fault is None or self.has_struck or self.appends != fault.append or fault.how not in (kill, failure):
            return
        self.has_struck = True
        if fault.how is kill:
            raise Killed
        raise StoreError(PLANNED, why="a test of crashes wants it so", fix="start again")

    def _note(self, run_id: RunId, entry: Entry) -> None:
        body = entry.body
        completed = self._completed.setdefault(run_id, {})
        if isinstance(body, Outcome) and body.kind is Kind.STEP:
            completed[body.key] = body.is_success
        elif isinstance(body, Retrying):
            self._attempts[run_id, body.key] = body.attempt
        elif isinstance(body, AttemptBegan):
            self._completed[run_id] = {key: True for key, is_success in completed.items() if is_success}
            self._attempts[run_id, BODY] = body.attempt
            self._forget_failed(run_id, completed)
        elif isinstance(body, Ended):
            self._ended.add(run_id)

    def _forget_failed(self, run_id: RunId, completed: dict[OperationKey, bool]) -> None:
        """The next attempt of the run calls them anew."""
        failed = {key for key, is_success in completed.items() if not is_success}
        self._called = {place for place in self._called if place[0] != run_id or place[1] not in failed}

    def on_call(self, call: Call) -> None:
        """The user's function is about to be called."""
        what = f"step {call.name!r}" if call.key != BODY else f"{call.name!r}"
        if call.run_id in self._ended or call.key in self._completed.get(call.run_id, {}):
            self.violations.append(what)
        place = (call.run_id, call.key, self._attempts[call.run_id, call.key])
        if place in self._called:
            self.repeated[call.name] += 1
        self._called.add(place)


def is_no_plan(record: LogRecord) -> bool:
    """Whether a line of the log says something else than that the disk has failed as planned."""
    return PLANNED not in record.getMessage()


def describe(entries: Iterable[Entry]) -> str:
    """What a commit writes, for people."""
    return ", ".join(map(_describe, entries))


def _describe(entry: Entry) -> str:
    body = entry.body
    if isinstance(body, Started):
        return f"the start of {body.component!r}"
    if isinstance(body, Begun):
        return f"the beginning of {body.kind.value} {body.name!r}"
    if isinstance(body, Retrying):
        return f"attempt {body.attempt} of step {body.name!r}"
    if isinstance(body, Outcome):
        return f"the outcome of {body.kind.value} {body.name!r}"
    if isinstance(body, Fired):
        return f"the end of a {body.label or 'timer'}"
    if isinstance(body, Ended):
        return f"the end of the run, {body.status.value}"
    return type(body).__name__.lower()
