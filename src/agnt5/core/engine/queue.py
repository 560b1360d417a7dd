"""Who works on what: workers come and go, and queued runs are given to those that have room.

Fair between components: each gives one run in turn, so that a long queue of one can't starve
another. Within a component the first in is the first out.
"""

from agnt5.core.engine.commands import Due, Recover, Refill, Submit, Sweep
from agnt5.core.engine.effects import Reject, Reply, Submitted
from agnt5.core.engine.events import other_input
from agnt5.core.engine.run import (
    begin_attempt,
    block,
    choose_worker,
    claim,
    create,
    enqueue,
    fire,
    interrupted,
    lose,
    requeue,
    suspend,
    unpark,
    wake,
)
from agnt5.core.engine.state import KeyUse, NeedBlocked, State, Steps, Turn, Worker, clear_waiting, find, find_use
from agnt5.core.journal.entry import Started
from agnt5.core.model.errors import NonDeterminismError, RunBlockedError
from agnt5.core.model.failures import failure_of, is_type
from agnt5.core.model.run import Failure, Run, Status
from agnt5.core.protocol.messages import ComponentInfo, Goodbye, Hello, Register

CRASHES_MAX = 10  # After so many deaths of its worker in a row, a run alone on it is blocked.


def submit(state: State, turn: Turn, command: Submit) -> Steps | None:
    """A caller wants a run."""
    if command.idempotency_key:
        return _submit_once(state, turn, command)
    _create(state, turn, command)
    turn.effects.append(Reply(command.token, Submitted(command.run_id, is_new=True)))
    return None


def _submit_once(state: State, turn: Turn, command: Submit) -> Steps:
    place = (command.component, command.idempotency_key)
    use = yield from find_use(turn, *place)
    if use is None:
        turn.keys[place] = KeyUse(*place, command.run_id, command.input_digest)
        _create(state, turn, command)
        turn.effects.append(Reply(command.token, Submitted(command.run_id, is_new=True)))
    elif use.input_digest == command.input_digest:
        turn.effects.append(Reply(command.token, Submitted(use.run_id, is_new=False)))
    else:
        turn.effects.append(Reject(command.token, other_input(use)))


def _create(state: State, turn: Turn, command: Submit) -> None:
    run = Run(
        id=command.run_id,
        component=command.component,
        wake_at=command.start_at if command.start_at > turn.now else 0,
        tags=command.tags,
        idempotency_key=command.idempotency_key,
        idempotent=command.idempotent,
        prefer=command.worker,
    )
    create(state, turn, run, [Started(command.component, command.input, options=command.options)])


def dispatch(state: State, turn: Turn) -> None:
    """Give queued runs to workers that have room, one of each component in turn."""
    waiting = [component for component, queue in state.ready.items() if queue]
    while waiting:
        waiting = [component for component in waiting if _dispatch_one(state, turn, component)]


def _dispatch_one(state: State, turn: Turn, component: str) -> bool:
    """Give away the next run of a component; returns whether there may be one more."""
    queue = state.ready[component]
    while queue:
        run = state.runs.get(queue[0])
        if run is None or run.status is not Status.QUEUED or run.worker is not None:
            # Cancelled, or ended otherwise, while it stood in the queue.
            queue.popleft()
            continue
        worker = choose_worker(state, run)
        if worker is None:
            return False
        queue.popleft()
        claim(state, turn, run, worker, None)
        return bool(queue)
    return False


def starving(state: State) -> list[str]:
    """Components whose queue in memory has run dry while the store holds more, and that have a worker."""
    return [
        component
        for component in sorted(state.overflowing)
        if not state.ready.get(component)
        and any(component in worker.components and worker.active < worker.capacity for worker in state.workers.values())
    ]


def refill(state: State, turn: Turn, command: Refill) -> None:
    """More queued runs of a component have been read from the store."""
    state.overflowing.discard(command.component)
    for run in command.runs:
        if run.id not in state.runs:
            enqueue(state, run)
    if not command.is_last:
        state.overflowing.add(command.component)


# Workers


