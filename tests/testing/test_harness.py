"""The harness: time moves when it is turned, and what became due has been carried as far as it can go."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agnt5 import (
    DurableContext,
    FunctionContext,
    InvalidInput,
    NonDeterminismError,
    Unavailable,
    UnknownRun,
    WorkerSettings,
    WorkflowContext,
    durable,
    function,
    workflow,
)
from agnt5.core.journal.entry import Fired
from agnt5.testing import Harness

from .workflows import echo, reminder, third_time_lucky

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)


# Time


@pytest.mark.parametrize("always_replay", [False, True])
async def test_days_pass_when_the_clock_is_turned(always_replay: bool) -> None:
    """A month takes no time, and each of its days happens, at its own time and in order."""
    async with Harness(start=NEW_YEAR, always_replay=always_replay) as h:
        run = await reminder.submit(30)

        await h.turn(timedelta(days=30))

        assert await run.result() == "reminded 30 times"
        assert h.now == NEW_YEAR + timedelta(days=30)
        done = [operation for operation in await h.operations(run) if operation.kind == "step"]
        assert [operation.at - NEW_YEAR for operation in done] == [timedelta(days=n + 1) for n in range(30)]


async def test_time_stands_still_until_it_is_turned() -> None:
    """Settling lets nothing become due, and a turn that is a microsecond short doesn't either."""
    async with Harness(start=NEW_YEAR) as h:
        run = await reminder.submit(1)

        await h.settle()
        await h.turn(timedelta(days=1) - timedelta(microseconds=1))

        assert await run.status() == "suspended"
        await h.turn(timedelta(microseconds=1))
        assert await run.status() == "completed"


async def test_timers_of_several_runs_fire_in_the_order_of_their_times() -> None:
    """Within one turn of the clock the world goes on as it would have, one time after the other."""
    seen: list[tuple[str, datetime]] = []

    async def note(name: str) -> None:
        seen.append((name, h.now))

    @workflow
    async def sleeper(ctx: WorkflowContext, name: str, seconds: int) -> None:
        await ctx.sleep(seconds)
        await ctx.step(note, name)
        await ctx.sleep(25)
        await ctx.step(note, name)

    async with Harness(start=NEW_YEAR) as h:
        await sleeper.submit("slow", 30)
        await sleeper.submit("quick", 10)

        await h.turn(100)

        passed = [(name, (at - NEW_YEAR).total_seconds()) for name, at in seen]
        assert passed == [("quick", 10), ("slow", 30), ("quick", 35), ("slow", 55)]


async def test_retries_come_exactly_when_their_policy_says() -> None:
    """No jitter in tests: a delay can be turned to."""

    @workflow
    async def patient(ctx: WorkflowContext) -> int:
        return await ctx.step(third_time_lucky)

    async with Harness(start=NEW_YEAR) as h:
        run = await patient.submit()

        await h.turn(60)
        [step] = await h.operations(run)
        assert (step.name, step.attempts, step.is_done, str(step.error)) == ("third_time_lucky", 2, False, "attempt 2")
        await h.turn(119.999)
        assert await run.status() == "suspended"
        await h.turn(0.001)

        assert await run.result() == 3


@pytest.mark.parametrize("is_step", [False, True])
async def test_sleeps_and_waits_of_functions_follow_the_turned_clock(is_step: bool) -> None:
    """A function on the ordinary loop looks at the clock again when that is turned, as a step too."""

    @function
    async def napping(ctx: FunctionContext) -> str:
        await ctx.sleep(3_600)
        try:
            await ctx.wait_for_event("never", timeout=60)
        except TimeoutError:
            return "rested"
        return ""

    @workflow
    async def around(ctx: WorkflowContext) -> str:
        return await ctx.step(napping)

    async with Harness() as h:
        run = await (around if is_step else napping).submit()

        await h.turn(3_659)
        assert await run.status() in ("suspended", "running")
        await h.turn(1)

        assert await run.result() == "rested"


async def test_retried_steps_of_a_function_follow_the_turned_clock() -> None:
    """The delays between the attempts of a function's step are over when the clock says so."""

    @function
    async def around(ctx: FunctionContext) -> int:
        return await ctx.step(third_time_lucky)

    async with Harness() as h:
        run = await around.submit()

        await h.turn(180)

        assert await run.result() == 3


