"""Workflow bodies that mix steps, timers, events, signals, children, state, spawn and cancellation."""

import asyncio
from contextlib import suppress
from typing import Any

from agnt5 import WorkflowContext, get_run, workflow

from .parts import fail, send_events, signal_self, steps, work


@workflow(name="replay_child")
async def child(ctx: WorkflowContext, n: int) -> str:
    """A child run; some fail, some are slow."""
    await ctx.step(work, f"child{n}", n % 3)
    if n == 3:
        raise LookupError("child three")
    if n == 4:
        await ctx.sleep(60)
    return f"child {n} of {ctx.attempt}"


async def mixture(ctx: WorkflowContext) -> Any:
    order: list[Any] = []

    async def note(what: str, awaitable: Any) -> None:
        try:
            order.append([what, await awaitable])
        except Exception as error:
            order.append([what, type(error).__name__])
        await ctx.step(work, f"noted-{what}", 0)

    async with asyncio.TaskGroup() as group:
        for n in range(4):
            group.create_task(note(f"step{n}", ctx.step(work, f"s{n}", n % 3)))
            group.create_task(note(f"child{n}", child(n)))
            group.create_task(note(f"signal{n}", ctx.wait_for_signal("go", timeout=30)))
            group.create_task(note(f"event{n}", ctx.wait_for_event(f"{ctx.run_id}/{n}", timeout=30)))
            group.create_task(note(f"sleep{n}", ctx.sleep(0.002 * (4 - n))))
            group.create_task(note(f"state{n}", ctx.state.set(f"k{n}", n)))
        group.create_task(note("signals", ctx.step(signal_self, ctx.run_id, "go", 4)))
        group.create_task(note("events", ctx.step(send_events, ctx.run_id, 4)))
        group.create_task(note("spawn", ctx.spawn([(f"spawn{n % 2}", work, f"p{n}", n % 3) for n in range(5)])))
    return [order, sorted(await ctx.state.keys())]


async def races(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []
    for n in range(6):
        racers = [
            asyncio.create_task(ctx.step(work, f"r{n}", 2), name="step"),
            asyncio.create_task(ctx.sleep(0.002), name="sleep"),
            asyncio.create_task(ctx.wait_for_signal("go"), name="signal"),
            asyncio.create_task(child(4 if n % 2 else n), name="child"),
        ]
        if n % 2:
            await ctx.step(signal_self, ctx.run_id, "go", 1)
        done, pending = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
        seen.append([task.get_name() for task in done])
        for task in pending:
            task.cancel()
        await asyncio.wait(racers)
    return [seen, await ctx.step(work, "end", 0)]


async def signals_and_timeouts(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []

    async def listen(name: str) -> None:
        while True:
            try:
                seen.append([name, await ctx.wait_for_signal("go", timeout=0.006)])
                await ctx.step(work, f"{name}-{len(seen)}", 1)
            except TimeoutError:
                return

    await asyncio.gather(listen("a"), listen("b"), ctx.step(signal_self, ctx.run_id, "go", 5))
    with suppress(TimeoutError):
        await ctx.wait_for_event(f"{ctx.run_id}/never", timeout=0.003)
    return seen


async def handles(ctx: WorkflowContext) -> Any:
    submitted = [await child.submit(n) for n in range(4)]
    order: list[Any] = []

    async def follow(n: int) -> None:
        try:
            order.append(await submitted[n].result())
        except LookupError as error:
            order.append(str(error))
        await ctx.step(work, f"followed{n}", 0)

    await asyncio.gather(*(follow(n) for n in range(4)))
    slow = await child.submit(4)
    await slow.signal("hello", 1)
    await slow.cancel()
    status = ""
    while status != "cancelled":
        await ctx.sleep(0.002)
        status = await get_run(slow.id).status()
    return order


async def state_and_chance(ctx: WorkflowContext) -> Any:
    async def branch(n: int) -> list[Any]:
        await ctx.step(work, f"b{n}", n % 3)
        await ctx.state.set(f"n{n % 2}", [*await ctx.state.get(f"n{n % 2}", []), n])
        drawn = [ctx.random.randrange(100), str(ctx.uuid4()), ctx.now().isoformat()]
        await ctx.step(work, f"{drawn[0]}", 0)
        if n == 3:
            await ctx.state.delete("n1")
        return drawn

    return [await asyncio.gather(*(branch(n) for n in range(6))), await ctx.state.get("n0"), await ctx.state.keys()]


async def errors_and_compensation(ctx: WorkflowContext) -> Any:
    done: list[str] = []
    try:
        async with asyncio.TaskGroup() as group:
            for n in range(3):
                group.create_task(steps(ctx, f"book{n}", [n, 1], done))
            await ctx.step(fail, "pay")
    except* ValueError:
        await asyncio.gather(*(ctx.step(work, f"undo-{each}", 1) for each in done), return_exceptions=True)
    finally:
        await ctx.step(work, "notify", 0)
    return len(done) >= 0


async def patched_places(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []
    for n in range(4):
        if ctx.patched("new-way"):
            seen.append(await ctx.step(work, f"new{n}", n % 2))
        if ctx.patched(f"at-{n}"):
            await ctx.sleep(0.001)
    return seen


async def cancelled_from_outside(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []

    async def branch(n: int) -> None:
        try:
            await steps(ctx, f"b{n}", [1, 500])
        finally:
            seen.append(await ctx.step(work, f"undo{n}", n % 3))

    await (await child.submit(0)).result()
    try:
        await asyncio.gather(*(branch(n) for n in range(4)), child(4), ctx.sleep(50), ctx.step(cancel_run, ctx.run_id))
    except asyncio.CancelledError:
        await ctx.sleep(0.005)
        seen.append(await ctx.step(work, "after", 0))
    return seen


async def cancel_run(run_id: str) -> None:
    """Ask for the end of a run after a while, as somebody outside would."""
    await asyncio.sleep(0.005)
    await get_run(run_id).cancel()


async def fails_in_the_end(ctx: WorkflowContext) -> Any:
    await asyncio.gather(steps(ctx, "a", [1, 2]), ctx.sleep(0.002))
    await asyncio.gather(ctx.step(fail, "last"), ctx.step(work, "open", 20))


async def long_loop(ctx: WorkflowContext) -> Any:
    total = 0
    for n in range(300):
        total += len(await ctx.step(work, f"{n}", 0))
    return total


BODIES = [
    value
    for value in list(globals().values())
    if getattr(value, "__module__", "") == __name__ and value not in (child, cancel_run)
]