def hello(state: State, turn: Turn, message: Hello) -> Steps:
    """A worker is there."""
    assert message.worker not in state.workers, f"worker {message.worker} says hello twice"
    state.workers[message.worker] = Worker(message.worker, message.capacity, {})
    yield from _offer(state, turn, state.workers[message.worker], message.components)


def register(state: State, turn: Turn, message: Register) -> Steps:
    """A worker offers more components."""
    worker = state.workers.get(message.worker)
    if worker is not None:
        yield from _offer(state, turn, worker, message.components)


def _offer(state: State, turn: Turn, worker: Worker, components: tuple[ComponentInfo, ...]) -> Steps:
    for component in components:
        worker.components[component.name] = component
        if state.known.get(component.name) != component.code:
            state.known[component.name] = component.code
            # Other code than before, or the first since the start: what the code before could not
            # follow is tried again, before anybody can ask for its outcome.
            for run in (yield NeedBlocked(component.name)):
                _unblock(state, turn, state.runs.get(run.id, run))


def _unblock(state: State, turn: Turn, run: Run) -> None:
    blocked = run.waiting.blocked
    if run.status is Status.BLOCKED and blocked is not None and is_type(blocked, NonDeterminismError):
        requeue(state, turn, run)


def goodbye(state: State, turn: Turn, message: Goodbye) -> None:
    """A worker is gone; its runs go to others."""
    worker = state.workers.get(message.worker)
    if worker is None:
        return
    runs = [state.runs[run_id] for run_id in worker.runs]
    for run in runs:
        lose(state, turn, run)
    del state.workers[message.worker]


# Time


def due(state: State, turn: Turn, command: Due) -> Steps:
    """The time that a run waits for may have come."""
    run = yield from find(state, turn, command.run_id)
    if run is None or not run.wake_at or run.status.is_terminal or run.status is Status.RUNNING:
        return
    if run.wake_at > turn.now:
        turn.arm(run)
    elif run.status is Status.QUEUED or run.waiting.retry:
        _start_late(state, turn, run)
    elif run.worker is not None:
        _fire_warm(state, turn, run)
    else:
        fire(state, turn, run, max(turn.now, run.stamp))
        wake(state, turn, run)


def _start_late(state: State, turn: Turn, run: Run) -> None:
    """Start a run that was submitted for later, or the next attempt of one that failed."""
    is_retry = run.waiting.retry
    clear_waiting(run)
    if is_retry:
        begin_attempt(state, turn, run)
    requeue(state, turn, run)


def _fire_warm(state: State, turn: Turn, run: Run) -> None:
    written = run.next_index
    fire(state, turn, run, max(turn.now, run.stamp))
    if run.next_index == written:
        # Nothing for the body: the worker itself wanted to be woken.
        unpark(state, turn, run)
        turn.deliver(run, None)


def sweep(state: State, turn: Turn, command: Sweep) -> None:
    """Write down which warm runs have been waiting for a while."""
    while state.parked:
        run_id, since = next(iter(state.parked.items()))
        if since > command.before:
            break
        del state.parked[run_id]
        suspend(turn, state.runs[run_id])


# Restart


def recover(state: State, turn: Turn, command: Recover) -> None:
    """The runtime is up again: what was running goes on, what may not run twice is blocked."""
    state.overflowing.update(command.queued)
    for run in command.runs:
        assert run.id not in state.runs, "recovery comes before anything else"
        turn.touched[run.id] = run
        run.crashes += command.is_suspect
        if not run.idempotent:
            block(state, turn, run, interrupted(run))
        elif run.crashes >= CRASHES_MAX:
            block(state, turn, run, _poisonous(run))
        else:
            enqueue(state, run)
            if run.crashes or not run.is_listed:
                turn.change(run)


def _poisonous(run: Run) -> Failure:
    return failure_of(
        RunBlockedError(
            f"run {run.id} of {run.component!r} was alone when its process died, {run.crashes} times in a row",
            why="it kills the process that executes it, by exhausting memory, a fault in native code, or an exit",
            fix=f"find what kills it, then `agnt5 runs resume {run.id}`",
            run_id=run.id,
        )
    )
