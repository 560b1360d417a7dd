"""Events are resolved once for all who wait; signals are kept for the run until it takes them."""

import pytest
from msgspec import Raw

from agnt5 import ConflictError, UnknownRun
from agnt5.core.engine.commands import SendEvent
from agnt5.core.journal.entry import Fired, Kind, Outcome, Signal
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Status
from agnt5.core.protocol.messages import Release
from unit.core.engine import asks
from unit.core.engine.driver import ONE, SECOND, START, Driver

TWO = Raw(b"2")


@pytest.fixture
def engine() -> Driver:
    """An engine with one worker."""
    engine = Driver()
    engine.hello("w1", "checkout")
    return engine


def cold(engine: Driver, run_id: RunId, *timers: tuple[int, int], on: tuple[tuple[str, str], ...] = ()) -> None:
    """Have the run wait for these, in nobody's memory."""
    engine.report(run_id, asks.park(*timers, on=on))
    engine.report(run_id, Release())
    assert run_id not in engine.state.runs


def test_the_first_payload_wins(engine: Driver):
    """The same again changes nothing; another one is a conflict that names the event."""
    assert engine.send_event("paid", ONE).changed is True
    assert engine.send_event("paid", ONE).changed is False

    answer = engine.send_event("paid", TWO)

    assert isinstance(answer, ConflictError)
    assert answer.event_id == "paid"  # type: ignore[attr-defined]


def test_within_one_batch_the_first_payload_wins_too(engine: Driver):
    """Nothing is committed yet, and still the second is told of the first."""
    tokens = engine.token(), engine.token(), engine.token()

    engine.turn(*(SendEvent(token, "paid", payload) for token, payload in zip(tokens, (ONE, TWO, ONE), strict=True)))

    first, second, third = (engine.answers[token] for token in tokens)
    assert (first.changed, third.changed) == (True, False)
    assert isinstance(second, ConflictError)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (b'{"a":1,"b":[2]}', b'{"b":[2],"a":1}', True),
        (b"[1,2]", b"[2,1]", False),
        (b"1", b"1.0", False),
        (b"1180591620717411303424", b"1180591620717411303425", False),
        (b'{"$set":[1]}', b'{"$tuple":[1]}', False),
        (b"null", b"{}", False),
    ],
)
def test_the_same_payload_is_told_by_its_value(engine: Driver, one: bytes, other: bytes, is_same: bool):
    """Members of an object have no order; everything else tells two payloads apart."""
    engine.send_event("e", Raw(one))

    answer = engine.send_event("e", Raw(other))

    assert isinstance(answer, ConflictError) is not is_same


def test_every_waiter_gets_the_event(engine: Driver):
    """Warm, cold, or in the middle of something else; each once, and none twice."""
    warm, asleep, busy = (engine.submit() for _ in range(3))
    for run_id in (warm, asleep, busy):
        engine.report(run_id, asks.await_event(0, "paid"))
    engine.report(warm, asks.park(on=(("event", "paid"),)))
    cold(engine, asleep, on=(("event", "paid"),))

    engine.send_event("paid", TWO)
    engine.send_event("paid", TWO)

    for run_id in (warm, asleep, busy):
        assert engine.bodies(run_id, Outcome) == [Outcome(0, asks.key(0), Kind.EVENT, "paid", result=TWO)]
        assert engine.status(run_id) is Status.RUNNING


def test_an_event_is_there_for_those_who_come_later(engine: Driver):
    """An event that came before the wait answers it at once."""
    engine.send_event("paid", TWO)
    run_id = engine.submit()

    engine.report(run_id, asks.await_event(0, "paid"))

    assert engine.bodies(run_id, Outcome) == [Outcome(0, asks.key(0), Kind.EVENT, "paid", result=TWO)]


def test_an_event_and_its_wait_in_one_batch_meet(engine: Driver):
    """In either order."""
    first, second = engine.submit(), engine.submit()

    engine.turn(engine.message(first, asks.await_event(0, "a")), SendEvent(engine.token(), "a", ONE))
    engine.turn(SendEvent(engine.token(), "b", ONE), engine.message(second, asks.await_event(0, "b")))

    assert len(engine.bodies(first, Outcome)) == len(engine.bodies(second, Outcome)) == 1


def test_an_event_finds_its_waiters_after_a_restart(engine: Driver):
    """Who waits is as durable as what is waited for."""
    run_id = engine.submit()
    engine.report(run_id, asks.await_event(0, "paid"))
    cold(engine, run_id, on=(("event", "paid"),))
    engine.restart()

    engine.send_event("paid")
    engine.hello("w2", "checkout")

    assert engine.held[run_id][0] == "w2"
    assert len(engine.bodies(run_id, Outcome)) == 1


def test_a_run_that_is_over_misses_an_event(engine: Driver):
    """Nothing follows its end."""
    run_id = engine.submit()
    engine.report(run_id, asks.await_event(0, "paid"), asks.completed())

    assert engine.send_event("paid").changed
    assert engine.bodies(run_id, Outcome) == []


def test_signals_are_kept_in_their_order(engine: Driver):
    """They are entries from the moment they are accepted, whether anybody waits or not."""
    run_id = engine.submit()

    for number in range(3):
        engine.signal(run_id, "go", Raw(str(number).encode()))

    assert engine.bodies(run_id, Signal) == [Signal("go", Raw(str(number).encode())) for number in range(3)]


def test_a_signal_wakes_who_waits_for_it(engine: Driver):
    """And only for that name."""
    run_id = engine.submit()
    cold(engine, run_id, on=(("signal", "go"),))

    engine.signal(run_id, "stop")
    assert engine.status(run_id) is Status.SUSPENDED

    engine.signal(run_id, "go")
    assert engine.status(run_id) is Status.RUNNING


def test_a_signal_reaches_a_run_before_its_start(engine: Driver):
    """A run that was submitted for later finds it."""
    run_id = engine.submit(start_at=START + 60 * SECOND)

    engine.signal(run_id, "go")

    assert engine.bodies(run_id, Signal) == [Signal("go", ONE)]
    assert engine.status(run_id) is Status.QUEUED


def test_a_signal_doesnt_hurry_a_retry(engine: Driver):
    """The next attempt starts at its time, and finds it then."""
    run_id = engine.submit()
    engine.report(run_id, asks.again(START + 5 * SECOND))

    engine.signal(run_id, "go")
    assert engine.status(run_id) is Status.SUSPENDED

    engine.pass_time(5)
    assert engine.status(run_id) is Status.RUNNING


def test_a_signal_to_a_run_that_is_over_is_a_conflict(engine: Driver):
    """And to one that never was, an unknown run."""
    run_id = engine.submit()
    engine.report(run_id, asks.completed())

    assert isinstance(engine.signal(run_id, "go"), ConflictError)
    assert isinstance(engine.signal(RunId("f" * 32), "go"), UnknownRun)


def test_what_is_due_fires_before_a_signal_and_only_once(engine: Driver):
    """A signal that overtakes the clock finds the timers fired, in order, and the run awake."""
    run_id = engine.submit()
    cold(engine, run_id, (START + SECOND, 0), (START + 2 * SECOND, 1), (START + 9 * SECOND, 2))
    engine.now = START + 3 * SECOND

    engine.signal(run_id, "unrelated")
    engine.pass_time(1)

    assert [type(body) for body in engine.bodies(run_id)[1:]] == [Fired, Fired, Signal]
    assert [body.n for body in engine.bodies(run_id, Fired)] == [0, 1]  # type: ignore[union-attr]
    assert engine.status(run_id) is Status.RUNNING
