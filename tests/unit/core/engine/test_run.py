"""The life of a run: who has it, what is written of it, and that a restart finds it where it is."""

import pytest

from agnt5.core.engine.commands import Sweep
from agnt5.core.engine.effects import Claimed
from agnt5.core.journal.entry import CancelRequested, Fired, Outcome, Signal
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Status
from agnt5.core.protocol.messages import Release
from unit.core.engine import asks
from unit.core.engine.driver import SECOND, START, Driver


@pytest.fixture
def engine() -> Driver:
    """An engine with one worker."""
    engine = Driver()
    engine.hello("w1", "checkout")
    return engine


@pytest.fixture
def run_id(engine: Driver) -> RunId:
    """A run that the worker holds."""
    return engine.submit()


def test_a_new_run_is_claimed_with_its_journal(engine: Driver):
    """Where there is room nothing is read back that was just written."""
    effects = engine.turn(engine.submission())

    [claimed] = [effect for effect in effects if isinstance(effect, Claimed)]
    assert claimed.epoch == 1
    assert claimed.entries is not None
    assert [entry.index for entry in claimed.entries] == [0]


def test_time_in_a_journal_never_goes_back(engine: Driver, run_id: RunId):
    """The machine's clock may jump; entries don't."""
    engine.now -= 100 * SECOND

    engine.report(run_id, asks.step(0))

    assert [entry.at for entry in engine.journal(run_id)] == [START, START]


def test_what_is_due_is_fired_before_what_comes_after(engine: Driver, run_id: RunId):
    """An entry stamped t follows every announced timer that is due by t."""
    engine.report(run_id, asks.park((START + SECOND, 0), (START + 3 * SECOND, 1), on=(("signal", "go"),)))
    engine.now = START + 2 * SECOND

    engine.signal(run_id, "go")
    engine.pass_time(5)

    assert [type(body) for body in engine.bodies(run_id)[1:]] == [Fired, Signal]
    assert engine.status(run_id) is Status.RUNNING


def wait_open(engine: Driver, run_id: RunId) -> None:
    """The body waits, and may be doing other things beside that."""
    engine.report(run_id, asks.park(on=(("sleep", "sleep"),), is_open=True))


def be_awaited(engine: Driver, run_id: RunId) -> None:
    """Another run awaits this one by its handle, which is noted in its record."""
    other = engine.submit()
    engine.report(other, asks.await_run(0, run_id))
    assert engine.stored(run_id).awaited


def test_a_function_that_waits_is_running_for_a_restart(engine: Driver, run_id: RunId):
    """Its body is nowhere but in its process; it must not wait for what nobody will say."""
    wait_open(engine, run_id)
    be_awaited(engine, run_id)

    engine.restart()
    engine.hello("w2", "checkout")

    assert engine.held[run_id] == ("w2", 2)


@pytest.mark.parametrize("wake", ["signal", "timer", "event", "cancel"])
def test_a_run_that_was_woken_is_running_for_a_restart(engine: Driver, run_id: RunId, wake: str):
    """What its record says never lags behind what woke it, whatever was noted in it meanwhile."""
    engine.report(run_id, asks.await_event(0, "e"))
    engine.report(run_id, asks.park((START + 5 * SECOND, 0), on=(("signal", "go"), ("event", "e"))))
    be_awaited(engine, run_id)
    if wake == "signal":
        engine.signal(run_id, "go")
    elif wake == "timer":
        engine.pass_time(5)
    elif wake == "event":
        engine.send_event("e")
    else:
        engine.cancel(run_id)

    engine.restart()
    engine.hello("w2", "checkout")
    engine.pass_time(1)

    assert engine.held[run_id] == ("w2", 2)
    woke = engine.bodies(run_id, Signal, Fired, Outcome, CancelRequested)
    assert len(woke) == 1, "and what woke it came once"


@pytest.mark.parametrize("is_swept", [True, False])
def test_a_run_that_waits_is_found_by_what_it_waits_for(engine: Driver, run_id: RunId, is_swept: bool):
    """After a restart it waits on or is replayed, and its timer fires once either way."""
    engine.report(run_id, asks.park((START + 5 * SECOND, 0)))
    if is_swept:
        engine.turn(Sweep(engine.now))
    be_awaited(engine, run_id)

    engine.restart()
    engine.hello("w2", "checkout")
    assert (engine.held[run_id] == ("w1", 1)) is is_swept
    if not is_swept:
        engine.report(run_id, asks.park((START + 5 * SECOND, 0)))
    engine.pass_time(5)

    assert engine.held[run_id] == ("w2", 2)
    assert [body.n for body in engine.bodies(run_id, Fired)] == [0]  # type: ignore[union-attr]


def test_an_ended_run_is_forgotten(engine: Driver, run_id: RunId):
    """Memory holds what is active; all else is in the store alone."""
    asleep = engine.submit()
    engine.report(asleep, asks.park((START + SECOND, 0)))
    engine.report(asleep, Release())

    engine.report(run_id, asks.completed())

    assert engine.state.runs == {}
    assert engine.state.parked == {}


def test_a_refused_batch_changes_nothing_in_the_store(engine: Driver, run_id: RunId):
    """What is ahead of the store is thrown away with the memory, and taken up again from there."""
    before = engine.journal(run_id)

    def refuse(batch: object) -> None:
        raise OSError("no space")

    engine.store.before_commit = refuse
    with pytest.raises(OSError, match="no space"):
        engine.report(run_id, asks.step(0))
    engine.store.before_commit = None
    engine.restart()
    engine.hello("w2", "checkout")

    assert engine.journal(run_id) == before
    engine.report(run_id, asks.step(0))
    assert len(engine.journal(run_id)) == len(before) + 1
