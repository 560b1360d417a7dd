"""Each invariant notices when it is broken: one that can't fail watches nothing."""

from collections.abc import Callable

import pytest
from msgspec import Raw

from agnt5.core.engine.invariants import check, check_journal, check_turn
from agnt5.core.engine.state import Turn
from agnt5.core.journal.entry import AttemptBegan, Body, Ended, Entry, Started
from agnt5.core.model.run import Run, Status, Timer, Waiting
from unit.core.engine import asks
from unit.core.engine.driver import START, Driver

A_START = Started("checkout", Raw(b"1"))
THE_END = Ended(Status.COMPLETED, Raw(b"1"))


@pytest.fixture
def engine() -> Driver:
    """An engine with a run at work and one that waits, warm."""
    engine = Driver()
    engine.hello("w1", "checkout")
    engine.submit()
    engine.report(engine.submit(), asks.park((START + 1, 0)))
    engine.submit("nobody has it")
    return engine


def at_work(engine: Driver) -> Run:
    return next(run for run in engine.state.runs.values() if run.status is Status.RUNNING)


def parked(engine: Driver) -> Run:
    return next(run for run in engine.state.runs.values() if run.is_parked)


def queued(engine: Driver) -> Run:
    return next(run for run in engine.state.runs.values() if run.is_listed)


BREAKS: dict[str, Callable[[Driver], object]] = {
    "held by a worker that isn't there": lambda engine: engine.state.workers.clear(),
    "isn't among the runs of its worker": lambda engine: engine.state.workers["w1"].runs.pop(at_work(engine).id),
    "held though it can't go on": lambda engine: setattr(at_work(engine), "status", Status.BLOCKED),
    "never claimed": lambda engine: setattr(at_work(engine), "epoch", 0),
    "runs nowhere": lambda engine: setattr(at_work(engine), "worker", None),
    "runs and waits at once": lambda engine: setattr(at_work(engine), "is_parked", True),
    "a restart would not take it up": lambda engine: setattr(at_work(engine), "is_stored_suspended", True),
    "waits warm with nobody": lambda engine: setattr(parked(engine), "worker", None),
    "has ended at no time": lambda engine: setattr(queued(engine), "status", Status.COMPLETED),
    "doesn't say why": lambda engine: setattr(queued(engine), "status", Status.BLOCKED),
    "timers out of order": lambda engine: setattr(
        parked(engine), "waiting", Waiting((Timer(START + 2, 0), Timer(START + 1, 1)))
    ),
    "counts 2 runs at work and has 1": lambda engine: setattr(engine.state.workers["w1"], "active", 2),
    "has a place in the queue and isn't in it": lambda engine: engine.state.ready.clear(),
    "waits, and isn't in memory": lambda engine: engine.state.parked.update({"gone": START}),
    "in the list of those that wait, and doesn't": lambda engine: engine.state.parked.update(
        {at_work(engine).id: START}
    ),
    "is written down, and would be again": lambda engine: setattr(parked(engine), "is_stored_suspended", True),
    "oldest first": lambda engine: engine.state.parked.update({at_work(engine).id: 0}),
}


@pytest.mark.parametrize("said", BREAKS)
def test_a_broken_rule_of_memory_is_named(engine: Driver, said: str):
    """The message says which rule it is."""
    check(engine.state)

    BREAKS[said](engine)

    with pytest.raises(AssertionError) as caught:
        check(engine.state)
    assert said in str(caught.value)


def test_memory_without_fault_passes(engine: Driver):
    """What the engine leaves behind is in order."""
    check(engine.state)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], "at least the entry of its start"),
        ([(0, 0, THE_END)], "begins with the start"),
        ([(0, 0, A_START), (2, 0, THE_END)], "gap"),
        ([(0, 5, A_START), (1, 4, THE_END)], "back in time"),
        ([(0, 0, A_START), (1, 0, THE_END), (2, 0, asks.step(0))], "follows the end"),
        ([(0, 0, A_START), (1, 0, asks.step(0)), (2, 0, asks.step(0))], "two outcomes"),
    ],
)
def test_a_broken_rule_of_a_journal_is_named(entries: list[tuple[int, int, Body]], said: str):
    """Gaps, time that goes back, entries after the end, a second outcome."""
    with pytest.raises(AssertionError, match=said):
        check_journal([Entry(*entry) for entry in entries])


def test_a_new_attempt_numbers_its_operations_anew():
    """The same number in the next attempt is another operation."""
    bodies: list[Body] = [A_START, asks.step(0), AttemptBegan(2), asks.step(0), THE_END]

    check_journal([Entry(index, index, body) for index, body in enumerate(bodies)])


@pytest.mark.parametrize("second", [Entry(2, 5, asks.step(1)), Entry(1, 4, asks.step(1))])
def test_a_broken_rule_of_a_turn_is_named(second: Entry):
    """What one batch writes of a run has no gap and no step back in time."""
    turn = Turn(START)
    run_id = Driver().new_id()
    turn.entries += [(run_id, Entry(0, 5, asks.step(0))), (run_id, second)]

    with pytest.raises(AssertionError, match=r"gap|back in time"):
        check_turn(turn)
