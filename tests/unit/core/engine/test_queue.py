"""Runs are made once for each submission, and given to workers that have room, in fair turns."""

import pytest
from msgspec import Raw

from agnt5 import ConflictError
from agnt5.core.engine.commands import Due, Submit, Sweep
from agnt5.core.engine.queue import CRASHES_MAX
from agnt5.core.engine.state import READY_MAX
from agnt5.core.journal.entry import Fired, Started
from agnt5.core.model.errors import NonDeterminismError
from agnt5.core.model.failures import failure_of
from agnt5.core.model.ids import RunId, WorkerId
from agnt5.core.model.run import Status
from agnt5.core.protocol.messages import Block, ComponentInfo, Deliver, Register, Release
from unit.core.engine import asks
from unit.core.engine.driver import SECOND, START, Driver


@pytest.fixture
def engine() -> Driver:
    return Driver()


# Submitting


def test_each_submission_is_a_run_of_its_own(engine: Driver):
    """The same input again is another run."""
    assert engine.submit() != engine.submit()


def test_a_run_without_a_worker_waits_in_the_queue(engine: Driver):
    """It is durable, and starts as soon as somebody offers its component."""
    run_id = engine.submit()
    assert engine.status(run_id) is Status.QUEUED

    engine.hello("w1", "other")
    assert engine.status(run_id) is Status.QUEUED

    engine.hello("w2", "checkout")
    assert engine.held[run_id] == ("w2", 1)


def test_one_key_is_one_run(engine: Driver):
    """The same component, key and input give the same run, before and after its end."""
    first = engine.submit(idempotency_key="k", input_digest="d")
    again = engine.ask(engine.submission(idempotency_key="k", input_digest="d"))
    engine.hello("w1", "checkout")
    engine.report(first, asks.completed())
    after = engine.ask(engine.submission(idempotency_key="k", input_digest="d"))

    assert (again.run_id, again.is_new) == (after.run_id, after.is_new) == (first, False)


def test_one_key_in_one_batch_is_one_run(engine: Driver):
    """Two clients at the same instant get the same run."""
    one, two = (engine.submission(idempotency_key="k", input_digest="d") for _ in range(2))

    engine.turn(one, two)

    assert engine.answers[one.token].run_id == engine.answers[two.token].run_id
    assert [engine.answers[command.token].is_new for command in (one, two)] == [True, False]


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_a_key_with_other_input_is_a_conflict(engine: Driver, in_one_batch: bool):
    """The error names the run that has the key."""
    one = engine.submission(idempotency_key="k", input_digest="d")
    two = engine.submission(idempotency_key="k", input_digest="other")

    if in_one_batch:
        engine.turn(one, two)
    else:
        engine.turn(one)
        engine.turn(two)

    error = engine.answers[two.token]
    assert isinstance(error, ConflictError)
    assert error.run_id == one.run_id  # type: ignore[attr-defined]


def test_a_key_belongs_to_its_component(engine: Driver):
    """Two components may use the same key."""
    one = engine.submit("a", idempotency_key="k", input_digest="d")
    two = engine.submit("b", idempotency_key="k", input_digest="d")

    assert one != two


def test_a_run_for_later_starts_then(engine: Driver):
    """Not before, and also if the runtime was restarted meanwhile."""
    engine.hello("w1", "checkout")
    run_id = engine.submit(start_at=START + 10 * SECOND)
    engine.restart()
    engine.hello("w2", "checkout")

    engine.pass_time(9)
    assert engine.status(run_id) is Status.QUEUED

    engine.pass_time(1)
    assert engine.held[run_id] == ("w2", 1)


def test_a_start_in_the_past_is_now(engine: Driver):
    """A time that has passed delays nothing."""
    engine.hello("w1", "checkout")

    assert engine.held[engine.submit(start_at=START - SECOND)] == ("w1", 1)


# Dispatching


def test_a_worker_gets_no_more_than_it_has_room_for(engine: Driver):
    """The rest waits, first in first out, until something ends or waits."""
    engine.hello("w1", "checkout", capacity=2)
    first, second, third, fourth = (engine.submit() for _ in range(4))
    assert set(engine.held) == {first, second}

    engine.report(second, asks.completed())
    assert third in engine.held

    engine.report(first, asks.park())
    assert fourth in engine.held


def test_a_long_queue_starves_nobody(engine: Driver):
    """Components take turns, however many runs of one are queued."""
    for _ in range(50):
        engine.submit("many")
    few = engine.submit("few")

    engine.hello("w1", "many", "few", capacity=2)

    assert few in engine.held