async def test_a_delay_counts_from_the_time_of_the_harness() -> None:
    """`delay=` and `at=` mean the clock that the test sees."""
    async with Harness(start=NEW_YEAR) as h:
        delayed = await reminder.submit(0, delay=60)
        dated = await reminder.submit(0, at=NEW_YEAR + timedelta(seconds=90))

        await h.turn(60)
        assert [await delayed.status(), await dated.status()] == ["completed", "queued"]
        await h.turn(30)

        assert await dated.status() == "completed"


async def test_the_next_time_at_which_something_is_due_can_be_turned_to() -> None:
    """For tests that don't want to know when that is."""
    async with Harness(start=NEW_YEAR) as h:
        run = await reminder.submit(2)

        turned = [await h.turn_to_next() for _ in range(3)]

        assert turned == [True, True, False]
        assert h.now == NEW_YEAR + timedelta(days=2)
        assert await run.status() == "completed"


async def test_time_doesnt_go_back() -> None:
    """A negative turn is refused."""
    async with Harness() as h:
        with pytest.raises(InvalidInput, match="time doesn't go back"):
            await h.turn(-1)


# Rest


async def test_settling_waits_for_steps_on_the_loop_and_in_threads() -> None:
    """When it returns, nothing is at work any more, whatever it took."""
    release = threading.Event()

    def blocking() -> str:
        assert release.wait(10)
        return "thread"

    async def letting_go() -> str:
        for _ in range(50):
            await asyncio.sleep(0)
        release.set()
        return "loop"

    @workflow
    async def both(ctx: WorkflowContext) -> list[str]:
        return await asyncio.gather(ctx.step(blocking), ctx.step(letting_go))

    async with Harness() as h:
        run = await both.submit()

        await h.settle()

        assert await run.status() == "completed"


async def test_a_step_that_never_ends_is_named() -> None:
    """Patience is real time, and says who has used it up."""

    @workflow
    async def stuck(ctx: WorkflowContext) -> None:
        await ctx.step("hanging", asyncio.Event().wait)

    async with Harness(patience=0.02) as h:
        await stuck.submit()

        with pytest.raises(TimeoutError, match=r"within 0\.02 s: 'hanging' still at work"):
            await h.settle()


async def test_settling_takes_in_what_other_tasks_of_the_test_have_begun() -> None:
    """A call that was made a task of counts, though it hasn't been begun."""
    async with Harness() as h:
        call = asyncio.create_task(reminder(1))

        await h.turn(timedelta(days=1))

        assert call.done()
        assert call.result() == "reminded 1 times"


# From outside


async def test_events_and_signals_arrive_before_the_next_line_of_the_test() -> None:
    """What was sent has been taken in by whoever waited for it."""

    @workflow
    async def waiter(ctx: WorkflowContext) -> list[Any]:
        return [await ctx.wait_for_event("approved"), await ctx.wait_for_signal("word")]

    async with Harness() as h:
        run = await waiter.submit()

        await h.send_event("approved", {"by": "Ada"})
        assert [operation.name for operation in await h.operations(run)] == ["approved"]
        await h.signal(run, "word", "go")

        assert await run.status() == "completed"
        assert await run.result() == [{"by": "Ada"}, "go"]


async def test_a_run_shows_what_it_has_done() -> None:
    """Names, arguments, results, errors and attempts, in the order of the journal."""

    @durable.flow(max_retries=0)
    async def busy(ctx: DurableContext) -> None:
        await ctx.step(echo, (1, 2))
        await ctx.state.set("key", "value")
        child = await reminder.submit(0)
        await child.result()
        await reminder(0)
        await ctx.step.options(name="failing", retries=1)(third_time_lucky)

    async with Harness() as h:
        run = await busy.submit()

        found = await h.operations(run)

        named = [(operation.kind, operation.name) for operation in found]
        assert named == [
            ("step", "echo"),
            ("state", "key"),
            ("submit", "reminder"),
            ("result", "reminder"),
            ("call", "reminder"),
            ("step", "failing"),
        ]
        assert (found[0].args, found[0].result) == ({"value": (1, 2)}, (1, 2))
        assert isinstance(found[-1].error, ConnectionError)
        assert all(operation.is_done for operation in found)
        assert "test_harness.py" in found[0].site


