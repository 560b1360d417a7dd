"""What holds of the engine's memory after every batch, whatever the commands were.

Each rule is checked for its own sake: a test or a simulation calls `check` after each turn, and
the first rule that doesn't hold is named with the run it doesn't hold for.
"""

from collections.abc import Sequence

from agnt5.core.engine.state import State, Turn
from agnt5.core.journal.entry import AttemptBegan, Begun, Ended, Entry, Kind, Outcome, Started
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Run, Status


def check(state: State) -> None:
    """See that every rule holds.

    Raises:
        AssertionError: One doesn't; it says which, and for which run or worker.
    """
    for run in state.runs.values():
        _check_run(state, run)
    _check_workers(state)
    _check_queues(state)
    _check_parked(state)


def _check_run(state: State, run: Run) -> None:
    where = f"run {run.id} ({run.status.value})"
    if run.worker is not None:
        worker = state.workers.get(run.worker)
        assert worker is not None, f"{where} is held by a worker that isn't there"
        assert run.id in worker.runs, f"{where} isn't among the runs of its worker"
        assert run.status in (Status.RUNNING, Status.SUSPENDED), f"{where} is held though it can't go on"
        assert run.epoch > 0, f"{where} is held though it was never claimed"
    if run.status is Status.RUNNING:
        assert run.worker is not None, f"{where} runs nowhere"
        assert not run.is_parked, f"{where} runs and waits at once"
        assert not run.is_stored_suspended, f"{where} runs, and a restart would not take it up"
    if run.is_parked:
        assert run.worker is not None, f"{where} waits warm with nobody"
        assert run.status is Status.SUSPENDED, f"{where} is parked though it doesn't wait"
    if run.status.is_terminal:
        assert run.worker is None, f"{where} has ended and is held"
        assert run.ended_at, f"{where} has ended at no time"
        assert not run.wake_at, f"{where} has ended and is to be woken"
    if run.status is Status.BLOCKED:
        assert run.waiting.blocked is not None, f"{where} doesn't say why"
    if run.waiting.timers:
        due = [timer.due for timer in run.waiting.timers]
        assert due == sorted(due), f"{where} has timers out of order"


def _check_workers(state: State) -> None:
    for worker in state.workers.values():
        held = [state.runs[run_id] for run_id in worker.runs]
        assert all(run.worker == worker.id for run in held), f"worker {worker.id} has runs that others hold"
        at_work = sum(not run.is_parked for run in held)
        assert worker.active == at_work, f"worker {worker.id} counts {worker.active} runs at work and has {at_work}"


def _check_queues(state: State) -> None:
    listed = {run_id for queue in state.ready.values() for run_id in queue}
    for run in state.runs.values():
        if run.is_listed:
            assert run.id in listed, f"run {run.id} has a place in the queue and isn't in it"
            assert run.worker is None, f"run {run.id} is queued and held"


def _check_parked(state: State) -> None:
    stamps = list(state.parked.values())
    assert stamps == sorted(stamps), "runs that wait are written down oldest first"
    for run_id in state.parked:
        run = state.runs.get(run_id)
        assert run is not None, f"run {run_id} waits, and isn't in memory"
        assert run.is_parked, f"run {run_id} is in the list of those that wait, and doesn't"
        assert not run.is_stored_suspended, f"run {run_id} is written down, and would be again"


def check_turn(turn: Turn) -> None:
    """See that what a turn writes is in order."""
    last: dict[RunId, Entry] = {}
    for run_id, entry in turn.entries:
        before = last.get(run_id)
        if before is not None:
            assert entry.index == before.index + 1, f"run {run_id} has a gap before entry {entry.index}"
            assert entry.at >= before.at, f"run {run_id} goes back in time at entry {entry.index}"
        last[run_id] = entry


def check_journal(entries: Sequence[Entry]) -> None:
    """See that the journal of one run is one that the engine can have written."""
    assert entries, "a run has at least the entry of its start"
    assert isinstance(entries[0].body, Started), "a journal begins with the start"
    finished: set[int] = set()
    for position, entry in enumerate(entries):
        body = entry.body
        if position:
            before = entries[position - 1]
            assert entry.index == before.index + 1, f"there is a gap before entry {entry.index}"
            assert entry.at >= before.at, f"entry {entry.index} goes back in time"
            assert not isinstance(before.body, Ended), f"entry {entry.index} follows the end"
        if isinstance(body, AttemptBegan):
            finished.clear()
        elif isinstance(body, Outcome) and body.op >= 0 and not body.scope:
            assert body.op not in finished, f"operation {body.op} has two outcomes, the second at entry {entry.index}"
            finished.add(body.op)
        elif isinstance(body, Begun) and body.op >= 0 and not body.scope and body.kind is not Kind.STEP:
            assert body.op not in finished, f"operation {body.op} begins after its outcome, at entry {entry.index}"
