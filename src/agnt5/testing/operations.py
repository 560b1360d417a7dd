"""What a run has done, for a test to look at."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from msgspec import Raw, Struct

from agnt5.core.journal.entry import AttemptBegan, Begun, Entry, Fired, Kind, Outcome, Retrying, Signal
from agnt5.core.model.ids import OperationKey
from agnt5.core.model.payload import NOTHING
from agnt5.sdk import failures, serde
from agnt5.testing.clock import EPOCH


class Operation(Struct, frozen=True):
    """One thing that a run asked for.

    Attributes:
        kind: `step`, `call` (a child run), `submit`, `result`, `event`, `signal`, `state`, `send`,
            `sleep` or `timeout`.
        name: Of the function, component, event, signal, or key of the state.
        args: What was passed, as plain values; None where nothing is recorded.
        result: What came of it.
        error: What it raised, in the end.
        attempts: How many it took, or has taken so far.
        is_done: Whether it has come to an end.
        is_cancelled: Whether it ended because the body stopped waiting for it.
        at: When it ended, or when it was begun.
        site: File and line that asked for it.
        within: Name of the step whose function asked for it; empty for the run's own body.
    """

    kind: str
    name: str
    args: Any = None
    result: Any = None
    error: BaseException | None = None
    attempts: int = 1
    is_done: bool = True
    is_cancelled: bool = False
    at: datetime = EPOCH
    site: str = ""
    within: str = ""


def operations_of(entries: Iterable[Entry]) -> list[Operation]:
    """The operations of a run's last attempt, in the order in which the journal has them."""
    found: dict[object, Operation] = {}
    steps: dict[str, str] = {}
    for entry in entries:
        body = entry.body
        if isinstance(body, AttemptBegan):
            found.clear()
        elif isinstance(body, Begun | Retrying | Outcome):
            steps.setdefault(body.key, body.name)
            found[_place(body)] = _operation(entry, body, steps)
        elif isinstance(body, Fired):
            found[entry.index] = Operation(body.label or "timer", "", at=_time(entry.at), site=body.site)
        elif isinstance(body, Signal):
            found[entry.index] = Operation("signal", body.name, result=_value(body.payload), at=_time(entry.at))
    return list(found.values())


def _place(body: Begun | Retrying | Outcome) -> tuple[OperationKey, str, int]:
    return body.key, body.scope, body.op


def _operation(entry: Entry, body: Begun | Retrying | Outcome, steps: dict[str, str]) -> Operation:
    kind = "step" if isinstance(body, Retrying) else body.kind.value
    common = {
        "kind": kind,
        "name": body.name,
        "args": _value(body.args),
        "at": _time(entry.at),
        "site": body.site,
        "within": steps.get(body.scope, ""),
    }
    if isinstance(body, Begun):
        return Operation(**common, is_done=False)
    error = failures.read(body.error) if body.error is not None else None
    if isinstance(body, Retrying):
        return Operation(**common, error=error, attempts=body.attempt, is_done=False)
    is_child = body.kind is Kind.SUBMIT
    result = body.target if is_child else _value(body.result)
    return Operation(**common, result=result, error=error, attempts=body.attempt, is_cancelled=body.cancelled)


def _value(raw: Raw) -> Any:
    """What was written, in plain values where its class isn't known here."""
    if raw is NOTHING or not bytes(raw):
        return None
    return serde.decode(raw)


def _time(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)
