"""What a worker says is taken if the run is its own, in the order in which it was said."""

import pytest
from msgspec import Raw

from agnt5 import UnknownRun
from agnt5.core.journal.entry import (
    AttemptBegan,
    AttemptEnded,
    Begun,
    CancelRequested,
    Ended,
    Fired,
    Outcome,
    Patched,
    Retrying,
    Signal,
    Started,
)
from agnt5.core.model.failures import is_type
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Status, Timer
from agnt5.core.protocol.messages import Abandon, Ask, Block, Deliver, Fire, Heartbeat, Refuse, Release
from unit.core.engine import asks
from unit.core.engine.driver import SECOND, START, Driver, now_or_never

A_CHILD = RunId("c" * 32)


@pytest.fixture
def engine() -> Driver:
    """An engine with one worker."""
    engine = Driver()
    engine.hello("w1", "checkout", "child")
    return engine


@pytest.fixture
def run_id(engine: Driver) -> RunId:
    """A run that the worker holds."""
    return engine.submit()


def test_what_a_worker_reports_is_appended_and_delivered(engine: Driver, run_id: RunId):
    """A worker learns from the journal what was committed, in the journal's order."""
    engine.report(run_id, asks.step(0), asks.retrying(1, START + SECOND), asks.begun(2), Patched("p"))

    assert [type(body) for body in engine.bodies(run_id)] == [Started, Outcome, Retrying, Begun, Patched]
    delivered = engine.inbox["w1"][-1]
    assert isinstance(delivered, Deliver)
    assert [entry.index for entry in delivered.entries] == [1, 2, 3, 4]


EVERY_ASK: list[Ask] = [
    asks.step(0),
    asks.begun(0),
    asks.retrying(0, START),
    Patched("p"),
    asks.call(0, A_CHILD),
    asks.submit(0, A_CHILD),
    asks.await_run(0, "f" * 32),
    asks.await_event(0, "e"),
    asks.send(0, "event", "e"),
    asks.send(0, "signal", "f" * 32, "s"),
    asks.send(0, "cancel", "f" * 32),
    Fire(Timer(START, 0)),
    Abandon(A_CHILD),
    Heartbeat(asks.key(0), 1, Raw(b"1")),
    asks.park(),
    Release(),
    Block(asks.BROKEN),
    asks.completed(),
    asks.again(START),
    asks.continue_as(),
]


@pytest.mark.parametrize("ask", EVERY_ASK, ids=lambda ask: type(ask).__name__)
@pytest.mark.parametrize("how", ["older epoch", "newer epoch", "other worker", "unknown run", "ended run"])
def test_what_isnt_ones_own_is_refused(engine: Driver, run_id: RunId, ask: Ask, how: str):
    """The fence: a stale or foreign worker changes nothing, whatever it says, and is told to drop the run."""
    worker = "w1"
    if how == "older epoch":
        engine.goodbye("w1")
        engine.hello("w1", "checkout", "child")
        message = engine.message(run_id, ask, epoch=1)
    elif how == "newer epoch":
        message = engine.message(run_id, ask, epoch=2)
    elif how == "other worker":
        worker = engine.hello("w2", "checkout")
        message = engine.message(run_id, ask, worker=worker)
    elif how == "unknown run":
        engine.held[RunId("f" * 32)] = engine.held[run_id]
        message = engine.message(run_id, ask)
        message = type(message)(message.worker, RunId("f" * 32), 1, 0, [ask])
    else:
        message = engine.message(run_id, ask)
        engine.report(run_id, asks.completed())
    before = engine.journal(run_id), engine.run(run_id)
    commits = []
    engine.store.before_commit = commits.append

    engine.turn(message)

    assert engine.inbox[worker][-1] == Refuse(message.run_id, message.epoch)
    assert not commits, "nothing is written"
    assert (engine.journal(run_id), engine.run(run_id)) == before


