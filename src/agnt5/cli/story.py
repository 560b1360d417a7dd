"""A journal folded into what happened: one line for each operation, in the order in which they began.

Several entries may belong to one operation (it was begun, it was tried again, it came to an
outcome). They are matched by the operation's key, for as long as it has no outcome; a later
attempt of the run that asks for the same again starts a new line.
"""

from enum import StrEnum
from typing import Final, assert_never

from msgspec import Raw, Struct

from agnt5.cli.times import lasted
from agnt5.core.journal.entry import (
    AttemptBegan,
    AttemptEnded,
    Begun,
    CancelRequested,
    Ended,
    Entry,
    Fired,
    Kind,
    Outcome,
    Patched,
    Resumed,
    Retrying,
    Signal,
    Started,
)
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.run import Failure, Status


class How(StrEnum):
    """What came of something."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    OPEN = "open"
    NOTED = "noted"  # It merely happened.


class Try(Struct, frozen=True):
    """One attempt of a step.

    Attributes:
        index: Of the entry that tells of it.
        retry_at: When the next one was due, in microseconds since the epoch; 0 for the last.
    """

    index: int
    number: int
    began: int
    ended: int
    error: Failure | None = None
    retry_at: int = 0


class Line(Struct):
    """Something that happened in a run. Times are microseconds since the epoch.

    Attributes:
        index: Of its first entry.
        label: Its kind, for people.
        target: The run concerned, for calls and the like.
        began: 0 where the journal doesn't tell.
        within: It was asked for in a step.
    """

    index: int
    at: int
    label: str
    name: str = ""
    how: How = How.NOTED
    args: Raw = NOTHING
    result: Raw = NOTHING
    error: Failure | None = None
    target: str = ""
    began: int = 0
    ended: int = 0
    due: int = 0
    tries: list[Try] = []
    site: str = ""
    within: bool = False


_LABELS: Final = {
    Kind.STEP: "step",
    Kind.CALL: "child",
    Kind.SUBMIT: "submit",
    Kind.RESULT: "result",
    Kind.EVENT: "event",
    Kind.STATE: "state",
    Kind.SEND: "send",
    Kind.SLEEP: "sleep",
}
_HOW: Final = {Status.COMPLETED: How.DONE, Status.FAILED: How.FAILED, Status.CANCELLED: How.CANCELLED}


def story(entries: list[Entry]) -> list[Line]:
    """What happened, in the order in which it began."""
    told = _Story()
    for entry in entries:
        told.take(entry)
    return told.lines


class _Story:
    """Takes the entries of a journal one by one."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._open: dict[str, Line] = {}  # Operations without an outcome, by key.

    def take(self, entry: Entry) -> None:
        body = entry.body
        match body:
            case Begun():
                line = self._line_of(entry, body, body.kind)
                line.began, line.due, line.target, line.args = entry.at, body.due, body.target, body.args
            case Retrying():
                line = self._line_of(entry, body, Kind.STEP)
                line.args = body.args
                line.began = line.began or body.began
                line.tries.append(Try(entry.index, body.attempt, body.began, body.ended, body.error, body.retry_at))
            case Outcome():
                self._outcome(entry, body)
            case _:
                self.lines.append(_line_of_other(entry))

    def _line_of(self, entry: Entry, body: Begun | Retrying | Outcome, kind: Kind) -> Line:
        line = self._open.get(body.key)
        if line is None:
            line = Line(entry.index, entry.at, _LABELS[kind], body.name, How.OPEN, within=bool(body.scope), tries=[])
            self._open[body.key] = line
            self.lines.append(line)
        line.site = line.site or body.site
        return line

    def _outcome(self, entry: Entry, body: Outcome) -> None:
        line = self._line_of(entry, body, body.kind)
        del self._open[body.key]
        line.how = How.CANCELLED if body.cancelled else How.FAILED if body.error is not None else How.DONE
        line.result, line.error = body.result, body.error
        line.target = line.target or body.target
        line.args = line.args if line.args is not NOTHING else body.args
        line.began = line.began or body.began
        line.ended = body.ended or entry.at
        if body.kind is Kind.STEP:
            line.tries.append(Try(entry.index, body.attempt, body.began, body.ended, body.error))


def _line_of_other(entry: Entry) -> Line:
    index, at, body = entry.index, entry.at, entry.body
    match body:
        case Started():
            return Line(index, at, "start", body.component, args=body.input)
        case Fired():
            return Line(index, at, body.label or "timer", how=How.DONE, due=body.due, site=body.site)
        case Signal():
            return Line(index, at, "signal", body.name, How.DONE, result=body.payload)
        case CancelRequested():
            return Line(index, at, "cancel", "requested")
        case Patched():
            return Line(index, at, "patched", body.change_id)
        case AttemptEnded():
            undone = " and undid its work" if body.compensated else ""
            name = f"{body.attempt} failed{undone}, again after {lasted(body.retry_at - at)}"
            return Line(index, at, "attempt", name, How.FAILED, error=body.error)
        case AttemptBegan():
            return Line(index, at, "attempt", f"{body.attempt} began")
        case Resumed():
            return Line(index, at, "resumed", "by hand")
        case Ended():
            return Line(index, at, "end", body.status.value, _HOW[body.status], result=body.result, error=body.error)
        case Begun() | Retrying() | Outcome():
            raise AssertionError("entries of operations are folded, not told one by one")
        case _:
            assert_never(body)
