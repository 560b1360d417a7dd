"""The life of one run: created, claimed, waiting, woken, ended.

                   claim                     end
    QUEUED ------------------> RUNNING ------------> COMPLETED, FAILED, CANCELLED
      ^                        |  ^  |
      |   lose, wake (cold)    |  |  | block
      +----------<-------------+  |  +------> BLOCKED --- resume ---> QUEUED
      |                      park |wake (warm)
      +--- wake (cold) --- SUSPENDED

The fence. Every claim raises `epoch`, and every later message of that claim carries it. A message
with an older epoch changes nothing and is refused.

A suspended run is warm (a worker has it in memory, parked) or cold (nobody has). The warm one is
given its entries; the cold one goes back to the queue and is replayed from its journal.
"""

from collections import deque

from agnt5.core.engine.commands import RunOver, TellWaiters, Waiter
from agnt5.core.engine.effects import Blocked, Claimed
from agnt5.core.engine.effects import Ended as EndedEffect
from agnt5.core.engine.state import READY_MAX, State, Turn, Worker, clear_waiting
from agnt5.core.journal.entry import AttemptBegan, Body, Ended, Entry, Fired, Kind
from agnt5.core.model.errors import RunBlockedError
from agnt5.core.model.failures import failure_of
from agnt5.core.model.run import WAKE, Failure, Run, Status, Waiting


def create(state: State, turn: Turn, run: Run, bodies: list[Body]) -> None:
    """A run exists, with these entries; it runs as soon as it may."""
    assert run.id not in state.runs, f"run {run.id} is created twice"
    state.runs[run.id] = run
    run.created_at = run.created_at or turn.now
    turn.create(run)
    entries = [append(state, turn, run, body) for body in bodies]
    if run.wake_at:
        turn.arm(run)
        return
    queue = state.ready.get(run.component)
    worker = None if queue or run.component in state.overflowing else choose_worker(state, run)
    if worker is not None:
        claim(state, turn, run, worker, entries)
    else:
        enqueue(state, run)


def append(state: State, turn: Turn, run: Run, body: Body, at: int | None = None) -> Entry:
    """Write the next entry of the run's journal, after every announced timer that is due before it.

    Args:
        at: The time it is stamped with, in microseconds since the epoch, where that isn't now.
    """
    stamp = max(turn.now if at is None else at, run.stamp)
    timers = run.waiting.timers
    if timers and timers[0].due <= stamp:
        fire(state, turn, run, stamp)
    return _write(state, turn, run, body, stamp)


def fire(state: State, turn: Turn, run: Run, stamp: int) -> None:
    """Append that timers of a waiting run have come due, in the order (due, n)."""
    waiting = run.waiting
    due = [timer for timer in waiting.timers if timer.due <= stamp]
    run.waiting = Waiting(waiting.timers[len(due) :], waiting.on, waiting.since)
    for timer in due:
        if timer.n != WAKE:
            _write(state, turn, run, Fired(timer.n, timer.due, timer.label, timer.site), stamp)


def _write(state: State, turn: Turn, run: Run, body: Body, stamp: int) -> Entry:
    assert stamp >= run.stamp, "entries of a run never go back in time"
    entry = Entry(run.next_index, stamp, body)
    run.next_index += 1
    run.stamp = stamp
    turn.entries.append((run.id, entry))
    if run.worker is not None:
        if run.is_parked:
            unpark(state, turn, run)
        turn.deliver(run, entry)
    return entry


# To and from a worker


def enqueue(state: State, run: Run) -> None:
    """Put the run into the ready queue; where that is full, the store keeps it for later."""
    run.status = Status.QUEUED
    queue = state.ready.setdefault(run.component, deque())
    if run.component in state.overflowing or len(queue) >= READY_MAX:
        state.overflowing.add(run.component)
        return
    run.is_listed = True
    state.runs[run.id] = run
    queue.append(run.id)


def requeue(state: State, turn: Turn, run: Run) -> None:
    """The run can go on, and nobody holds it."""
    assert run.worker is None, "a run in the queue is held by nobody"
    clear_waiting(run)
    run.is_stored_suspended = False
    enqueue(state, run)
    turn.change(run)


def choose_worker(state: State, run: Run) -> Worker | None:
    """The worker that should have this run: where it was submitted, else its code's, else the least loaded."""
    best: tuple[tuple[bool, int], Worker] | None = None
    for worker in state.workers.values():
        component = worker.components.get(run.component)
        if component is None or worker.active >= worker.capacity:
            continue
        if worker.id == run.prefer:
            return worker
        rank = (component.code != run.code, worker.active)
        if best is None or rank < best[0]:
            best = rank, worker
    return best[1] if best else None