async def test_an_unknown_run_is_said_to_be_one() -> None:
    """A mistyped id is no run without operations."""
    async with Harness() as h:
        with pytest.raises(UnknownRun, match="there is no run 'nobody'"):
            await h.operations("nobody")


# Replay


async def test_always_replay_runs_the_body_again_after_each_wait() -> None:
    """A body that is forgotten while it waits begins at its top again; its steps don't run again."""
    began, ran = [], []

    async def note(number: int) -> None:
        ran.append(number)

    @workflow
    async def body(ctx: WorkflowContext) -> None:
        began.append(ctx.is_replaying)
        for number in range(3):
            await ctx.step(note, number)
            await ctx.sleep(1)

    async with Harness(always_replay=True) as h:
        await body.submit()
        await h.turn(3)

    assert len(began) == 4
    assert ran == [0, 1, 2]


async def test_arguments_that_differ_from_the_recorded_ones_are_an_error() -> None:
    """Elsewhere that is a warning; a test is to find it."""
    counts = iter(range(100))

    @workflow
    async def miscounting(ctx: WorkflowContext) -> None:
        await ctx.step(echo, next(counts))
        await ctx.sleep(1)

    async with Harness(always_replay=True) as h:
        run = await miscounting.submit()
        await h.turn(1)

        with pytest.raises(NonDeterminismError, match=r'"value":0.*"value":1'):
            await run.result()


async def test_a_journal_goes_on_in_another_harness() -> None:
    """What a stopped harness had written is taken up by one that is given its store."""
    async with Harness(start=NEW_YEAR) as first:
        run = await reminder.submit(1)
        await first.settle()

    async with Harness(start=NEW_YEAR, store=first.store) as second:
        await second.turn(timedelta(days=1))

        assert any(isinstance(entry.body, Fired) for entry in second.journal(run))
        assert len([each for each in await second.operations(run) if each.kind == "step"]) == 1


# Its block


async def test_calls_after_the_block_are_refused() -> None:
    """A call that went to the harness before doesn't go to another journal now."""
    async with Harness() as h:
        run = await reminder.submit(1)

    with pytest.raises(Unavailable):
        await h.settle()
    assert run.id


async def test_two_harnesses_know_nothing_of_each_other() -> None:
    """Each has a journal and a time of its own, also one within the other."""
    async with Harness(start=NEW_YEAR) as outer:
        first = await reminder.submit(1)
        async with Harness(start=NEW_YEAR) as inner:
            second = await reminder.submit(1)
            await inner.turn(timedelta(days=1))
            assert await second.status() == "completed"

        assert await first.status() == "suspended"
        assert outer.now == NEW_YEAR


async def test_a_harness_is_for_one_loop() -> None:
    """On a second one its course would depend on chance."""
    async with Harness() as h:
        with pytest.raises(InvalidInput, match="second event loop"):
            await asyncio.to_thread(lambda: h.run_sync(h.settle()))


def test_a_plain_function_tests_without_a_loop() -> None:
    """`run_sync` of components and of the harness take the place of `await`."""
    with Harness(start=NEW_YEAR) as h:
        run = h.run_sync(reminder.submit(2))
        h.run_sync(h.turn(timedelta(days=2)))

        assert h.run_sync(run.result()) == "reminded 2 times"
        assert reminder.run_sync(0) == "reminded 0 times"


def test_the_start_needs_a_time_zone() -> None:
    """A naive datetime means another moment on every machine."""
    with pytest.raises(InvalidInput, match="time zone"):
        Harness(start=datetime(2030, 1, 1))


async def test_settings_are_kept_beside_always_replay() -> None:
    """It changes how many runs are kept in memory, and nothing else."""
    settings = WorkerSettings(capacity=7, max_threads=3, grace=1.0)

    async with Harness(always_replay=True, settings=settings) as h:
        assert h.settings == WorkerSettings(capacity=7, max_cached_runs=0, max_threads=3, grace=1.0)
