"""Steps: what they run, how they are told apart, what they return and how they fail."""

import asyncio
import threading
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest

from agnt5 import (
    FunctionContext,
    InvalidInput,
    RemoteError,
    RetryPolicy,
    StepTimeoutError,
    UnserializableValue,
    WorkflowContext,
    ctx,
    function,
    workflow,
)

from .world import World, events_of

FAST = RetryPolicy(max_attempts=3, initial_interval=0.001)


@dataclass
class Receipt:
    """What a step returns, where an annotation names it."""

    order: str
    cents: int


class Machine:
    """Something with a method."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    async def times(self, n: int) -> int:
        """Multiply."""
        return self.factor * n


async def test_a_step_takes_every_sort_of_callable(world: World):
    """Components, async and plain functions, lambdas, methods, partials; with and without a name."""

    @function
    async def component(ctx: FunctionContext, n: int) -> int:
        return n + 1

    @function
    def plain_component(n: int) -> int:
        return n + 2

    async def coroutine(n: int) -> int:
        return n + 3

    def plain(n: int, *, plus: int = 4) -> int:
        return n + plus

    @workflow
    async def flow(ctx: WorkflowContext) -> list[int]:
        return [
            await ctx.step(component, 0),
            await ctx.step(plain_component, 0),
            await ctx.step(coroutine, n=0),
            await ctx.step(plain, 0),
            await ctx.step(plain, 0, plus=5),
            await ctx.step("named", coroutine, 3),
            await ctx.step(lambda: 7),
            await ctx.step(lambda: coroutine(5)),
            await ctx.step(Machine(3).times, 3),
            await ctx.step(partial(plain, plus=10), 0),
            await ctx.step("builtin", sum, [5, 6]),
        ]

    handle = await flow.submit()

    assert await handle.result() == list(range(1, 12))
    names = [event.name for event in await events_of(handle, "outcome")]
    assert names[:7] == ["component", "plain_component", "coroutine", "plain", "plain", "named", "<lambda>"]


async def test_a_callable_may_want_a_context(world: World):
    """It gets its own; one that the caller passes is replaced."""

    async def wanting(ctx: FunctionContext, n: int) -> list:
        return [ctx.attempt, n, ctx.idempotency_key]

    @workflow
    async def flow(ctx: WorkflowContext) -> list:
        return [await ctx.step(wanting, 1), await ctx.step(wanting, ctx, 2)]

    first, second = await flow()

    assert (first[:2], second[:2]) == ([1, 1], [1, 2])
    assert first[2] != second[2]


async def test_a_workflow_as_a_step_is_a_child(world: World):
    """It can't run inside a step, being replayed itself."""

    @workflow
    async def inner(ctx: WorkflowContext, n: int) -> list:
        return [ctx.run_id, n]

    @workflow
    async def outer(ctx: WorkflowContext) -> list:
        return await ctx.step(inner, 5)

    handle = await outer.submit()

    child, n = await handle.result()
    assert n == 5
    assert child != handle.id


async def test_a_completed_step_never_runs_again(world: World):
    """Whatever happens to its run afterwards."""
    ran: list[str] = []

    @workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        await ctx.step(ran.append, "first")
        await ctx.sleep(0.001)
        await ctx.step(ran.append, "second")
        await ctx.wait_for_signal("go")
        await ctx.step(ran.append, "third")
        return ran

    handle = await flow.submit()
    await ctx_waits(handle)
    await world.restart()
    await handle.signal("go")

    assert await handle.result() == ["first", "second", "third"]
    assert ran == ["first", "second", "third"]


async def ctx_waits(handle) -> None:
    """Wait until the run waits for its signal."""
    async for event in handle.events():
        if event.name == "append" and "second" in str(event.data):
            return


@pytest.mark.parametrize("mutate", [False, True])
async def test_what_a_step_returned_is_a_copy(world: World, mutate: bool):
    """The body can change what it got without changing what is recorded, or what the step holds on to."""
    kept = {"items": [1]}

    @workflow
    async def flow(ctx: WorkflowContext) -> dict:
        got = await ctx.step(lambda: kept)
        if mutate:
            got["items"].append(2)
        await ctx.sleep(0.001)
        return got

    assert await flow() == {"items": [1, 2] if mutate else [1]}
    assert kept == {"items": [1]}