def claim(state: State, turn: Turn, run: Run, worker: Worker, entries: list[Entry] | None) -> None:
    """Give the run to a worker, with its journal where that is at hand."""
    assert run.worker is None and not run.status.is_terminal, "only a live run that nobody holds is claimed"
    run.epoch += 1
    run.status = Status.RUNNING
    run.worker = worker.id
    run.is_listed = False
    run.started_at = run.started_at or turn.now
    run.code = worker.components[run.component].code
    worker.active += 1
    worker.runs[run.id] = None
    turn.effects.append(Claimed(worker.id, run.id, run.epoch, run.component, entries))
    turn.change(run)


def release(state: State, turn: Turn, run: Run) -> None:
    """The worker holds the run no more; what becomes of it is the caller's to say."""
    worker = state.workers.get(run.worker) if run.worker is not None else None
    if worker is not None:
        worker.runs.pop(run.id, None)
        if not run.is_parked:
            worker.active -= 1
    run.worker = None
    run.is_parked = False
    state.parked.pop(run.id, None)
    turn.touched[run.id] = run


def park(state: State, turn: Turn, run: Run, waiting: Waiting, *, is_open: bool = False) -> None:
    """The body waits, warm. The store is told only if that lasts (`suspend`), and not of an open one."""
    assert run.worker is not None, "only a run that a worker holds is parked"
    if not run.is_parked:
        state.workers[run.worker].active -= 1
    if not is_open and not run.is_stored_suspended:
        state.parked.setdefault(run.id, turn.now)
    run.is_parked = True
    run.is_open = is_open
    run.status = Status.SUSPENDED
    run.waiting = waiting
    run.wake_at = waiting.timers[0].due if waiting.timers else 0
    turn.arm(run)


def unpark(state: State, turn: Turn, run: Run) -> None:
    """Something for the waiting body has come, and its worker has it in memory."""
    assert run.worker is not None and run.is_parked, "only a parked run is unparked"
    state.workers[run.worker].active += 1
    state.parked.pop(run.id, None)
    run.is_parked = False
    run.status = Status.RUNNING
    clear_waiting(run)
    if run.is_stored_suspended:
        # A restart takes up what is stored as running, and nothing else.
        run.is_stored_suspended = False
        turn.change(run)


def suspend(turn: Turn, run: Run) -> None:
    """Let the store know that the run waits, so that a restart need not replay it."""
    run.status = Status.SUSPENDED
    run.is_stored_suspended = True
    turn.change(run)
    turn.arm(run)


def wake(state: State, turn: Turn, run: Run) -> None:
    """Something for the waiting body has come: a cold run goes back to the queue."""
    if run.worker is None and run.status is Status.SUSPENDED and not run.waiting.retry:
        requeue(state, turn, run)


def lose(state: State, turn: Turn, run: Run) -> None:
    """The worker is gone, or has dropped the run."""
    is_waiting = run.is_parked and not run.is_open
    release(state, turn, run)
    if is_waiting:
        suspend(turn, run)
    elif run.idempotent:
        requeue(state, turn, run)
    else:
        block(state, turn, run, interrupted(run))


def interrupted(run: Run) -> Failure:
    """Why a run that may not run twice waits for a human."""
    return failure_of(
        RunBlockedError(
            f"run {run.id} of {run.component!r} lost its worker while it ran, and may not run again",
            why="the component is declared idempotent=False, and whether its effect took place is unknown",
            fix=f"look at the effect, then `agnt5 runs resume {run.id}` to run it again or `cancel` to give it up",
            run_id=run.id,
        )
    )


# Ends


def end(state: State, turn: Turn, run: Run, body: Ended) -> None:
    """The run has its outcome, and who waits for it is told."""
    assert not run.status.is_terminal, f"run {run.id} ends twice"
    release(state, turn, run)
    run.waiting = Waiting()
    append(state, turn, run, body)
    run.status = body.status
    run.ended_at = run.stamp
    run.wake_at = 0
    run.is_listed = False
    run.is_stored_suspended = False
    turn.change(run)
    turn.effects.append(EndedEffect(run.id, body.status, body.result, body.error))
    link = run.link
    if link is not None and link.called:
        waiter = Waiter(f"run:{run.id}", link.run, link.life, link.op, link.key, link.scope)
        turn.told.append(RunOver(waiter, Kind.CALL, run.id, run.component, body.status, body.result, body.error))
    if run.awaited:
        turn.told.append(TellWaiters(run.id, run.component, body.status, body.result, body.error))


def block(state: State, turn: Turn, run: Run, error: Failure) -> None:
    """The run waits for a human, with all it has."""
    release(state, turn, run)
    run.status = Status.BLOCKED
    run.is_listed = False
    run.is_stored_suspended = False
    run.wake_at = 0
    run.waiting = Waiting(since=turn.now, blocked=error)
    turn.change(run)
    turn.effects.append(Blocked(run.id, error))


def begin_attempt(state: State, turn: Turn, run: Run) -> None:
    """The body is to be run from the top again."""
    run.attempt += 1
    run.life += 1
    append(state, turn, run, AttemptBegan(run.attempt, run.generation))
