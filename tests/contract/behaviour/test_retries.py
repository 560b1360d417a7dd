"""Retries of steps and runs: how often, how soon, after which errors, and what stands in the history."""

import asyncio
from datetime import datetime

import pytest

from agnt5 import (
    FunctionContext,
    InvalidInput,
    NonRetryableError,
    RetryAfter,
    RetryPolicy,
    StepTimeoutError,
    WorkflowContext,
    durable,
    function,
    workflow,
)

from .world import World, events_of, until, until_status


def policy(attempts: int = 3, **settings) -> RetryPolicy:
    """One that doesn't keep a test waiting."""
    return RetryPolicy(max_attempts=attempts, initial_interval=0.001, **settings)


class Stolen(Exception):
    """A failure that no policy knows."""


def failing(error: BaseException, times: int = 100):
    """A function that raises for a while, and the attempts that it has seen."""
    attempts: list[int] = []

    async def fail(ctx: FunctionContext) -> str:
        attempts.append(ctx.attempt)
        if len(attempts) <= times:
            raise error
        return "done"

    return fail, attempts


async def test_retries_count_all_attempts(world: World):
    """Of steps, of functions and of workflows; then the last exception is raised."""
    step, of_step = failing(Stolen("gone"))
    alone, of_function = failing(Stolen("gone"))
    body, of_workflow = failing(Stolen("gone"))

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step.options(retries=policy(2))(step)

    for component in (
        flow,
        function(name="alone", retries=policy(3))(alone),
        workflow(name="whole", retries=policy(4))(body),
    ):
        with pytest.raises(Stolen, match="gone"):
            await component()

    assert (of_step, of_function, of_workflow) == ([1, 2], [1, 2, 3], [1, 2, 3, 4])


async def test_max_retries_count_attempts_after_the_first(world: World):
    """Of durable functions and flows; 0 is a single attempt."""
    fail, attempts = failing(Stolen())

    for retries in (0, 2):
        with pytest.raises(Stolen):
            await durable.function(name=f"f{retries}", max_retries=retries, retry_delay=0.001)(fail)()

    assert attempts == [1, 1, 2, 3]


async def test_a_workflow_is_not_retried_unless_told(world: World):
    """Its uncaught exception ends it."""
    fail, attempts = failing(Stolen())

    with pytest.raises(Stolen):
        await workflow(name="once")(fail)()

    assert attempts == [1]


async def test_what_succeeds_in_the_end_has_succeeded(world: World):
    """Nobody hears of the failures before."""
    step, of_step = failing(Stolen(), times=2)
    body, of_run = failing(Stolen(), times=2)

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        return await ctx.step.options(retries=policy())(step)

    assert await flow() == "done"
    assert await function(name="f", retries=policy())(body)() == "done"
    assert of_step == of_run == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "settings", "attempts"),
    [
        (NonRetryableError("no"), {}, 1),
        (Stolen(), {"no_retry_on": (Stolen,)}, 1),
        (Stolen(), {"retry_on": (KeyError,)}, 1),
        (KeyError("x"), {"retry_on": (LookupError,)}, 3),
        (KeyError("x"), {"retry_on": (LookupError,), "no_retry_on": (KeyError,)}, 1),
        (InvalidInput("bad"), {}, 1),
    ],
)
@pytest.mark.parametrize("where", ["step", "function"])
async def test_some_errors_end_the_retries(world: World, error, settings, attempts, where):
    """NonRetryableError, what the policy excludes, and what could only come out the same."""
    fail, seen = failing(error)
    retries = policy(3, **settings)

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step.options(retries=retries)(fail)

    component = flow if where == "step" else function(name="f", retries=retries)(fail)

    with pytest.raises(type(error)):
        await component()
    assert len(seen) == attempts


async def test_a_subclass_of_non_retryable_is_not_retried_and_keeps_its_type(world: World):
    """Users derive from it."""
    fail, seen = failing(Refused("card"))

    with pytest.raises(Refused, match="card"):
        await function(name="f")(fail)()

    assert seen == [1]


class Refused(NonRetryableError):
    """A failure that is final."""


@pytest.mark.parametrize("where", ["step", "function"])
async def test_retry_after_overrides_the_backoff(world: World, where: str):
    """The delay is that of the error, not of the policy, either way."""
    fail, seen = failing(RetryAfter(3600), times=1)
    retries = RetryPolicy(max_attempts=2, initial_interval=0.001)

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        return await ctx.step.options(retries=retries)(fail)

    component = flow if where == "step" else function(name="f", retries=retries)(fail)
    handle = await component.submit()
    await until(lambda: seen)
    await until_status(handle, "suspended")
    assert seen == [1]

    await world.turn(3601)

    assert await handle.result(timeout=5) == "done"


