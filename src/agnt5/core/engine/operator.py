"""What people do to runs: cancel, resume, retry, fork."""

from collections.abc import Generator
from typing import Any

from msgspec import structs

from agnt5.core.engine.commands import Cancel, ForkRun, Quarantine, Resume, RetryRun, Token
from agnt5.core.engine.effects import Accepted, Reject, Reply, Submitted
from agnt5.core.engine.events import cancelled, unknown_run
from agnt5.core.engine.run import append, block, create, end, requeue, wake
from agnt5.core.engine.state import Need, NeedChildren, State, Steps, Turn, find, journal_of
from agnt5.core.journal.entry import (
    AttemptBegan,
    AttemptEnded,
    Body,
    CancelRequested,
    Ended,
    Resumed,
    Started,
)
from agnt5.core.model.errors import Agnt5Error, ConflictError, InvalidInput
from agnt5.core.model.failures import failure_of
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Origin, Run, Status


def cancel(state: State, turn: Turn, command: Cancel) -> Steps:
    """Interrupt a run, and its children; one that has no body to interrupt ends at once."""
    run = yield from find(state, turn, command.run_id)
    if run is None:
        _reject(turn, command.token, unknown_run(command.run_id))
        return
    if command.parent is not None and (run.link is None or run.link.run != command.parent):
        return
    changed = not run.status.is_terminal and not run.is_cancel_requested
    if changed:
        run.is_cancel_requested = True
        turn.change(run)
        if run.epoch == 0 or run.waiting.retry or run.status is Status.BLOCKED:
            end(state, turn, run, Ended(Status.CANCELLED))
        else:
            append(state, turn, run, CancelRequested())
            wake(state, turn, run)
        for child in (yield from _children(turn, run)):
            turn.told.append(Cancel(None, child, run.id))
    if command.token is not None:
        turn.effects.append(Reply(command.token, Accepted(changed=changed)))


def _children(turn: Turn, run: Run) -> Generator[Need, Any, list[RunId]]:
    stored = yield NeedChildren(run.id)
    new = [child.id for child in turn.created.values() if child.link is not None and child.link.run == run.id]
    return [*stored, *new]


def _reject(turn: Turn, token: Token | None, error: Agnt5Error) -> None:
    if token is not None:
        turn.effects.append(Reject(token, error))


def quarantine(state: State, turn: Turn, command: Quarantine) -> Steps:
    """What is stored of a run can't be read: it is blocked."""
    run = yield from find(state, turn, command.run_id)
    if run is not None and not run.status.is_terminal:
        block(state, turn, run, command.error)


def resume(state: State, turn: Turn, command: Resume) -> Steps:
    """A human has looked at a blocked run: it goes on, an interrupted operation too."""
    run = yield from find(state, turn, command.run_id)
    if run is None:
        _reject(turn, command.token, unknown_run(command.run_id))
    elif run.status is not Status.BLOCKED:
        _reject(turn, command.token, _wrong_status(run, "resumed", "blocked"))
    else:
        run.crashes = 0
        append(state, turn, run, Resumed())
        requeue(state, turn, run)
        turn.effects.append(Reply(command.token, Accepted()))


def _wrong_status(run: Run, verb: str, wanted: str) -> ConflictError:
    return ConflictError(
        f"run {run.id} is {run.status.value} and can't be {verb}",
        why=f"only a {wanted} run can",
        fix=f"`agnt5 runs show {run.id}` tells where it is",
        run_id=run.id,
    )


def retry(state: State, turn: Turn, command: RetryRun) -> Steps:
    """A new run for a failed or cancelled one, which keeps what succeeded."""
    run = yield from find(state, turn, command.run_id)
    if run is None:
        _reject(turn, command.token, unknown_run(command.run_id))
        return
    if run.status not in (Status.FAILED, Status.CANCELLED):
        _reject(turn, command.token, _wrong_status(run, "retried", "failed or cancelled"))
        return
    entries = yield from journal_of(turn, run.id)
    ended = entries[-1].body
    assert isinstance(ended, Ended), "the journal of a run that is over ends with its outcome"
    generation = run.generation + ended.compensated
    error = ended.error or failure_of(cancelled(run.id, run.component))
    bodies: list[Body] = [
        _seeded(entries[0].body, run),
        *(entry.body for entry in entries[1:-1]),
        AttemptEnded(run.attempt, error, turn.now, ended.compensated, ended.consumed),
        AttemptBegan(1, generation),
    ]
    new = _successor(run, command.new_id, "retry")
    new.generation = generation
    new.life = run.life + 1
    if command.take_key and run.idempotency_key:
        new.idempotency_key = run.idempotency_key
        turn.retaken.append((run.component, run.idempotency_key, new.id))
    create(state, turn, new, bodies)
    turn.effects.append(Reply(command.token, Submitted(new.id, is_new=True)))


def _seeded(body: Body, run: Run) -> Started:
    """The first entry for a copy of a run: it draws the same chance as its source."""
    assert isinstance(body, Started), "a journal begins with the start"
    return structs.replace(body, seed=body.seed or run.id)


def _successor(run: Run, new_id: RunId, how: str) -> Run:
    return Run(
        id=new_id,
        component=run.component,
        tags=run.tags,
        idempotent=run.idempotent,
        origin=Origin(how, run.id),
    )


def fork(state: State, turn: Turn, command: ForkRun) -> Steps:
    """A new run with the first entries of another's journal, which then goes its own way."""
    run = yield from find(state, turn, command.run_id)
    if run is None:
        _reject(turn, command.token, unknown_run(command.run_id))
        return
    journal = yield from journal_of(turn, run.id)
    first, last = journal[0].index, journal[-1].index
    if not first < command.at <= last:
        error = InvalidInput(
            f"run {run.id} can't be forked at {command.at}",
            why=f"its journal goes from entry {first} to entry {last}",
            fix=f"fork at {first + 1} to {last}: the entries before that are kept",
        )
        _reject(turn, command.token, error)
        return
    bodies = [entry.body for entry in journal if entry.index < command.at]
    new = _successor(run, command.new_id, "fork")
    new.next_index = first
    for body in bodies:
        if isinstance(body, Started | AttemptBegan):
            new.attempt, new.generation = body.attempt, body.generation
            new.life += 1
    if isinstance(bodies[-1], AttemptEnded):
        new.attempt += 1
        new.generation += bodies[-1].compensated
        bodies.append(AttemptBegan(new.attempt, new.generation))
    create(state, turn, new, [_seeded(bodies[0], run), *bodies[1:]])
    turn.effects.append(Reply(command.token, Submitted(new.id, is_new=True)))
