"""What a step may ask of its own context."""

import pytest

from agnt5 import FunctionContext, InvalidInput, RetryPolicy, WorkflowContext, function, send_event, workflow

from .world import World, events_of

FAST = RetryPolicy(max_attempts=3, initial_interval=0.001)


async def test_a_step_may_have_steps(world: World):
    """Its context journals for it: what it had done is not done again when it is tried again."""
    ran: list[str] = []

    @function(retries=FAST)
    async def outer(ctx: FunctionContext) -> list[str]:
        first = await ctx.step("inner", lambda: ran.append("first") or "first")
        if ctx.attempt == 1:
            raise ConnectionError
        return [first, await ctx.step("inner", lambda: ran.append("second") or "second")]

    @workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        found = await ctx.step(outer)
        await ctx.sleep(0.001)
        return found

    assert await flow() == ["first", "second"]
    assert ran == ["first", "second"]


async def test_a_step_may_call_sleep_and_wait(world: World):
    """All that a context offers, but signals: these are taken by the body, in order."""

    @function
    async def child(n: int) -> int:
        return n + 1

    async def busy(ctx: FunctionContext) -> list:
        await ctx.sleep(0.001)
        await ctx.state.set("seen", 1)
        values = [await child(1), await ctx.wait_for_event("given"), await ctx.state.get("seen")]
        with pytest.raises(InvalidInput, match="signal"):
            await ctx.wait_for_signal("x")
        return values

    @workflow
    async def flow(ctx: WorkflowContext) -> list:
        await send_event("given", "it")
        return [*await ctx.step(busy), await ctx.state.get("seen")]

    assert await (await flow.submit()).result(timeout=5) == [2, "it", 1, 1]


async def test_sync_steps_may_call_components(world: World):
    """`run_sync` from a step's thread is a child of its run."""

    @function
    async def child(n: int) -> int:
        return n + 1

    def in_thread() -> int:
        return child.run_sync(1) + child.run_sync(2)

    @workflow
    async def flow(ctx: WorkflowContext) -> int:
        return await ctx.step(in_thread)

    handle = await flow.submit()

    assert await handle.result(timeout=5) == 5
    assert [event.data["kind"] for event in await events_of(handle, "begun")] == ["call", "call"]
