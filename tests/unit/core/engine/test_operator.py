"""What people do to runs: each act does what its name says, once, or says why it can't."""

import pytest
from msgspec import Raw

from agnt5 import ConflictError, InvalidInput, UnknownRun
from agnt5.core.engine.commands import Cancel, ForkRun, Quarantine, RetryRun
from agnt5.core.journal.entry import (
    AttemptBegan,
    AttemptEnded,
    CancelRequested,
    Ended,
    Outcome,
    Resumed,
    Signal,
    Started,
)
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Origin, Status
from agnt5.core.protocol.messages import Block, Release
from unit.core.engine import asks
from unit.core.engine.driver import SECOND, START, Driver

A_CHILD = RunId("c" * 32)
NOBODY = RunId("f" * 32)


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


# Cancel


def test_a_cancel_interrupts_the_body_once(engine: Driver, run_id: RunId):
    """It is an entry; asking again changes nothing."""
    assert engine.cancel(run_id).changed is True
    assert engine.cancel(run_id).changed is False

    assert engine.bodies(run_id)[1:] == [CancelRequested()]
    assert engine.status(run_id) is Status.RUNNING, "what the body does now runs normally"


def test_a_cancel_wakes_who_waits(engine: Driver, run_id: RunId):
    """Warm or cold, for ever or until a time."""
    engine.report(run_id, asks.park(on=(("event", "never"),)))
    engine.report(run_id, Release())

    engine.cancel(run_id)

    assert engine.held[run_id] == ("w1", 2)


@pytest.mark.parametrize("how", ["queued", "later", "between attempts", "blocked"])
def test_a_run_without_a_body_to_interrupt_ends_at_once(engine: Driver, how: str):
    """Nothing of it runs, so there is nothing to wait for."""
    if how == "queued":
        run_id = engine.submit("nobody has it")
    elif how == "later":
        run_id = engine.submit(start_at=START + SECOND)
    else:
        run_id = engine.submit()
        engine.report(run_id, asks.again(START + SECOND) if how == "between attempts" else Block(asks.BROKEN))

    assert engine.cancel(run_id).changed

    assert engine.ends[run_id].status is Status.CANCELLED
    engine.pass_time(5)
    engine.hello("w2", "nobody has it")
    assert engine.status(run_id) is Status.CANCELLED, "neither time nor a worker brings it back"


def test_a_cancel_reaches_children_and_theirs(engine: Driver, run_id: RunId):
    """All of them, whether awaited or not."""
    grandchild, submitted = RunId("d" * 32), RunId("e" * 32)
    engine.report(run_id, asks.call(0, A_CHILD), asks.submit(1, submitted))
    engine.report(A_CHILD, asks.call(0, grandchild))

    engine.cancel(run_id)

    for child in (A_CHILD, grandchild, submitted):
        assert engine.run(child).is_cancel_requested


def test_a_cancel_of_a_run_that_is_over_changes_nothing(engine: Driver, run_id: RunId):
    """An outcome once given never changes."""
    engine.report(run_id, asks.completed())
    before = engine.journal(run_id)

    assert engine.cancel(run_id).changed is False
    assert engine.journal(run_id) == before


def test_a_cancel_survives_a_restart(engine: Driver, run_id: RunId):
    """It is in the journal, and the run knows that it was asked."""
    engine.cancel(run_id)

    engine.restart()
    engine.hello("w2", "checkout")

    assert engine.bodies(run_id, CancelRequested) == [CancelRequested()]
    assert engine.run(run_id).is_cancel_requested
    assert engine.cancel(run_id).changed is False


@pytest.mark.parametrize("act", ["cancel", "resume", "retry", "fork"])
def test_an_unknown_run_is_said_to_be_unknown(engine: Driver, act: str):
    """Whatever is asked of it."""
    answer = engine.fork(NOBODY, 1) if act == "fork" else getattr(engine, act)(NOBODY)

    assert isinstance(answer, UnknownRun)


# Resume


