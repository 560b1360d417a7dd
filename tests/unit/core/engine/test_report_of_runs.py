"""Other runs, from within a run: children, and runs awaited by their handles, each answered once."""

import pytest
from msgspec import Raw

from agnt5 import ConflictError, RunCancelledError, UnknownRun
from agnt5.core.engine.commands import Cancel, SendEvent
from agnt5.core.journal.entry import (
    UNNUMBERED,
    Begun,
    Kind,
    Outcome,
)
from agnt5.core.model.failures import is_type
from agnt5.core.model.ids import RunId
from agnt5.core.protocol.messages import Abandon, Ask, AwaitRun
from unit.core.engine import asks
from unit.core.engine.driver import START, Driver

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