def test_a_claim_after_a_loss_has_a_new_epoch(engine: Driver, run_id: RunId):
    """A worker that comes back, even under its own name, holds nothing of what it held."""
    engine.goodbye("w1")
    assert engine.status(run_id) is Status.QUEUED

    engine.hello("w1", "checkout")

    assert engine.held[run_id] == ("w1", 2)


def test_an_outcome_never_changes(engine: Driver, run_id: RunId):
    """Only the first end counts; the second finds the run gone."""
    second = engine.message(run_id, asks.failed())

    engine.report(run_id, asks.completed(b"7"))
    engine.turn(second)

    assert engine.ends[run_id].status is Status.COMPLETED
    assert engine.bodies(run_id, Ended) == [Ended(Status.COMPLETED, Raw(b"7"))]


def test_nothing_follows_the_end_in_one_message(engine: Driver, run_id: RunId):
    """What a worker says after the end of a run, in the same breath, is about nobody's run."""
    engine.report(run_id, asks.step(0), asks.completed())

    assert isinstance(engine.bodies(run_id)[-1], Ended)


# Being ahead


def test_a_body_that_was_right_to_go_ahead_is_believed(engine: Driver, run_id: RunId):
    """With `checkpoint_interval`, outcomes keep the time at which the body saw them."""
    engine.now += 10 * SECOND

    engine.report(run_id, asks.step(0, ended=START + 5), asks.step(1, ended=START + 7), is_ahead=True)

    assert [entry.at for entry in engine.journal(run_id)] == [START, START + 5, START + 7]


def test_a_body_that_went_ahead_of_something_else_is_replayed(engine: Driver, run_id: RunId):
    """What it saw isn't what was recorded: its worker drops it, and it starts again from the journal."""
    message = engine.message(run_id, asks.step(0, ended=START), is_ahead=True)
    engine.signal(run_id, "hello")

    engine.turn(message)

    assert engine.bodies(run_id, Outcome) == []
    assert Refuse(run_id, 1) in engine.inbox["w1"]
    assert engine.held[run_id] == ("w1", 2)


# Waiting


def test_a_parked_run_costs_no_room(engine: Driver, run_id: RunId):
    """A worker that is full of waiting runs takes more."""
    engine.report(run_id, asks.park())

    assert engine.status(run_id) is Status.SUSPENDED
    assert engine.state.workers["w1"].active == 0


def test_a_wait_said_too_early_isnt_taken(engine: Driver, run_id: RunId):
    """Something for the body is on its way to it: it would never be woken."""
    message = engine.message(run_id, asks.park(on=(("signal", "go"),)))
    engine.signal(run_id, "go")

    engine.turn(message)

    assert engine.status(run_id) is Status.RUNNING
    assert engine.state.workers["w1"].active == 1


def test_a_released_run_that_waits_stays_waiting(engine: Driver, run_id: RunId):
    """Evicted, it is written down, and costs nobody anything until something comes."""
    engine.report(run_id, asks.park(on=(("event", "e"),)))
    engine.report(run_id, Release())

    assert engine.status(run_id) is Status.SUSPENDED
    assert run_id not in engine.state.runs


def test_a_released_run_that_missed_something_goes_on(engine: Driver, run_id: RunId):
    """What came while the worker was forgetting it isn't lost."""
    engine.report(run_id, asks.park(on=(("signal", "go"),)))
    message = engine.message(run_id, Release())
    engine.signal(run_id, "go")

    engine.turn(message)

    assert engine.held[run_id] == ("w1", 2)


def test_a_released_run_that_was_at_work_goes_on(engine: Driver, run_id: RunId):
    """A draining worker hands back what it can't finish."""
    engine.report(run_id, Release())

    assert engine.held[run_id] == ("w1", 2)


# Time


