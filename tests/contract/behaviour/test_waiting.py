"""What a run waits for: time, events and signals."""

import asyncio
from datetime import timedelta

import pytest

from agnt5 import ConflictError, InvalidInput, UnserializableValue, WorkflowContext, function, send_event, workflow

from .world import World, events_of, until, until_status

# The same waits in a body that is replayed, and in one on an ordinary loop.
KINDS = pytest.mark.parametrize("component", [workflow, function], ids=["workflow", "function"])


# Time


@pytest.mark.parametrize("duration", [3600, 3600.0, timedelta(hours=1)])
async def test_a_sleep_lasts_as_long_as_it_was_told(world: World, duration):
    """Not shorter; seconds or a timedelta."""

    @workflow
    async def flow(ctx: WorkflowContext) -> float:
        began = ctx.now()
        await ctx.sleep(duration)
        return (ctx.now() - began).total_seconds()

    handle = await flow.submit()
    await until_status(handle, "suspended")
    await world.turn(3590)
    assert await handle.status() == "suspended"

    await world.turn(20)

    assert 3600 <= await handle.result(timeout=5) < 3700


async def test_a_sleep_does_not_start_over(world: World):
    """A restart in the middle takes up what is left of it."""

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        await ctx.sleep(3600)
        return "slept"

    handle = await flow.submit()
    await until_status(handle, "suspended")
    await world.turn(3000)
    await world.restart()
    await until_status(handle, "suspended")

    await world.turn(601)

    assert await handle.result(timeout=5) == "slept"


async def test_a_sleep_that_ended_while_nobody_ran_is_over(world: World):
    """It ends when the runtime is up again."""

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        await ctx.sleep(3600)
        return "slept"

    handle = await flow.submit()
    await until_status(handle, "suspended")
    await world.stop()
    world.clock.turn(4000)
    await world.start()

    assert await handle.result(timeout=5) == "slept"


@KINDS
async def test_short_sleeps_in_parallel_end_in_their_order(world: World, component):
    """Soonest first, in bodies of both sorts."""

    @component(name="sleeping")
    async def sleeping(ctx) -> list[int]:
        order: list[int] = []

        async def one(n: int) -> None:
            await ctx.sleep(n / 100)
            order.append(n)

        await asyncio.gather(one(3), one(1), one(2))
        return order

    assert await sleeping() == [1, 2, 3]


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "1", True])
async def test_a_sleep_that_cannot_be_is_refused(world: World, seconds):
    """At the call."""

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        try:
            await ctx.sleep(seconds)
        except InvalidInput:
            return "refused"
        return "slept"

    assert await flow() == "refused"


async def test_asyncio_sleep_is_a_durable_timer(world: World):
    """In a workflow there is no other."""

    @workflow
    async def flow() -> str:
        await asyncio.sleep(3600)
        return "slept"

    handle = await flow.submit()
    await until_status(handle, "suspended")
    await world.restart()
    await world.turn(3601)

    assert await handle.result(timeout=5) == "slept"


# Events


@KINDS
async def test_an_event_reaches_who_waits_and_who_comes_later(world: World, component):
    """Several waiters, in one run and in others; sent before or after the wait."""

    @component(name="waiting")
    async def waiting(ctx, event: str) -> list:
        return list(await asyncio.gather(ctx.wait_for_event(event), ctx.wait_for_event(event)))

    early = [await waiting.submit("paid") for _ in range(2)]
    for handle in early:
        await until_status(handle, "suspended")
    await send_event("paid", {"cents": 5})
    late = await waiting.submit("paid")

    results = [await handle.result(timeout=5) for handle in (*early, late)]
    assert results == [[{"cents": 5}, {"cents": 5}]] * 3


async def test_an_event_is_kept_over_a_restart(world: World):
    """Whether or not somebody waits for it yet."""

    @workflow
    async def waiting(ctx: WorkflowContext, event: str) -> int:
        return await ctx.wait_for_event(event)

    handle = await waiting.submit("late")
    await send_event("early", 1)
    await until_status(handle, "suspended")
    await world.restart()
    await send_event("late", 2)

    assert await handle.result(timeout=5) == 2
    assert await waiting("early") == 1


async def test_the_first_payload_of_an_event_wins(world: World):
    """The same again is nothing, whatever the order of its members; another one is a conflict."""

    @workflow
    async def waiting(ctx: WorkflowContext) -> dict:
        return await ctx.wait_for_event("paid")

    await send_event("paid", {"a": 1, "b": 2})
    await send_event("paid", {"b": 2, "a": 1})
    with pytest.raises(ConflictError, match="paid"):
        await send_event("paid", {"a": 1})

    assert await waiting() == {"a": 1, "b": 2}


async def test_an_event_without_payload_is_none(world: World):
    """Which is a payload too, and not the same as another."""

    @workflow
    async def waiting(ctx: WorkflowContext) -> object:
        return await ctx.wait_for_event("done")

    await send_event("done")
    with pytest.raises(ConflictError):
        await send_event("done", 0)

    assert await waiting() is None


@KINDS
async def test_waiting_for_an_event_ends_with_the_builtin_timeout(world: World, component):
    """And what comes later is there for the next who asks."""

    @component(name="waiting")
    async def waiting(ctx) -> list:
        try:
            await ctx.wait_for_event("paid", timeout=0.02)
        except TimeoutError as error:
            said = [type(error) is TimeoutError, "paid" in str(error)]
        await ctx.state.set("late", True)
        await ctx.wait_for_signal("sent")
        return [*said, await ctx.wait_for_event("paid", timeout=10)]

    handle = await waiting.submit()
    await until(lambda: handle.state.get("late"))
    await send_event("paid", 9)
    await handle.signal("sent")

    assert await handle.result(timeout=5) == [True, True, 9]


