"""Things that happen at the same time, or in the order that nobody hoped for."""

import asyncio
from collections import Counter
from typing import Any

from contract.behaviour.world import World, events_of, until, until_status

from agnt5 import DurableContext, RunCancelledError, send_event, workflow

MOMENTS = 40


async def test_an_event_that_comes_too_late_changes_nothing(world: World):
    """R18, D26: a wait that timed out has timed out, also when the run is replayed after the event has come."""

    @workflow
    async def patient(ctx: DurableContext) -> list[str]:
        try:
            said = await ctx.wait_for_event("answer", timeout=0.02)
        except TimeoutError:
            said = "timed out"
        return [said, await ctx.wait_for_signal("go"), await ctx.wait_for_event("answer")]

    handle = await patient.submit()
    await until(lambda: _has_fired(handle))
    await send_event("answer", "late")
    await world.restart()
    await handle.signal("go", "on")

    assert await handle.result(timeout=10) == ["timed out", "on", "late"]


async def _has_fired(handle: Any) -> bool:
    explanation = await handle.explain()
    return "go" in explanation


async def test_the_first_success_wins_and_goes_on_winning(world: World):
    """R19, T51: of several waits the first that succeeds decides, in every replay too."""

    async def fail(number: int) -> None:
        raise ConnectionError(f"{number}")

    @workflow
    async def race(ctx: DurableContext) -> str:
        waits = [asyncio.ensure_future(ctx.wait_for_event(f"promise {number}")) for number in range(3)]
        failing = [asyncio.ensure_future(ctx.step.options(retries=1)(fail, number)) for number in range(3)]
        pending = {*waits, *failing}
        while True:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in (*waits, *failing) if task in done]:
                if task.exception() is None:
                    first = task.result()
                    return f"{first} {await ctx.wait_for_signal('end')}"

    handle = await race.submit()
    await until_status(handle, "suspended")
    await send_event("promise 1", "one")
    await send_event("promise 0", "zero")
    await world.restart()
    await handle.signal("end", "end")

    assert await handle.result(timeout=10) == "one end"


async def test_what_is_left_over_at_the_end_is_given_up(world: World):
    """T51: a body that returns while a task of it still sleeps is over, once, and nothing fires afterwards."""

    @workflow
    async def hasty(ctx: DurableContext) -> str:
        sleeper = asyncio.ensure_future(ctx.sleep(3600))
        await asyncio.sleep(0)
        return f"done, {'' if sleeper.done() else 'not '}slept"

    handle = await hasty.submit()

    assert await handle.result(timeout=10) == "done, not slept"
    await world.turn(7200)
    assert await events_of(handle, "fired") == []
    assert len(await events_of(handle, "ended")) == 1


async def test_a_shielded_step_finishes_though_its_body_was_cancelled(world: World):
    """T08, T52: what a body shields is not interrupted; it waits for it, and its outcome is recorded."""
    began, may_end = asyncio.Event(), asyncio.Event()
    effects: list[str] = []

    async def pay() -> str:
        began.set()
        await may_end.wait()
        effects.append("paid")
        return "paid"

    @workflow
    async def careful(ctx: DurableContext) -> str:
        paying = asyncio.ensure_future(ctx.step(pay))
        try:
            await asyncio.shield(paying)
        except asyncio.CancelledError:
            return f"cancelled, and {await paying}"
        return "never cancelled"

    handle = await careful.submit()
    await began.wait()
    await handle.cancel()
    may_end.set()

    assert await handle.result(timeout=10) == "cancelled, and paid"
    assert effects == ["paid"]


async def test_a_cancel_near_the_end_has_one_outcome(world: World):
    """D07: at whatever moment it comes, the run is completed or cancelled, its last step ran once, and that's that."""
    effects: list[int] = []

    async def last(number: int) -> str:
        effects.append(number)
        return "done"

    @workflow
    async def short(ctx: DurableContext, number: int) -> str:
        return await ctx.step(last, number)

    async def cancelled_after(number: int) -> str:
        handle = await short.submit(number)
        # These are the moments that are tried, from the first to one that is surely too late.
        await asyncio.sleep(number * 0.000_2)
        if number == MOMENTS - 1:
            await handle.result(timeout=10)
        await handle.cancel()
        try:
            heard = await handle.result(timeout=10)
        except RunCancelledError:
            heard = "cancelled"
        assert len(await events_of(handle, "ended")) == 1
        assert (heard, await handle.status()) in [("done", "completed"), ("cancelled", "cancelled")]
        return heard

    outcomes = [await cancelled_after(number) for number in range(MOMENTS)]

    assert outcomes[-1] == "done"
    assert max(Counter(effects).values()) == 1


async def test_submitting_and_signalling_under_one_key_makes_one_run(world: World):
    """T24: who submits with a key and then signals need not know whether the run was there."""

    @workflow
    async def collect(ctx: DurableContext) -> list[int]:
        return [await ctx.wait_for_signal("item") for _ in range(2)]

    handles = []
    for item in (1, 2):
        handle = await collect.submit(idempotency_key="cart-7")
        await handle.signal("item", item)
        handles.append(handle)

    assert handles[0].id == handles[1].id
    assert await handles[0].result(timeout=10) == [1, 2]
