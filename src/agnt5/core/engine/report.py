"""What a worker says about a run it holds, one case each.

A case that needs something from the store is a generator; the rest of the message then waits
until it is through.
"""

from collections.abc import Callable, Generator
from typing import Any, Final

from msgspec import Raw

from agnt5.core.engine.commands import Cancel, Waiter
from agnt5.core.engine.effects import Tell
from agnt5.core.engine.events import answer, cancelled, other_input, resolve, signal, unknown_run
from agnt5.core.engine.run import append, block, create, end, park, release, requeue, suspend
from agnt5.core.engine.state import (
    KeyUse,
    Need,
    NeedEnd,
    NeedEvent,
    State,
    Steps,
    Turn,
    find,
    find_use,
    journal_of,
)
from agnt5.core.journal.entry import (
    AttemptBegan,
    AttemptEnded,
    Begun,
    CancelRequested,
    Ended,
    Fired,
    Kind,
    Outcome,
    Patched,
    Retrying,
    Signal,
    Started,
)
from agnt5.core.model.errors import Agnt5Error
from agnt5.core.model.failures import failure_of
from agnt5.core.model.ids import RunId
from agnt5.core.model.payload import NULL
from agnt5.core.model.run import Link, Run, Status, Waiting
from agnt5.core.protocol.messages import (
    Abandon,
    Again,
    AwaitEvent,
    AwaitRun,
    Block,
    ContinueAs,
    End,
    Fire,
    Heartbeat,
    Park,
    Refuse,
    Release,
    Report,
    Send,
    StartRun,
)


def report(state: State, turn: Turn, message: Report) -> Steps | None:
    """Take what a worker says, unless the run is no longer its own."""
    run = state.runs.get(message.run_id)
    if run is None or run.epoch != message.epoch or run.worker != message.worker:
        turn.effects.append(Tell(message.worker, Refuse(message.run_id, message.epoch)))
        return None
    if message.is_ahead and run.next_index - 1 != message.seen:
        # The body went ahead of the journal, and the journal went on without it. What it saw is
        # not what was recorded, so it is replayed; the steps it was ahead by may run again.
        turn.effects.append(Tell(message.worker, Refuse(message.run_id, message.epoch)))
        release(state, turn, run)
        requeue(state, turn, run)
        return None
    return _take(state, turn, run, message, 0)


def _take(state: State, turn: Turn, run: Run, message: Report, start: int) -> Steps | None:
    asks = message.asks
    for position in range(start, len(asks)):
        steps = _CASES[type(asks[position])](state, turn, run, asks[position], message)
        if steps is not None:
            return _take_slowly(state, turn, run, message, position, steps)
    return None


def _take_slowly(state: State, turn: Turn, run: Run, message: Report, position: int, steps: Steps) -> Steps:
    yield from steps
    rest = _take(state, turn, run, message, position + 1)
    if rest is not None:
        yield from rest


# What is appended as it was said


def _append(state: State, turn: Turn, run: Run, ask: Begun | Retrying | Patched, message: Report) -> None:
    append(state, turn, run, ask)


def _outcome(state: State, turn: Turn, run: Run, ask: Outcome, message: Report) -> None:
    if run.crashes:
        run.crashes = 0
        turn.change(run)
    # A body that is ahead has seen the outcome at the time it came, and its timers follow from that.
    append(state, turn, run, ask, ask.ended if message.is_ahead else None)


def _fire(state: State, turn: Turn, run: Run, ask: Fire, message: Report) -> None:
    timer = ask.timer
    # The time of this turn was taken before the worker's message came, and no timer fires early.
    append(state, turn, run, Fired(timer.n, timer.due, timer.label, timer.site), max(turn.now, timer.due))


def _heartbeat(state: State, turn: Turn, run: Run, ask: Heartbeat, message: Report) -> None:
    turn.heartbeats.append((run.id, ask.key, ask.attempt, ask.details))


# Other runs, events, signals


def _start_run(state: State, turn: Turn, run: Run, ask: StartRun, message: Report) -> Steps | None:
    if ask.idempotency_key:
        return _start_run_once(state, turn, run, ask)
    _record_child(state, turn, run, ask, ask.run_id)
    _create_child(state, turn, run, ask)
    return None


def _record_child(state: State, turn: Turn, run: Run, ask: StartRun, child: RunId) -> None:
    """Write down which run the operation stands for: begun, or done where nobody awaits it."""
    body: Begun | Outcome
    if ask.kind is Kind.CALL:
        body = Begun(ask.op, ask.key, ask.kind, ask.component, child, ask.input, ask.site, scope=ask.scope)
    else:
        result = Raw(f'"{child}"'.encode())
        body = Outcome(
            ask.op, ask.key, ask.kind, ask.component, child, ask.input, result, site=ask.site, scope=ask.scope
        )
    append(state, turn, run, body)