async def test_annotated_classes_come_back(world: World):
    """As argument, as result, and nested."""

    async def pay(receipt: Receipt) -> list[Receipt]:
        return [receipt, Receipt(receipt.order, receipt.cents + 1)]

    @workflow
    async def flow(ctx: WorkflowContext) -> Receipt:
        receipts = await ctx.step(pay, Receipt("42", 100))
        await ctx.sleep(0.001)
        return receipts[1]

    assert await flow() == Receipt("42", 101)


async def test_a_result_that_no_annotation_names_is_an_error_at_the_step(world: World):
    """Never a silent dict; made again it would come out the same, so it isn't tried again."""
    ran: list[None] = []

    def pay():
        ran.append(None)
        return Receipt("42", 100)

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        try:
            await ctx.step(pay)
        except UnserializableValue as error:
            return str(error)
        return "came back"

    assert "Receipt" in await flow()
    assert len(ran) == 1


async def test_an_argument_that_cannot_be_journaled_is_refused_where_it_is_passed(world: World):
    """Before anything runs."""

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        try:
            await ctx.step(print, object())
        except UnserializableValue:
            return "refused"
        return "taken"

    assert await flow() == "refused"


@pytest.mark.parametrize("call", [lambda ctx: ctx.step("name"), lambda ctx: ctx.step(3), lambda ctx: ctx.step(len)])
async def test_a_step_that_cannot_be_is_refused(world: World, call):
    """A name alone, something that isn't callable, arguments that don't fit."""

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        try:
            await call(ctx)
        except InvalidInput as error:
            return error.fix
        return ""

    assert await flow()


# Options


async def test_a_name_says_what_the_step_is_called(world: World):
    """In the journal; the function is as it was."""

    @workflow
    async def flow(ctx: WorkflowContext) -> int:
        return await ctx.step.options(name="fetch")(lambda: 1) + await ctx.step("fetch again", lambda: 2)

    handle = await flow.submit()

    assert await handle.result() == 3
    assert [event.name for event in await events_of(handle, "outcome")] == ["fetch", "fetch again"]


async def test_a_key_identifies_a_step_in_place_of_its_arguments(world: World):
    """On a retry of the run the step is the same though its arguments have changed."""
    ran: list[str] = []

    @workflow(retries=FAST)
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step.options(key="the one")(ran.append, f"attempt {ctx.attempt}")
        if ctx.attempt == 1:
            raise ValueError("once")

    await flow()

    assert ran == ["attempt 1"]


async def test_every_step_has_its_own_idempotency_key(world: World):
    """Also two of the same function with the same arguments; and it is the same in every attempt."""
    keys: list[str] = []

    def note(fail: bool) -> None:
        keys.append(ctx.idempotency_key)
        if fail and len(keys) == 1:
            raise ConnectionError

    @workflow(step_retries=FAST)
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step(note, True)
        await ctx.step(note, False)
        await ctx.step(note, False)

    await flow()
    await flow()

    assert keys[0] == keys[1]
    assert len(set(keys)) == 6


async def test_options_of_the_call_win_over_those_of_the_function_and_the_workflow(world: World):
    """The step's own, then the component's, then the workflow's, then the default."""

    def failing() -> None:
        raise ConnectionError

    limited = function(name="limited", retries=RetryPolicy(max_attempts=2, initial_interval=0.001))(failing)

    @workflow(step_retries=RetryPolicy(max_attempts=4, initial_interval=0.001))
    async def flow(ctx: WorkflowContext) -> None:
        for step in (ctx.step.options(retries=1), ctx.step):
            for fn in (limited, failing):
                try:
                    await step(fn)
                except ConnectionError:
                    continue

    handle = await flow.submit()
    await handle.result()

    assert [event.data.get("attempt", 1) for event in await events_of(handle, "outcome")] == [1, 1, 2, 4]