def test_a_run_goes_to_where_it_was_submitted(engine: Driver):
    """Its caller's own loop, if that has room."""
    engine.hello("w1", "checkout", capacity=1)
    engine.hello("w2", "checkout", capacity=1)

    mine, more = (engine.submit(worker=WorkerId("w2")) for _ in range(2))

    assert engine.held[mine][0] == "w2"
    assert engine.held[more][0] == "w1", "room elsewhere is better than none"


def test_a_run_prefers_the_code_it_ran_on(engine: Driver):
    """In a rolling deploy it goes on with its own version while somebody has it."""
    engine.hello("old", "checkout", code="v1")
    run_id = engine.submit()
    engine.hello("new", "checkout", code="v2", capacity=100)
    engine.hello("old2", "checkout", code="v1", capacity=100)

    engine.goodbye("old")

    assert engine.held[run_id] == ("old2", 2)


def test_load_is_spread(engine: Driver):
    """Without a preference the worker with the least to do gets it."""
    engine.hello("w1", "checkout")
    engine.hello("w2", "checkout")

    runs = [engine.submit() for _ in range(6)]

    assert sorted(engine.held[run_id][0] for run_id in runs) == ["w1"] * 3 + ["w2"] * 3


def test_memory_holds_only_so_many_queued_runs(engine: Driver):
    """The rest is in the store, is read from there when the queue runs dry, and nothing is lost or doubled."""
    submissions = [engine.submission() for _ in range(READY_MAX + 50)]
    engine.turn(*submissions)
    assert len(engine.state.runs) == READY_MAX

    engine.hello("w1", "checkout", capacity=READY_MAX + 100)
    engine.refill()

    assert len(engine.held) == READY_MAX + 50
    assert {epoch for _, epoch in engine.held.values()} == {1}


def test_what_waits_in_the_store_isnt_overtaken(engine: Driver):
    """A new run of an overflowing component goes behind those in the store."""
    engine.turn(*(engine.submission() for _ in range(READY_MAX + 1)))
    engine.hello("w1", "checkout", capacity=READY_MAX)

    late = engine.submit()

    assert late not in engine.held


# Workers


def test_a_worker_that_registers_more_gets_more(engine: Driver):
    """What it learned later counts like what it came with."""
    worker = engine.hello("w1", "a")
    run_id = engine.submit("b")

    engine.turn(Register(worker, (ComponentInfo("b", "workflow", "v1"),)))

    assert engine.held[run_id] == ("w1", 1)


def test_messages_of_a_worker_that_is_gone_change_nothing(engine: Driver):
    """It may still be talking when its connection is known to be closed."""
    engine.hello("w1", "a")
    engine.goodbye("w1")

    engine.goodbye("w1")
    engine.turn(Register(WorkerId("w1"), (ComponentInfo("b", "workflow"),)))

    assert engine.state.workers == {}


def test_runs_of_a_lost_worker_go_to_others(engine: Driver):
    """At work: at once. Waiting: when what they wait for comes."""
    engine.hello("w1", "checkout")
    at_work, asleep = engine.submit(), engine.submit()
    engine.report(asleep, asks.park((START + 5 * SECOND, 0)))
    engine.hello("w2", "checkout")

    engine.goodbye("w1")
    assert engine.held[at_work] == ("w2", 2)
    assert engine.held[asleep] == ("w1", 1)

    engine.pass_time(5)
    assert engine.held[asleep] == ("w2", 2)
    assert [body.n for body in engine.bodies(asleep, Fired)] == [0]  # type: ignore[union-attr]


def test_a_run_that_may_not_run_twice_is_blocked_when_its_worker_is_lost(engine: Driver):
    """`idempotent=False`: a human looks, and says whether to run it again."""
    engine.hello("w1", "checkout")
    run_id = engine.submit(idempotent=False)
    engine.hello("w2", "checkout")

    engine.goodbye("w1")
    assert engine.status(run_id) is Status.BLOCKED
    assert "idempotent=False" in engine.run(run_id).waiting.blocked.message  # type: ignore[union-attr]

    engine.resume(run_id)
    assert engine.held[run_id] == ("w2", 2)


DIVERGED = failure_of(NonDeterminismError("the code changed", why="why", fix="fix"))


@pytest.mark.parametrize(("code", "error", "is_tried"), [("v2", 0, True), ("v1", 0, False), ("v2", 1, False)])
def test_other_code_unblocks_what_the_old_could_not_follow(
    engine: Driver, code: str, error: int, is_tried: bool
):
    """A run blocked by non-determinism is tried again on other code; one blocked for another reason isn't."""
    engine.hello("w1", "checkout", code="v1")
    run_id = engine.submit()
    engine.report(run_id, Block([DIVERGED, asks.BROKEN][error]))

    engine.hello("w2", "checkout", code=code)

    assert (run_id in engine.state.runs) is is_tried
    assert (engine.status(run_id) is Status.BLOCKED) is not is_tried


# Time