def _create_child(state: State, turn: Turn, run: Run, ask: StartRun) -> None:
    child = Run(
        id=ask.run_id,
        component=ask.component,
        wake_at=ask.start_at if ask.start_at > turn.now else 0,
        link=Link(run.id, ask.op, ask.key, run.life, ask.kind is Kind.CALL, ask.scope),
        tags=ask.tags,
        idempotency_key=ask.idempotency_key,
        idempotent=ask.idempotent,
        prefer=run.worker,
    )
    create(state, turn, child, [Started(ask.component, ask.input, options=ask.options)])


def _start_run_once(state: State, turn: Turn, run: Run, ask: StartRun) -> Steps:
    """A child under an idempotency key: the run that has the key, whoever started it."""
    place = (ask.component, ask.idempotency_key)
    use = yield from find_use(turn, *place)
    if use is None:
        turn.keys[place] = KeyUse(*place, ask.run_id, ask.input_digest)
        _record_child(state, turn, run, ask, ask.run_id)
        _create_child(state, turn, run, ask)
    elif use.input_digest != ask.input_digest:
        waiter = Waiter("", run.id, run.life, ask.op, ask.key, ask.scope, ask.site)
        answer(state, turn, run, waiter, ask.kind, ask.component, error=failure_of(other_input(use)))
    else:
        _record_child(state, turn, run, ask, use.run_id)
        if ask.kind is Kind.CALL:
            found = AwaitRun(ask.op, ask.key, ask.kind, ask.component, use.run_id, ask.site, ask.scope)
            yield from _await_run(state, turn, run, found, message=None)


def _await_run(state: State, turn: Turn, run: Run, ask: AwaitRun, message: Report | None) -> Steps:
    waiter = Waiter(f"run:{ask.target}", run.id, run.life, ask.op, ask.key, ask.scope, ask.site)
    target = yield from find(state, turn, ask.target)
    is_over = target is None or target.status.is_terminal
    if is_over and (yield from _is_answered(turn, run, waiter)):
        return
    if target is None:
        error = failure_of(unknown_run(ask.target))
        answer(state, turn, run, waiter, ask.kind, ask.name, ask.target, error=error)
    elif target.status.is_terminal:
        body = yield from _end_of(turn, target)
        failed = body.error
        if body.status is Status.CANCELLED:
            failed = failure_of(cancelled(target.id, target.component))
        answer(state, turn, run, waiter, ask.kind, ask.name, ask.target, body.result, failed)
    elif target.link is not None and target.link.run == run.id and target.link.key == ask.key:
        # The child of this very operation: its answer goes to where the body asks for it now.
        target.link = Link(run.id, ask.op, ask.key, run.life, True, ask.scope)
        turn.change(target)
    else:
        turn.waiters.append(waiter)
        if not target.awaited:
            target.awaited = True
            turn.change(target)


def _end_of(turn: Turn, run: Run) -> Generator[Need, Any, Ended]:
    for run_id, entry in reversed(turn.entries):
        if run_id == run.id and isinstance(entry.body, Ended):
            return entry.body
    body: Ended = yield NeedEnd(run.id)
    return body


def _await_event(state: State, turn: Turn, run: Run, ask: AwaitEvent, message: Report) -> Steps:
    event = turn.events.get(ask.event_id) or (yield NeedEvent(ask.event_id))
    waiter = Waiter(f"event:{ask.event_id}", run.id, run.life, ask.op, ask.key, ask.scope, ask.site)
    if event is None:
        turn.waiters.append(waiter)
    elif not (yield from _is_answered(turn, run, waiter)):
        answer(state, turn, run, waiter, Kind.EVENT, ask.event_id, result=event.payload)


def _is_answered(turn: Turn, run: Run, waiter: Waiter) -> Generator[Need, Any, bool]:
    """Whether the answer has come while the body, replayed, asked for it again."""
    if run.epoch == 1:
        return False  # It asks for the first time.
    for entry in reversed((yield from journal_of(turn, run.id))):
        body = entry.body
        if isinstance(body, AttemptBegan):
            break
        if isinstance(body, Outcome) and (body.op, body.key, body.scope) == (waiter.op, waiter.key, waiter.scope):
            return True
    return False