def test_a_blocked_run_goes_on_when_resumed(engine: Driver, run_id: RunId):
    """From its journal, in which that stands."""
    engine.report(run_id, asks.step(0), Block(asks.BROKEN))

    engine.resume(run_id)

    assert engine.bodies(run_id)[-1] == Resumed()
    assert engine.held[run_id] == ("w1", 2)


def test_only_a_blocked_run_is_resumed(engine: Driver, run_id: RunId):
    """Of any other the caller is told where it is."""
    for ask, status in ((asks.step(0), "running"), (asks.park(), "suspended"), (asks.completed(), "completed")):
        engine.report(run_id, ask)
        answer = engine.resume(run_id)
        assert isinstance(answer, ConflictError)
        assert status in answer.what


def test_what_cant_be_read_blocks_one_run_alone(engine: Driver, run_id: RunId):
    """Its journal is damaged: it waits for a human, and the others go on."""
    other = engine.submit()

    engine.turn(Quarantine(run_id, asks.BROKEN))

    assert engine.status(run_id) is Status.BLOCKED
    assert engine.status(other) is Status.RUNNING
    engine.report(other, asks.completed())
    engine.turn(Quarantine(other, asks.BROKEN))
    assert engine.status(other) is Status.COMPLETED


# Retry


def test_a_retry_is_a_new_run_that_keeps_what_succeeded(engine: Driver, run_id: RunId):
    """Linked to the old one, with its journal, its chance and its key's memory; the old one stays as it was."""
    engine.report(run_id, asks.step(0), asks.failed(consumed={"go": 1}))
    old = engine.journal(run_id)

    new_id = engine.retry(run_id).run_id

    assert engine.bodies(new_id) == [
        Started("checkout", Raw(b"1"), seed=run_id),
        asks.step(0),
        AttemptEnded(1, asks.BROKEN, START, consumed={"go": 1}),
        AttemptBegan(1, 1),
    ]
    assert engine.run(new_id).origin == Origin("retry", run_id)
    assert engine.held[new_id] == ("w1", 1)
    assert engine.journal(run_id) == old


def test_a_retry_of_a_retry_draws_the_same_chance(engine: Driver, run_id: RunId):
    """The seed is that of the first."""
    engine.report(run_id, asks.failed())
    second = engine.retry(run_id).run_id
    engine.report(second, asks.failed())

    third = engine.retry(second).run_id

    assert engine.bodies(third, Started) == [Started("checkout", Raw(b"1"), seed=run_id)]


def test_a_retry_after_compensation_is_a_new_generation(engine: Driver, run_id: RunId):
    """What was undone is done again."""
    engine.report(run_id, asks.failed(compensated=True))

    new_id = engine.retry(run_id).run_id

    assert engine.bodies(new_id, AttemptBegan) == [AttemptBegan(1, 2)]
    assert engine.run(new_id).generation == 2


@pytest.mark.parametrize("end", [asks.failed(), asks.cancelled()])
def test_a_failed_or_cancelled_run_is_retried(engine: Driver, run_id: RunId, end: object):
    """Those two, and no others."""
    engine.report(run_id, end)  # type: ignore[arg-type]

    assert engine.retry(run_id).is_new


@pytest.mark.parametrize("ask", [asks.step(0), asks.park(), Block(asks.BROKEN), asks.completed()])
def test_any_other_run_is_not_retried(engine: Driver, run_id: RunId, ask: object):
    """Its status is said."""
    engine.report(run_id, ask)  # type: ignore[arg-type]

    answer = engine.retry(run_id)

    assert isinstance(answer, ConflictError)
    assert engine.status(run_id).value in answer.what


def test_a_retry_in_the_batch_in_which_the_run_ends(engine: Driver):
    """A cancel and a retry that arrive together are both carried out."""
    run_id = engine.submit("nobody has it")
    new_id = engine.new_id()
    token = engine.token()

    engine.turn(Cancel(engine.token(), run_id), RetryRun(token, run_id, new_id))

    assert engine.answers[token].run_id == new_id
    assert [type(body) for body in engine.bodies(new_id)] == [Started, AttemptEnded, AttemptBegan]


