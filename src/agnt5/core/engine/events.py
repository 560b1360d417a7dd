"""What runs wait for: events, signals, and the outcomes of other runs.

An event is a durable promise: it is resolved once, and everyone who waits for it, now or later,
gets that payload. A signal goes to one run and is an entry of its journal from the moment it is
accepted; the body takes it from there when it asks.
"""

from collections.abc import Generator
from typing import Any

import msgspec

from agnt5.core.engine.commands import EventResolved, RunOver, SendEvent, SendSignal, TellWaiters, Waiter
from agnt5.core.engine.effects import Accepted, Reject, Reply
from agnt5.core.engine.run import append, wake
from agnt5.core.engine.state import Event, KeyUse, Need, NeedEvent, NeedWaiters, State, Steps, Turn, find
from agnt5.core.journal.entry import UNNUMBERED, Kind, Outcome, Signal
from agnt5.core.model.errors import Agnt5Error, ConflictError, RunCancelledError, UnknownRun
from agnt5.core.model.failures import failure_of
from agnt5.core.model.ids import RunId
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.run import Failure, Run, Status


def send_event(state: State, turn: Turn, command: SendEvent) -> Steps:
    """A caller resolves an event."""
    answer = yield from resolve(turn, command.event_id, command.payload)
    if isinstance(answer, bool):
        turn.effects.append(Reply(command.token, Accepted(changed=answer)))
    else:
        turn.effects.append(Reject(command.token, answer))


def resolve(turn: Turn, event_id: str, payload: msgspec.Raw) -> Generator[Need, Any, bool | ConflictError]:
    """Resolve an event; returns whether that changed anything, or why it can't be."""
    known = turn.events.get(event_id) or (yield NeedEvent(event_id))
    if known is not None:
        if _same(known.payload, payload):
            return False
        return ConflictError(
            f"event {event_id!r} was resolved before, with another payload",
            why="an event id stands for one payload, and the first one wins",
            fix="send the same payload, or take an event id of its own for each occasion",
            event_id=event_id,
        )
    turn.events[event_id] = Event(event_id, payload, turn.now)
    for waiter in (yield from _waiters(turn, f"event:{event_id}")):
        turn.told.append(EventResolved(waiter, event_id, payload))
    return True


def _same(one: msgspec.Raw, other: msgspec.Raw) -> bool:
    if bytes(one) == bytes(other):
        return True
    # The members of an object have no order.
    first, second = (msgspec.json.encode(msgspec.json.decode(raw), order="deterministic") for raw in (one, other))
    return first == second


def _waiters(turn: Turn, target: str) -> Generator[Need, Any, list[Waiter]]:
    stored = yield NeedWaiters(target)
    waiters = [*stored, *(waiter for waiter in turn.waiters if waiter.target == target)]
    if waiters:
        turn.waiters = [waiter for waiter in turn.waiters if waiter.target != target]
        turn.served.append(target)
    # A run that asks again, after a crash, for what it waits for already, waits but once.
    return list({(waiter.run_id, waiter.key): waiter for waiter in waiters}.values())


def event_resolved(state: State, turn: Turn, command: EventResolved) -> Steps:
    """A run that waits for an event gets it."""
    waiter = command.waiter
    run = yield from find(state, turn, waiter.run_id)
    if run is None or run.status.is_terminal:
        return
    answer(state, turn, run, waiter, Kind.EVENT, command.event_id, result=command.payload)


def tell_waiters(state: State, turn: Turn, command: TellWaiters) -> Steps:
    """A run has ended: all who await its handle are told."""
    for waiter in (yield from _waiters(turn, f"run:{command.run_id}")):
        over = RunOver(
            waiter, Kind.RESULT, command.run_id, command.component, command.status, command.result, command.error
        )
        turn.told.append(over)


def run_over(state: State, turn: Turn, command: RunOver) -> Steps:
    """A run that waits for another one gets its outcome."""
    waiter = command.waiter
    run = yield from find(state, turn, waiter.run_id)
    if run is None or run.status.is_terminal:
        return
    error = command.error
    if command.status is Status.CANCELLED:
        error = failure_of(cancelled(command.run_id, command.component))
    answer(state, turn, run, waiter, command.kind, command.component, command.run_id, command.result, error)


def answer(
    state: State,
    turn: Turn,
    run: Run,
    waiter: Waiter,
    kind: Kind,
    name: str,
    target: str = "",
    result: msgspec.Raw = NOTHING,
    error: Failure | None = None,
) -> None:
    """Append what an operation of a run came to, and wake the run."""
    op = waiter.op if waiter.life == run.life else UNNUMBERED
    outcome = Outcome(
        op, waiter.key, kind, name, target, result=result, error=error, site=waiter.site, scope=waiter.scope
    )
    append(state, turn, run, outcome)
    wake(state, turn, run)


def cancelled(run_id: RunId, component: str) -> RunCancelledError:
    """What the one who awaits a cancelled run is told."""
    return RunCancelledError(f"run {run_id} of {component!r} was cancelled", run_id=run_id)


def send_signal(state: State, turn: Turn, command: SendSignal) -> Steps:
    """A caller gives a run a signal."""
    error = yield from signal(state, turn, command.run_id, command.name, command.payload)
    turn.effects.append(Reject(command.token, error) if error else Reply(command.token, Accepted()))


def signal(
    state: State, turn: Turn, run_id: RunId, name: str, payload: msgspec.Raw
) -> Generator[Need, Any, Agnt5Error | None]:
    """Put a signal into a run's journal; returns why it can't be."""
    run = yield from find(state, turn, run_id)
    if run is None:
        return unknown_run(run_id)
    if run.status.is_terminal:
        return ConflictError(
            f"run {run_id} is {run.status.value}, so signal {name!r} can't reach it",
            why="it ended before the signal came",
            fix="check its status first, or send the signal to the run that took its place",
            run_id=run_id,
        )
    timers = run.waiting.timers
    # Whatever is due is fired before the signal is written, and that wakes the run too. What is due is what
    # the journal's time has reached: the clock may have been put back since.
    is_due = bool(timers) and timers[0].due <= max(turn.now, run.stamp)
    awaited = is_due or any(wait.kind == "signal" and wait.name == name for wait in run.waiting.on)
    append(state, turn, run, Signal(name, payload))
    if awaited:
        wake(state, turn, run)
    return None


def unknown_run(run_id: str) -> UnknownRun:
    """The error for an id that stands for no run."""
    return UnknownRun(
        f"there is no run {run_id}",
        why="the id is mistyped, belongs to another journal, or its run is no longer retained",
        fix="`agnt5 runs list` shows those that are there",
        run_id=run_id,
    )


def other_input(use: KeyUse) -> ConflictError:
    """The error for an idempotency key that was used with other content."""
    return ConflictError(
        f"idempotency key {use.key!r} of {use.component!r} stands for run {use.run_id}, which has another input",
        why="one key is used for two different requests",
        fix="derive the key from all that tells two requests apart, or leave it out",
        run_id=use.run_id,
    )