async def test_retry_after_too_ends_with_the_attempts(world: World):
    """Then it is the exception that is raised."""
    fail, seen = failing(RetryAfter(0.001, "busy"))

    with pytest.raises(RetryAfter, match="busy") as raised:
        await function(name="f", retries=policy(2))(fail)()

    assert raised.value.seconds == 0.001
    assert seen == [1, 2]


async def test_delays_grow_up_to_their_maximum(world: World):
    """Exponentially from the first; the history has when each next attempt starts."""
    fail, _ = failing(Stolen())
    retries = RetryPolicy(max_attempts=5, initial_interval=0.01, multiplier=2, max_interval=0.03, jitter=0)

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step.options(retries=retries)(fail)

    handle = await flow.submit()
    with pytest.raises(Stolen):
        await handle.result()

    delays = [event.data["retry_at"] - event.data["ended"] for event in await events_of(handle, "retrying")]
    assert [round(delay / 1000) for delay in delays] == [10, 20, 30, 30]


async def test_every_attempt_of_a_step_is_in_the_history(world: World):
    """Number, error with its traceback, start, end, and when the next one starts."""
    fail, _ = failing(Stolen("gone"), times=2)

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step.options(name="charge", retries=policy())(fail)

    handle = await flow.submit()
    await handle.result()

    failed = await events_of(handle, "retrying")
    [outcome] = await events_of(handle, "outcome")
    assert [(event.name, event.data["attempt"]) for event in failed] == [("charge", 1), ("charge", 2)]
    for event in failed:
        assert event.data["error"]["message"] == "gone"
        assert event.data["error"]["type"].endswith("Stolen")
        assert "raise error" in event.data["error"]["traceback"]
        assert event.data["began"] <= event.data["ended"] <= event.data["retry_at"]
        assert "test_retries.py" in event.data["site"]
    assert outcome.data["attempt"] == 3


async def test_every_attempt_of_a_run_is_in_the_history(world: World):
    """Likewise; and its end names the last error."""
    fail, _ = failing(Stolen("gone"))

    handle = await function(name="f", retries=policy(2))(fail).submit()
    with pytest.raises(Stolen):
        await handle.result()

    events = [event async for event in handle.events()]
    assert [event.kind for event in events] == ["started", "attempt_ended", "attempt", "ended"]
    assert "raise error" in events[1].data["error"]["traceback"]
    assert isinstance(events[1].at, datetime)
    assert events[2].data["attempt"] == 2
    assert "raise error" in events[3].data["error"]["traceback"]


@pytest.mark.parametrize("where", ["step", "function"])
async def test_attempts_go_on_after_a_restart(world: World, where: str):
    """What failed before counts, and the delay is not started over."""
    fail, seen = failing(Stolen(), times=1)
    retries = RetryPolicy(max_attempts=2, initial_interval=3600, max_interval=3600, jitter=0)

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        return await ctx.step.options(retries=retries)(fail)

    component = flow if where == "step" else function(name="f", retries=retries)(fail)
    handle = await component.submit()
    await until(lambda: seen)
    await until_status(handle, "suspended")
    await world.turn(3000)
    await world.restart()
    await until_status(handle, "suspended")
    assert seen == [1]

    await world.turn(601)

    assert await handle.result(timeout=5) == "done"
    assert seen == [1, 2]


async def test_explain_tells_of_a_retry_to_come(world: World):
    """Which attempt failed, and when the next one starts."""
    fail, seen = failing(Stolen())

    handle = await function(name="f", retries=RetryPolicy(initial_interval=3600, max_interval=3600))(fail).submit()
    await until(lambda: seen)
    await until_status(handle, "suspended")

    said = await handle.explain()
    assert "attempt 1 failed" in said
    assert said.facts["retry_at"] > 0


@pytest.mark.parametrize("component", [workflow, function])
async def test_a_timeout_bounds_an_attempt_of_a_run(world: World, component):
    """It is a StepTimeoutError, a TimeoutError, and is retried like others."""
    seen: list[int] = []

    async def slow(ctx) -> str:
        if ctx.attempt not in seen:
            seen.append(ctx.attempt)
        if ctx.attempt == 1:
            await ctx.wait_for_signal("never")
        return "in time"

    limited = component(name="limited", timeout=0.03, retries=policy(2))(slow)
    once = component(name="once", timeout=0.03, retries=policy(1))(slow)

    assert await limited() == "in time"
    assert seen == [1, 2]
    with pytest.raises(StepTimeoutError, match="once"):
        await once()
    with pytest.raises(TimeoutError):
        await once()


async def test_a_caller_hears_only_of_the_end(world: World):
    """While a run waits for its next attempt, its result is still to come."""
    fail, seen = failing(Stolen(), times=1)
    handle = await function(name="f", retries=RetryPolicy(initial_interval=3600, max_interval=3600))(fail).submit()
    waiting = asyncio.create_task(handle.result())
    await until(lambda: seen)
    await until_status(handle, "suspended")
    assert not waiting.done()

    await world.turn(5000)

    assert await waiting == "done"
