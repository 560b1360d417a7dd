"""What a worker says is taken if the run is its own, in the order in which it was said."""

import pytest
from msgspec import Raw

from agnt5 import ConflictError, RunCancelledError, UnknownRun
from agnt5.core.engine.commands import Cancel, SendEvent
from agnt5.core.journal.entry import (
    UNNUMBERED,
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
from agnt5.core.model.failures import is_type
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Status, Timer
from agnt5.core.protocol.messages import Abandon, Ask, AwaitRun, Block, Deliver, Fire, Heartbeat, Refuse, Release
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


# Children


def test_a_child_is_started_and_answers_its_parent(engine: Driver, run_id: RunId):
    """Begun when asked, its outcome is an entry of the parent, under the operation that asked."""
    engine.report(run_id, asks.call(0, A_CHILD))
    assert engine.bodies(run_id)[-1] == Begun(0, asks.key(0), Kind.CALL, "child", A_CHILD, Raw(b"{}"))

    engine.report(A_CHILD, asks.completed(b"5"))

    outcome = engine.bodies(run_id)[-1]
    assert outcome == Outcome(0, asks.key(0), Kind.CALL, "child", A_CHILD, result=Raw(b"5"))


def test_a_failed_child_fails_at_the_call(engine: Driver, run_id: RunId):
    """With its own exception."""
    engine.report(run_id, asks.call(0, A_CHILD))
    engine.report(A_CHILD, asks.failed())

    [outcome] = engine.bodies(run_id, Outcome)
    assert outcome.error == asks.BROKEN  # type: ignore[union-attr]


def test_a_cancelled_child_raises_at_the_call(engine: Driver, run_id: RunId):
    """The parent is told that its child was cancelled, not with what."""
    engine.report(run_id, asks.call(0, A_CHILD))
    engine.cancel(A_CHILD)
    engine.report(A_CHILD, asks.cancelled())

    [outcome] = engine.bodies(run_id, Outcome)
    assert is_type(outcome.error, RunCancelledError)  # type: ignore[union-attr, arg-type]


def test_a_submitted_child_answers_nobody(engine: Driver, run_id: RunId):
    """Its id is the outcome, at once; its end isn't the parent's business."""
    engine.report(run_id, asks.submit(0, A_CHILD))
    engine.report(A_CHILD, asks.completed())

    [outcome] = engine.bodies(run_id, Outcome)
    assert outcome.result == Raw(f'"{A_CHILD}"'.encode())  # type: ignore[union-attr]


def test_a_child_of_an_earlier_attempt_is_no_answer_to_this_one(engine: Driver, run_id: RunId):
    """In a later life the operation's number means something else, so the outcome has none."""
    engine.report(run_id, asks.call(7, A_CHILD))
    engine.report(run_id, asks.again(START))
    engine.pass_time(1)

    engine.report(A_CHILD, asks.completed())

    [outcome] = engine.bodies(run_id, Outcome)
    assert (outcome.op, outcome.key) == (UNNUMBERED, asks.key(7))  # type: ignore[union-attr]


def test_a_child_that_is_awaited_anew_answers_there(engine: Driver, run_id: RunId):
    """A later attempt that asks for the same operation, at another place, is answered where it asked."""
    engine.report(run_id, asks.call(7, A_CHILD))
    engine.report(run_id, asks.again(START))
    engine.pass_time(1)
    engine.report(run_id, AwaitRun(2, asks.key(7), Kind.CALL, "child", A_CHILD))

    engine.report(A_CHILD, asks.completed())

    assert [body.op for body in engine.bodies(run_id, Outcome)] == [2]  # type: ignore[union-attr]


def test_an_abandoned_child_is_cancelled(engine: Driver, run_id: RunId):
    """Nobody awaits it any more."""
    engine.report(run_id, asks.call(0, A_CHILD))

    engine.report(run_id, Abandon(A_CHILD))

    assert engine.run(A_CHILD).is_cancel_requested


def test_nobody_abandons_the_child_of_another(engine: Driver, run_id: RunId):
    """A run found under an idempotency key may have been started by somebody else, who still wants it."""
    other = engine.submit("child", idempotency_key="k", input_digest="d")
    engine.report(run_id, asks.call(0, A_CHILD, idempotency_key="k", input_digest="d"))

    engine.report(run_id, Abandon(other))

    assert not engine.run(other).is_cancel_requested


@pytest.mark.parametrize("end", [asks.completed(abandoned=(A_CHILD,)), asks.again(START, abandoned=(A_CHILD,))])
def test_what_an_attempt_leaves_behind_is_cancelled(engine: Driver, run_id: RunId, end: Ask):
    """Calls that nobody awaits when the attempt ends are cancelled with it."""
    engine.report(run_id, asks.call(0, A_CHILD))

    engine.report(run_id, end)

    assert engine.run(A_CHILD).is_cancel_requested


def test_a_child_under_a_used_key_is_the_run_that_has_it(engine: Driver, run_id: RunId):
    """At most one run per component and key, whoever asks; its outcome answers both."""
    other = engine.submit("child", idempotency_key="k", input_digest="d")

    engine.report(run_id, asks.call(0, A_CHILD, idempotency_key="k", input_digest="d"))
    engine.report(other, asks.completed(b"9"))

    [outcome] = engine.bodies(run_id, Outcome)
    assert (outcome.target, outcome.result) == (other, Raw(b"9"))  # type: ignore[union-attr]


def test_a_child_under_a_key_of_other_input_is_a_conflict(engine: Driver, run_id: RunId):
    """The operation fails; no run is made."""
    engine.submit("child", idempotency_key="k", input_digest="d")

    engine.report(run_id, asks.call(0, A_CHILD, idempotency_key="k", input_digest="other"))

    [outcome] = engine.bodies(run_id, Outcome)
    assert is_type(outcome.error, ConflictError)  # type: ignore[union-attr, arg-type]
    assert A_CHILD not in engine.held


def test_two_children_under_one_key_in_one_batch_are_one_run(engine: Driver, run_id: RunId):
    """Nothing is committed yet, and still there is but one."""
    second = RunId("d" * 32)

    engine.report(
        run_id,
        asks.submit(0, A_CHILD, idempotency_key="k", input_digest="d"),
        asks.submit(1, second, idempotency_key="k", input_digest="d"),
    )

    assert [body.target for body in engine.bodies(run_id, Outcome)] == [A_CHILD, A_CHILD]  # type: ignore[union-attr]
    assert second not in engine.held


# Handles


def test_a_handles_outcome_is_told_when_it_comes(engine: Driver, run_id: RunId):
    """Any run may await any other by its id."""
    other = engine.submit("child")
    engine.report(run_id, asks.await_run(0, other))
    assert engine.bodies(run_id, Outcome) == []

    engine.report(other, asks.completed(b"3"))

    assert engine.bodies(run_id, Outcome) == [
        Outcome(0, asks.key(0), Kind.RESULT, "child", other, result=Raw(b"3")),
    ]


def test_a_handles_outcome_is_told_at_once_where_it_is_over(engine: Driver, run_id: RunId):
    """Also in the batch in which the other run ends."""
    other, third = engine.submit("child"), engine.submit("child")
    engine.report(other, asks.failed())

    engine.turn(
        engine.message(third, asks.completed(b"4")),
        engine.message(run_id, asks.await_run(0, other), asks.await_run(1, third)),
    )

    first, second = engine.bodies(run_id, Outcome)
    assert first.error == asks.BROKEN  # type: ignore[union-attr]
    assert second.result == Raw(b"4")  # type: ignore[union-attr]


def test_a_handle_of_no_run_is_an_error_at_the_await(engine: Driver, run_id: RunId):
    """`UnknownRun`, as an outcome of the operation."""
    engine.report(run_id, asks.await_run(0, "f" * 32))

    [outcome] = engine.bodies(run_id, Outcome)
    assert is_type(outcome.error, UnknownRun)  # type: ignore[union-attr, arg-type]


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


# Being asked for again


def test_an_event_that_is_awaited_twice_answers_once(engine: Driver, run_id: RunId):
    """After a crash the body asks again for what it waits for; what comes, comes once."""
    engine.report(run_id, asks.await_event(0, "e"))
    engine.goodbye("w1")
    engine.hello("w2", "checkout", "child")

    engine.turn(
        engine.message(run_id, asks.await_event(0, "e")),
        SendEvent(engine.token(), "e", Raw(b"1")),
    )

    assert len(engine.bodies(run_id, Outcome)) == 1


def test_an_event_that_came_while_it_was_asked_for_again_answers_once(engine: Driver, run_id: RunId):
    """The other way round: the payload was on its way to the worker when that asked."""
    engine.report(run_id, asks.await_event(0, "e"))
    engine.goodbye("w1")
    engine.hello("w2", "checkout", "child")
    message = engine.message(run_id, asks.await_event(0, "e"))

    engine.send_event("e")
    engine.turn(message)

    assert len(engine.bodies(run_id, Outcome)) == 1


@pytest.mark.parametrize("kind", [Kind.CALL, Kind.RESULT])
def test_a_run_that_ended_while_it_was_awaited_again_answers_once(engine: Driver, run_id: RunId, kind: Kind):
    """Likewise for children and handles."""
    if kind is Kind.CALL:
        engine.report(run_id, asks.call(0, A_CHILD))
        child = A_CHILD
    else:
        child = engine.submit("child")
        engine.report(run_id, asks.await_run(0, child))
    engine.goodbye("w1")
    engine.hello("w2", "checkout", "child")
    message = engine.message(run_id, asks.await_run(0, child, kind))

    engine.report(child, asks.completed())
    engine.turn(message)

    assert len(engine.bodies(run_id, Outcome)) == 1


def test_cancelling_a_parent_and_its_child_in_one_batch(engine: Driver, run_id: RunId):
    """A child that was started in the very batch that cancels its parent is cancelled with it."""
    engine.turn(engine.message(run_id, asks.call(0, A_CHILD)), Cancel(engine.token(), run_id))

    assert engine.run(A_CHILD).is_cancel_requested


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