@KINDS
async def test_an_event_in_time_stops_the_clock(world: World, component):
    """The timeout that was set for it doesn't go off later."""

    @component(name="waiting")
    async def waiting(ctx) -> list:
        first = await ctx.wait_for_event("paid", timeout=0.05)
        await ctx.sleep(0.1)
        return [first, await ctx.wait_for_event("paid", timeout=timedelta(seconds=0.05))]

    handle = await waiting.submit()
    await send_event("paid", 1)

    assert await handle.result(timeout=5) == [1, 1]


async def test_runs_send_events_once(world: World):
    """From a body it is journaled; a conflict is raised there."""

    @workflow
    async def sending(ctx: WorkflowContext) -> list[str]:
        await send_event("paid", 1)
        await send_event("paid", 1)
        try:
            await send_event("paid", 2)
        except ConflictError as error:
            return [error.event_id]
        return []

    handle = await sending.submit()

    assert await handle.result(timeout=5) == ["paid"]
    assert [event.name for event in await events_of(handle, "outcome")] == ["paid"] * 3


@pytest.mark.parametrize("event_id", ["", 5, None])
async def test_an_event_id_is_a_text(world: World, event_id):
    """On both sides."""

    @workflow
    async def waiting(ctx: WorkflowContext) -> str:
        try:
            await ctx.wait_for_event(event_id)
        except InvalidInput:
            return "refused"
        return "waited"

    with pytest.raises(InvalidInput):
        await send_event(event_id, 1)
    assert await waiting() == "refused"


async def test_a_payload_that_cannot_be_journaled_is_refused(world: World):
    """At the sender."""

    @workflow
    async def waiting(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("x")

    handle = await waiting.submit()

    with pytest.raises(UnserializableValue):
        await send_event("paid", object())
    with pytest.raises(UnserializableValue):
        await handle.signal("x", object())


# Signals


@KINDS
async def test_signals_are_first_in_first_out(world: World, component):
    """Per name; those that came before the wait, and before the run began, are kept."""

    @component(name="reading")
    async def reading(ctx) -> list:
        first = [await ctx.wait_for_signal("a") for _ in range(2)]
        return [first, await ctx.wait_for_signal("b"), await ctx.wait_for_signal("a")]

    handle = await reading.submit(delay=3600)
    for name, payload in [("a", 1), ("b", 2), ("a", 3), ("a", 4), ("a", 5)]:
        await handle.signal(name, payload)
    await world.turn(3601)

    assert await handle.result(timeout=5) == [[1, 3], 2, 4]


async def test_signals_survive_a_restart(world: World):
    """Read ones are not read again, unread ones are not lost."""

    @workflow
    async def reading(ctx: WorkflowContext) -> list[int]:
        found = []
        while len(found) < 3:
            found.append(await ctx.wait_for_signal("n"))
            await ctx.state.set("found", found)
        return found

    handle = await reading.submit()
    await handle.signal("n", 1)
    await until(lambda: _has(handle, [1]))
    await world.restart()
    await handle.signal("n", 2)
    await until(lambda: _has(handle, [1, 2]))
    await handle.signal("n", 3)

    assert await handle.result(timeout=5) == [1, 2, 3]


async def _has(handle, found: list[int]) -> bool:
    return await handle.state.get("found") == found


@KINDS
async def test_waiting_for_a_signal_ends_with_the_builtin_timeout(world: World, component):
    """What comes afterwards goes to the next who asks."""

    @component(name="reading")
    async def reading(ctx) -> list:
        found = []
        try:
            await ctx.wait_for_signal("n", timeout=0.01)
        except TimeoutError as error:
            found.append("n" in str(error))
        await ctx.state.set("late", True)
        found.append(await ctx.wait_for_signal("n", timeout=10))
        return found

    handle = await reading.submit()
    await until(lambda: handle.state.get("late"))
    await handle.signal("n", 1)

    assert await handle.result(timeout=5) == [True, 1]


@KINDS
async def test_two_who_wait_for_a_signal_get_one_each(world: World, component):
    """In the order of waiting."""

    @component(name="reading")
    async def reading(ctx) -> list[int]:
        return list(await asyncio.gather(ctx.wait_for_signal("n"), ctx.wait_for_signal("n")))

    handle = await reading.submit()
    await until_status(handle, "suspended")
    await handle.signal("n", 1)
    await handle.signal("n", 2)

    assert await handle.result(timeout=5) == [1, 2]


async def test_a_wait_that_was_given_up_takes_no_signal(world: World):
    """One that was cancelled leaves it to the next."""

    @workflow
    async def reading(ctx: WorkflowContext) -> list:
        waiting = asyncio.create_task(_read(ctx))
        await ctx.sleep(0.001)
        waiting.cancel()
        await ctx.state.set("ready", True)
        return [await ctx.wait_for_signal("n")]

    handle = await reading.submit()
    await until(lambda: handle.state.get("ready"))
    await handle.signal("n", 1)

    assert await handle.result(timeout=5) == [1]


async def _read(ctx: WorkflowContext) -> int:
    return await ctx.wait_for_signal("n")


async def test_runs_signal_each_other(world: World):
    """A signal from a body is sent once."""

    @workflow
    async def reading(ctx: WorkflowContext) -> list[int]:
        return [await ctx.wait_for_signal("n"), await ctx.wait_for_signal("n")]

    @workflow
    async def sending(ctx: WorkflowContext) -> list[int]:
        handle = await reading.submit()
        await handle.signal("n", 1)
        await ctx.sleep(0.001)
        await handle.signal("n", 2)
        return await handle.result()

    assert await (await sending.submit()).result(timeout=5) == [1, 2]