async def test_options_do_not_stay(world: World):
    """They are for the one call."""

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step.options(name="named")(lambda: None)
        await ctx.step(int)

    handle = await flow.submit()
    await handle.result()

    assert [event.name for event in await events_of(handle, "outcome")] == ["named", "int"]


# Time limits


@pytest.mark.parametrize("limit", [0.02, timedelta(milliseconds=20)])
async def test_an_attempt_that_takes_too_long_is_a_step_timeout(world: World, limit):
    """Which is a TimeoutError; each attempt has the whole time, and counts."""
    began: list[int] = []

    async def slow(ctx: FunctionContext) -> None:
        began.append(ctx.attempt)
        await asyncio.Event().wait()

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        policy = RetryPolicy(max_attempts=2, initial_interval=0.001)
        try:
            await ctx.step.options(timeout=limit, retries=policy)(slow)
        except TimeoutError as error:
            return type(error).__name__
        return "in time"

    assert await flow() == StepTimeoutError.__name__
    assert began == [1, 2]


async def test_a_sync_step_that_takes_too_long_is_left_behind(world: World):
    """A thread can't be stopped; what it comes to later is ignored."""
    release = threading.Event()

    def slow() -> str:
        release.wait(5)
        return "late"

    @workflow(step_timeout=0.02, step_retries=1)
    async def flow(ctx: WorkflowContext) -> str:
        try:
            return await ctx.step(slow)
        except StepTimeoutError:
            return "timed out"

    try:
        assert await flow() == "timed out"
    finally:
        release.set()


async def test_a_step_that_cleans_up_after_its_timeout_has_still_timed_out(world: World):
    """What it returns then comes too late."""

    async def slow() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "cleaned up"
        return ""

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        try:
            return await ctx.step.options(timeout=0.02, retries=1)(slow)
        except StepTimeoutError:
            return "timed out"

    assert await flow() == "timed out"


# Failures


class Declined(Exception):
    """An exception with arguments and attributes of its own."""

    def __init__(self, order: str, *, cents: int) -> None:
        super().__init__(f"{order} was declined")
        self.order = order
        self.cents = cents


async def test_an_exception_keeps_its_type_and_what_it_holds(world: World):
    """Live and in replay, in the body and at the caller."""

    def decline() -> None:
        raise Declined("42", cents=7)

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        try:
            await ctx.step.options(retries=1)(decline)
        except Declined as error:
            held = [type(error) is Declined, str(error), error.order, error.cents]
            await ctx.sleep(0.001)
            await ctx.state.set("held", held)
            raise

    handle = await flow.submit()

    with pytest.raises(Declined) as raised:
        await handle.result()
    assert (raised.value.order, raised.value.cents) == ("42", 7)
    assert await handle.state.get("held") == [True, "42 was declined", "42", 7]


async def test_an_exception_of_a_type_nobody_finds_is_a_remote_error(world: World):
    """It says what it was and what it said."""

    class Local(Exception):
        """Inside a function, where no module holds it."""

    def fail() -> None:
        raise Local("so there")

    @workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        try:
            await ctx.step.options(retries=1)(fail)
        except RemoteError as error:
            return [error.type_name, error.message]
        return []

    type_name, message = await flow()

    assert type_name.endswith("Local")
    assert message == "so there"


async def test_a_step_that_cancels_itself_has_failed(world: World):
    """A CancelledError that nobody asked for doesn't cancel the run."""

    async def odd() -> None:
        raise asyncio.CancelledError

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        try:
            await ctx.step.options(retries=1)(odd)
        except RuntimeError as error:
            return str(error)
        return ""

    assert "CancelledError" in await flow()


async def test_a_step_that_raises_stop_iteration_has_failed(world: World):
    """Which a coroutine could not raise."""

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        try:
            await ctx.step.options(retries=1)(lambda: next(iter(())))
        except RuntimeError:
            return "failed"
        return ""

    assert await flow() == "failed"


async def test_a_step_that_is_never_awaited_says_so(world: World):
    """It didn't happen; a warning names the line."""
    ran: list[None] = []

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        ctx.step(lambda: ran.append(None))

    with pytest.warns(RuntimeWarning, match="never awaited"):
        await flow()

    assert ran == []