def test_a_timer_the_worker_saw_first_is_appended_once(engine: Driver, run_id: RunId):
    """The worker's own alarm only asks; the entry is the runtime's."""
    engine.now += SECOND

    engine.report(run_id, Fire(Timer(START + SECOND, 0, "sleep")))
    engine.pass_time(10)

    assert engine.bodies(run_id, Fired) == [Fired(0, START + SECOND, "sleep")]


# Retries


def test_a_failed_attempt_is_followed_by_another(engine: Driver, run_id: RunId):
    """At the time that the policy says, with the attempt counted and the failure on record."""
    engine.report(run_id, asks.again(START + 3 * SECOND))
    engine.pass_time(2)
    assert engine.status(run_id) is Status.SUSPENDED

    engine.pass_time(1)

    assert engine.held[run_id] == ("w1", 2)
    assert engine.bodies(run_id) == [
        engine.bodies(run_id)[0],
        AttemptEnded(1, asks.BROKEN, START + 3 * SECOND),
        AttemptBegan(2, 1),
    ]


def test_a_retry_survives_a_restart(engine: Driver, run_id: RunId):
    """The next attempt starts when it was to start, also by a runtime that knows of it from the store alone."""
    engine.report(run_id, asks.again(START + 3 * SECOND))
    engine.restart()
    engine.hello("w2", "checkout")
    assert engine.held[run_id] == ("w1", 1)

    engine.pass_time(3)

    assert engine.held[run_id] == ("w2", 2)


def test_a_compensated_attempt_starts_a_new_generation(engine: Driver, run_id: RunId):
    """What was undone isn't taken for done."""
    engine.report(run_id, asks.again(START, compensated=True))
    engine.pass_time(1)

    assert engine.bodies(run_id, AttemptBegan) == [AttemptBegan(2, 2)]


def test_a_cancelled_run_isnt_tried_again(engine: Driver, run_id: RunId):
    """A failure that crosses a cancel ends the run as cancelled."""
    message = engine.message(run_id, asks.again(START))
    engine.cancel(run_id)

    engine.turn(message)

    assert engine.ends[run_id].status is Status.CANCELLED


def test_a_failure_that_crosses_a_cancel_ends_cancelled(engine: Driver, run_id: RunId):
    """An acknowledged cancel of a run that doesn't return normally ends as cancelled, whoever was first."""
    message = engine.message(run_id, asks.failed())
    engine.cancel(run_id)

    engine.turn(message)

    assert engine.ends[run_id].status is Status.CANCELLED
    assert engine.ends[run_id].error == asks.BROKEN


def test_a_body_that_returns_in_spite_of_a_cancel_is_completed(engine: Driver, run_id: RunId):
    """With the request noted in its journal."""
    engine.cancel(run_id)

    engine.report(run_id, asks.completed())

    assert engine.ends[run_id].status is Status.COMPLETED
    assert engine.bodies(run_id, CancelRequested) == [CancelRequested()]


# Sending


def test_a_run_resolves_an_event_and_signals_another(engine: Driver, run_id: RunId):
    """Each send has an outcome, once what was sent is as durable as it."""
    other = engine.submit("child")

    engine.report(run_id, asks.send(0, "event", "e"), asks.send(1, "signal", other, "go", b"2"))

    assert [body.error for body in engine.bodies(run_id, Outcome)] == [None, None]  # type: ignore[union-attr]
    assert engine.bodies(other, Signal) == [Signal("go", Raw(b"2"))]
    assert not engine.send_event("e").changed, "the event is resolved"


def test_a_send_that_cant_be_is_an_error_at_the_send(engine: Driver, run_id: RunId):
    """A conflicting event, a signal to a run that is over or was never there."""
    over = engine.submit("child")
    engine.report(over, asks.completed())
    engine.send_event("e", Raw(b"2"))

    engine.report(
        run_id,
        asks.send(0, "event", "e", payload=b"3"),
        asks.send(1, "signal", over, "go"),
        asks.send(2, "signal", "f" * 32, "go"),
    )

    found = [body.error.type for body in engine.bodies(run_id, Outcome)]  # type: ignore[union-attr]
    assert found == ["agnt5:ConflictError", "agnt5:ConflictError", "agnt5:UnknownRun"]