def _send(state: State, turn: Turn, run: Run, ask: Send, message: Report) -> Steps:
    error: Agnt5Error | None = None
    if ask.what == "event":
        found = yield from resolve(turn, ask.target, ask.payload)
        error = None if isinstance(found, bool) else found
    elif ask.what == "signal":
        error = yield from signal(state, turn, RunId(ask.target), ask.name, ask.payload)
    elif (yield from find(state, turn, RunId(ask.target))) is None:
        error = unknown_run(ask.target)
    else:
        turn.told.append(Cancel(None, RunId(ask.target)))
    outcome = Outcome(
        ask.op,
        ask.key,
        Kind.SEND,
        ask.name or ask.target,
        ask.target,
        args=ask.payload,
        result=NULL,
        error=failure_of(error) if error else None,
        site=ask.site,
        scope=ask.scope,
    )
    append(state, turn, run, outcome)


def _abandon(state: State, turn: Turn, run: Run, ask: Abandon, message: Report) -> None:
    turn.told.append(Cancel(None, ask.run_id, run.id))


# The body waits


def _park(state: State, turn: Turn, run: Run, ask: Park, message: Report) -> None:
    if message.seen != run.next_index - 1:
        # Something for the body is on its way to the worker; it will say again that it waits.
        return
    park(state, turn, run, Waiting(ask.timers, ask.on, turn.now), is_open=ask.is_open)


def _release(state: State, turn: Turn, run: Run, ask: object, message: Report) -> None:
    is_behind = message.seen != run.next_index - 1
    was_waiting = run.is_parked and not run.is_open
    release(state, turn, run)
    if is_behind or not was_waiting:
        requeue(state, turn, run)
    else:
        suspend(turn, run)


def _block(state: State, turn: Turn, run: Run, ask: Block, message: Report) -> None:
    block(state, turn, run, ask.error)


# The body is through


def _end(state: State, turn: Turn, run: Run, ask: End, message: Report) -> None:
    _abandon_all(turn, run, ask.abandoned)
    status = ask.status
    if status is Status.FAILED and run.is_cancel_requested:
        # The request was on its way to the worker; only a body that returns is not cancelled by it.
        status = Status.CANCELLED
    end(state, turn, run, Ended(status, ask.result, ask.error, ask.compensated, ask.consumed))


def _again(state: State, turn: Turn, run: Run, ask: Again, message: Report) -> None:
    _abandon_all(turn, run, ask.abandoned)
    body = AttemptEnded(run.attempt, ask.error, ask.retry_at, ask.compensated, ask.consumed)
    release(state, turn, run)
    append(state, turn, run, body)
    if run.is_cancel_requested:
        end(state, turn, run, Ended(Status.CANCELLED, error=ask.error))
        return
    run.generation += ask.compensated
    run.waiting = Waiting(since=turn.now, retry=True)
    run.wake_at = max(ask.retry_at, 1)
    suspend(turn, run)


def _continue_as(state: State, turn: Turn, run: Run, ask: ContinueAs, message: Report) -> Steps:
    _abandon_all(turn, run, ask.abandoned)
    unread = yield from _unread(turn, run, ask.consumed, message.seen)
    release(state, turn, run)
    run.generation += 1
    run.life += 1
    run.attempt = 1
    first = append(state, turn, run, Started(run.component, ask.input, 1, run.generation, state=ask.state))
    for body in unread:
        append(state, turn, run, body)
    # What the body took notice of is done with: the run may be cancelled anew.
    run.is_cancel_requested = any(isinstance(body, CancelRequested) for body in unread)
    turn.trimmed.append((run.id, first.index))
    requeue(state, turn, run)


def _unread(
    turn: Turn, run: Run, consumed: dict[str, int], seen: int
) -> Generator[Need, Any, list[Signal | CancelRequested]]:
    """Signals that the body did not take, and a cancel that it did not see."""
    left = dict(consumed)
    unread: list[Signal | CancelRequested] = []
    for entry in (yield from journal_of(turn, run.id)):
        body = entry.body
        if isinstance(body, CancelRequested) and entry.index > seen:
            unread.append(body)
        elif isinstance(body, Signal):
            if left.get(body.name, 0) > 0:
                left[body.name] -= 1
            else:
                unread.append(body)
    return unread


def _abandon_all(turn: Turn, run: Run, children: tuple[RunId, ...]) -> None:
    for child in children:
        turn.told.append(Cancel(None, child, run.id))


_CASES: Final[dict[type, Callable[[State, Turn, Run, Any, Report], Steps | None]]] = {
    Outcome: _outcome,
    Begun: _append,
    Retrying: _append,
    Patched: _append,
    StartRun: _start_run,
    AwaitRun: _await_run,
    AwaitEvent: _await_event,
    Send: _send,
    Fire: _fire,
    Abandon: _abandon,
    Heartbeat: _heartbeat,
    Park: _park,
    Release: _release,
    Block: _block,
    End: _end,
    Again: _again,
    ContinueAs: _continue_as,
}
