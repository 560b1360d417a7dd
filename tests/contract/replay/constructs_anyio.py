"""Workflow bodies that use anyio's task groups, cancel scopes, locks and streams."""

import math
from typing import Any

import anyio
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from agnt5 import WorkflowContext

from .parts import fail, steps, work


async def anyio_task_group(ctx: WorkflowContext) -> Any:
    seen: list[str] = []
    async with anyio.create_task_group() as group:
        for n in range(6):
            group.start_soon(steps, ctx, f"t{n}", [n % 3, 1], seen)
    return seen


async def anyio_group_started(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []

    async def server(n: int, *, task_status: TaskStatus[str]) -> None:
        task_status.started(await ctx.step(work, f"boot{n}", n % 2))
        seen.append(await ctx.step(work, f"serve{n}", 3 - n))

    async with anyio.create_task_group() as group:
        for n in range(3):
            seen.append(await group.start(server, n))
    return seen


async def anyio_group_failed(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []

    async def branch(n: int) -> None:
        try:
            await steps(ctx, f"t{n}", [1, 300])
        finally:
            with anyio.CancelScope(shield=True):
                seen.append(await ctx.step(work, f"undo{n}", n % 3))

    try:
        async with anyio.create_task_group() as group:
            for n in range(6):
                group.start_soon(branch, n)
            await anyio.sleep(0.01)
            await ctx.step(fail, "broken")
    except* ValueError as errors:
        seen.append(repr(errors.exceptions))
    return seen


async def anyio_child_scopes_cancelled(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []

    async def branch(n: int) -> None:
        with anyio.move_on_after(60):
            try:
                await ctx.sleep(50)
            finally:
                with anyio.CancelScope(shield=True):
                    seen.append(await ctx.step(work, f"undo{n}", n % 2))

    with anyio.move_on_after(0.005):
        async with anyio.create_task_group() as group:
            for n in range(9):
                group.start_soon(branch, n)
    return seen


async def anyio_slow_cleanup(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []

    async def branch(n: int) -> None:
        try:
            await ctx.sleep(50)
        finally:
            with anyio.CancelScope(shield=True):
                await ctx.sleep(0.02)
                seen.append(await ctx.step(work, f"undo{n}", 10))

    with anyio.move_on_after(0.002) as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(branch, 0)
            group.start_soon(branch, 1)
            await ctx.sleep(50)
    return [*seen, scope.cancelled_caught]


async def anyio_move_on_after(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []
    for n, limit in enumerate([0.003, 5, 0, math.inf]):
        with anyio.move_on_after(limit) as scope:
            seen.append(await steps(ctx, f"m{n}", [0, 60 if n == 0 else 1]))
        seen.append(scope.cancelled_caught)
    return [*seen, await ctx.step(work, "after", 0)]


async def anyio_fail_after(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []
    for n in range(3):
        try:
            with anyio.fail_after(0.004 + n * 5):
                seen.append(await steps(ctx, f"f{n}", [0, 60 if n == 0 else 1]))
        except TimeoutError:
            seen.append(await ctx.step(work, f"late{n}", 0))
    return seen


async def anyio_scopes_nested(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []
    with anyio.move_on_after(0.03) as outer:
        while True:
            with anyio.move_on_after(0.004) as inner, anyio.CancelScope(shield=len(seen) == 1):
                seen.append(await steps(ctx, f"n{len(seen)}", [1, 200 if len(seen) != 1 else 2]))
            seen.append(inner.cancelled_caught)
            await ctx.step(work, f"next{len(seen)}", 1)
    return [*seen, outer.cancelled_caught, await ctx.step(work, "end", 0)]


async def anyio_limiter(ctx: WorkflowContext) -> Any:
    limiter, seen = anyio.CapacityLimiter(2), []

    async def enter(n: int) -> None:
        async with limiter:
            seen.append(await ctx.step(work, f"in{n}", n * 3 % 4))

    async with anyio.create_task_group() as group:
        for n in range(7):
            group.start_soon(enter, n)
    return seen


async def anyio_streams(ctx: WorkflowContext) -> Any:
    send, receive = anyio.create_memory_object_stream[str](1)
    seen: list[Any] = []

    async def produce(n: int, sink: MemoryObjectSendStream[str]) -> None:
        async with sink:
            for m in range(3):
                await sink.send(await ctx.step(work, f"make{n}.{m}", (n + m) % 3))

    async def consume(n: int, source: MemoryObjectReceiveStream[str]) -> None:
        async with source:
            async for item in source:
                seen.append([n, item])
                await ctx.step(work, f"eat-{item}", n)

    async with anyio.create_task_group() as group, send, receive:
        for n in range(3):
            group.start_soon(produce, n, send.clone())
            group.start_soon(consume, n, receive.clone())
    return seen


async def anyio_locks(ctx: WorkflowContext) -> Any:
    lock, changed, gate, go, seen = anyio.Lock(), anyio.Condition(), anyio.Semaphore(2), anyio.Event(), []

    async def branch(n: int) -> None:
        async with gate:
            await ctx.step(work, f"gate{n}", n % 2)
        async with lock:
            seen.append(await ctx.step(work, f"lock{n}", 1))
        await go.wait()
        async with changed:
            await changed.wait()
            seen.append(n)

    async with anyio.create_task_group() as group:
        for n in range(4):
            group.start_soon(branch, n)
        await anyio.sleep(0.01)
        go.set()
        while len(seen) < 8:
            await ctx.step(work, f"poke{len(seen)}", 1)
            async with changed:
                changed.notify(1)
    return seen


BODIES = [value for value in list(globals().values()) if getattr(value, "__module__", "") == __name__]