def test_warm_timers_fire_in_the_order_of_their_time(engine: Driver):
    """Due time first, order of setting second; each once."""
    engine.hello("w1", "checkout")
    run_id = engine.submit()
    engine.report(run_id, asks.park((START + SECOND, 1), (START + SECOND, 2), (START + 2 * SECOND, 0)))

    engine.pass_time(1)

    assert [body.n for body in engine.bodies(run_id, Fired)] == [1, 2]  # type: ignore[union-attr]
    assert engine.status(run_id) is Status.RUNNING
    delivered = engine.inbox["w1"][-1]
    assert isinstance(delivered, Deliver)
    assert len(delivered.entries) == 2


def test_a_wake_up_for_the_worker_is_no_entry(engine: Driver):
    """The next attempt of a step is due: the worker is told to look, and the body sees nothing."""
    engine.hello("w1", "checkout")
    run_id = engine.submit()
    engine.report(run_id, asks.park((START + SECOND, -1)))

    engine.pass_time(1)

    assert engine.bodies(run_id, Fired) == []
    assert engine.inbox["w1"][-1] == Deliver(run_id, 1, [])
    assert engine.status(run_id) is Status.RUNNING


def test_time_alone_starts_nothing_that_isnt_due(engine: Driver):
    """An alarm that rings early, late or for an ended run changes nothing but when to ring again."""
    engine.hello("w1", "checkout")
    run_id = engine.submit()
    engine.report(run_id, asks.park((START + 5 * SECOND, 0)))
    engine.turn(Due(run_id), Due(RunId("f" * 32)))
    assert engine.status(run_id) is Status.SUSPENDED
    engine.pass_time(5)
    engine.report(run_id, asks.completed())
    engine.turn(Due(run_id))

    assert engine.status(run_id) is Status.COMPLETED


def test_who_waits_for_long_is_written_down(engine: Driver):
    """So that a restart need not replay it; the warm copy goes on when it is woken."""
    engine.hello("w1", "checkout")
    run_id = engine.submit()
    engine.report(run_id, asks.park((START + 60 * SECOND, 0)))
    assert engine.stored(run_id).status is Status.RUNNING

    engine.turn(Sweep(engine.now))
    assert engine.stored(run_id).status is Status.SUSPENDED
    assert engine.stored(run_id).wake_at == START + 60 * SECOND

    engine.pass_time(60)
    assert engine.stored(run_id).status is Status.RUNNING


# Restart


def test_what_was_running_goes_on_after_a_restart(engine: Driver):
    """With its journal, under a new epoch; what waits isn't touched."""
    engine.hello("w1", "checkout")
    running, waiting = engine.submit(), engine.submit()
    engine.report(running, asks.step(0))
    engine.report(waiting, asks.park((START + 60 * SECOND, 0)))
    engine.report(waiting, Release())

    engine.restart()
    engine.hello("w2", "checkout")

    assert engine.held[running] == ("w2", 2)
    assert engine.held[waiting] == ("w1", 1)


def test_queued_runs_are_found_after_a_restart(engine: Driver):
    """They are in the store alone until somebody offers their component."""
    run_id = engine.submit()

    engine.restart()
    engine.hello("w1", "checkout")
    engine.refill()

    assert engine.held[run_id] == ("w1", 1)


def test_a_run_that_kills_its_process_is_blocked(engine: Driver):
    """Alone, ten times in a row and without progress; it names how to go on."""
    run_id = engine.submit()
    for _ in range(CRASHES_MAX):
        assert engine.status(run_id) is Status.QUEUED
        engine.hello("w1", "checkout")
        engine.restart(is_suspect=True)

    assert engine.status(run_id) is Status.BLOCKED
    assert run_id in engine.run(run_id).waiting.blocked.message  # type: ignore[union-attr]


def test_progress_forgives_crashes(engine: Driver):
    """A run that completes a step between two deaths isn't poisonous; nor one that had neighbours."""
    run_id = engine.submit()
    for number in range(CRASHES_MAX + 5):
        engine.hello("w1", "checkout")
        engine.report(run_id, asks.step(number))
        engine.restart(is_suspect=True)
    for _ in range(CRASHES_MAX + 5):
        engine.hello("w1", "checkout")
        engine.restart(is_suspect=False)

    assert engine.status(run_id) is Status.QUEUED


def test_a_new_run_begins_with_its_start(engine: Driver):
    """Entry 0 has the input and the time."""
    command = Submit(engine.token(), engine.new_id(), "checkout", Raw(b'{"a":1}'), tags=("t",))

    engine.turn(command)

    [entry] = engine.journal(command.run_id)
    assert (entry.index, entry.at, entry.body) == (0, START, Started("checkout", Raw(b'{"a":1}')))
    assert engine.run(command.run_id).tags == ("t",)