def test_a_cancel_of_no_run_is_an_error_at_the_send(engine: Driver, run_id: RunId):
    """`handle.cancel()` of an unknown run is `UnknownRun` inside a run too."""
    engine.report(run_id, asks.send(0, "cancel", "f" * 32))

    [outcome] = engine.bodies(run_id, Outcome)
    assert is_type(outcome.error, UnknownRun)  # type: ignore[union-attr, arg-type]


def test_a_run_may_cancel_itself(engine: Driver, run_id: RunId):
    """Its own body is interrupted like any other."""
    engine.report(run_id, asks.send(0, "cancel", run_id))

    assert engine.bodies(run_id, CancelRequested) == [CancelRequested()]


# Going on under the same id


def test_continue_as_starts_a_fresh_journal(engine: Driver, run_id: RunId):
    """State and unread signals are carried over, nothing else; the id stays."""
    engine.signal(run_id, "a", Raw(b"1"))
    engine.signal(run_id, "b", Raw(b"2"))
    engine.signal(run_id, "a", Raw(b"3"))
    engine.report(run_id, asks.step(0))

    engine.report(run_id, asks.continue_as(b"9", state={"n": Raw(b"7")}, consumed={"a": 1}))

    assert engine.bodies(run_id) == [
        Started("checkout", Raw(b"9"), 1, 2, state={"n": Raw(b"7")}),
        Signal("b", Raw(b"2")),
        Signal("a", Raw(b"3")),
    ]
    assert engine.held[run_id] == ("w1", 2)


def test_a_signal_that_crosses_continue_as_is_carried_over(engine: Driver, run_id: RunId):
    """Acknowledged is acknowledged: the next generation finds it."""
    message = engine.message(run_id, asks.continue_as())
    engine.signal(run_id, "a")

    engine.turn(message)

    assert engine.bodies(run_id, Signal) == [Signal("a", Raw(b"1"))]


def test_a_cancel_that_crosses_continue_as_reaches_the_next_generation(engine: Driver, run_id: RunId):
    """An acknowledged cancel isn't trimmed away unseen: the next generation is interrupted by it."""
    message = engine.message(run_id, asks.continue_as())
    engine.cancel(run_id)

    engine.turn(message)

    assert engine.bodies(run_id, CancelRequested) == [CancelRequested()]


def test_a_run_that_went_on_after_a_cancel_can_be_cancelled_again(engine: Driver, run_id: RunId):
    """A body that took notice of a cancel and goes on in a next generation isn't immune for ever."""
    engine.cancel(run_id)
    engine.report(run_id, asks.continue_as())

    assert engine.cancel(run_id).changed
    assert engine.bodies(run_id, CancelRequested) == [CancelRequested()]


def test_a_heartbeat_is_kept_for_the_next_attempt(engine: Driver, run_id: RunId):
    """The last one of each step, with the attempt that said it."""
    engine.report(
        run_id, Heartbeat(asks.key(0), 1, Raw(b"1")), Heartbeat(asks.key(0), 1, Raw(b"2"))
    )

    [beat] = now_or_never(engine.store.heartbeats(run_id))
    assert (beat.key, beat.attempt, beat.details) == (asks.key(0), 1, Raw(b"2"))


def test_a_blocked_run_waits_for_a_human(engine: Driver, run_id: RunId):
    """It is given to nobody, and says why."""
    engine.report(run_id, Block(asks.BROKEN))

    assert engine.status(run_id) is Status.BLOCKED
    assert engine.run(run_id).waiting.blocked == asks.BROKEN
    assert [effect.run_id for effect in engine.blocked] == [run_id]
    assert engine.held[run_id] == ("w1", 1)