def test_the_key_stays_with_the_old_run(engine: Driver):
    """It goes on answering with it, unless the retry takes it."""
    run_id = engine.submit(idempotency_key="k", input_digest="d")
    engine.report(run_id, asks.failed())
    engine.retry(run_id)

    assert engine.submit(idempotency_key="k", input_digest="d") == run_id


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_a_retry_may_take_the_key(engine: Driver, in_one_batch: bool):
    """From then on, also within the batch, the key stands for the new run."""
    run_id = engine.submit(idempotency_key="k", input_digest="d")
    engine.report(run_id, asks.failed())
    new_id = engine.new_id()
    retry = RetryRun(engine.token(), run_id, new_id, take_key=True)
    later = engine.submission(idempotency_key="k", input_digest="d")

    if in_one_batch:
        engine.turn(retry, later)
    else:
        engine.turn(retry)
        engine.turn(later)

    assert engine.answers[later.token].run_id == new_id
    assert not engine.answers[later.token].is_new


# Fork


def test_a_fork_has_the_entries_before(engine: Driver, run_id: RunId):
    """And goes its own way from there; its source isn't touched."""
    engine.report(run_id, asks.step(0), asks.step(1), asks.completed())
    old = engine.journal(run_id)

    new_id = engine.fork(run_id, 2).run_id

    assert engine.bodies(new_id) == [Started("checkout", Raw(b"1"), seed=run_id), asks.step(0)]
    assert engine.run(new_id).origin == Origin("fork", run_id)
    assert engine.held[new_id] == ("w1", 1)
    assert engine.journal(run_id) == old


def test_a_run_can_be_forked_at_every_entry_but_the_first(engine: Driver, run_id: RunId):
    """Through attempts and generations: what it has is what its source had then."""
    engine.report(run_id, asks.step(0), asks.again(START))
    engine.pass_time(1)
    engine.report(run_id, asks.step(0), asks.again(engine.now, compensated=True))
    engine.pass_time(1)
    engine.report(run_id, asks.step(0), asks.completed())
    source = engine.journal(run_id)

    for at in range(1, len(source)):
        new_id = engine.fork(run_id, at).run_id
        bodies = engine.bodies(new_id)
        assert bodies[1:at] == [entry.body for entry in source[1:at]]
        began = [body for body in bodies if isinstance(body, Started | AttemptBegan)][-1]
        assert (engine.run(new_id).attempt, engine.run(new_id).generation) == (began.attempt, began.generation)
        assert not isinstance(bodies[-1], AttemptEnded | Ended), "it can go on"


@pytest.mark.parametrize("at", [-1, 0, 3, 4])
def test_a_fork_outside_the_journal_is_refused(engine: Driver, run_id: RunId, at: int):
    """The error says from where to where one can."""
    engine.report(run_id, asks.step(0), asks.completed())

    answer = engine.fork(run_id, at)

    assert isinstance(answer, InvalidInput)
    assert "1 to 2" in answer.fix


def test_a_fork_sees_what_is_appended_in_its_batch(engine: Driver, run_id: RunId):
    """What is under way in the same commit counts."""
    token = engine.token()

    engine.turn(engine.message(run_id, asks.step(0), asks.step(1)), ForkRun(token, run_id, engine.new_id(), 2))

    assert engine.bodies(engine.answers[token].run_id, Outcome) == [asks.step(0)]


def test_a_fork_of_a_later_generation_keeps_its_numbers(engine: Driver, run_id: RunId):
    """Entries are numbered over all generations, and so are those of the fork."""
    engine.report(run_id, asks.step(0), asks.continue_as())
    engine.signal(run_id, "go")

    new_id = engine.fork(run_id, engine.journal(run_id)[-1].index).run_id

    assert engine.journal(new_id)[0].index == engine.journal(run_id)[0].index
    assert engine.bodies(new_id, Signal) == []
    assert engine.run(new_id).generation == 2
