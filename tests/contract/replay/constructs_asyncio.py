"""Workflow bodies that use what asyncio offers, each with several operations on several branches."""

import asyncio
import contextvars
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import Any

from agnt5 import WorkflowContext

from .parts import fail, fails_late, later, nap, steps, work


async def gather_branches(ctx: WorkflowContext) -> Any:
    return await asyncio.gather(*(steps(ctx, f"b{n}", [3 - n % 3, n % 2, 1]) for n in range(6)))


async def gather_with_exceptions(ctx: WorkflowContext) -> Any:
    found = await asyncio.gather(
        ctx.step(work, "a", 2), ctx.step(fail, "b"), nap(ctx, 0.001), fails_late(ctx), return_exceptions=True
    )
    return [repr(each) for each in found]


async def gather_first_exception_leaves_the_others(ctx: WorkflowContext) -> Any:
    seen: list[str] = []
    with suppress(ValueError):
        await asyncio.gather(steps(ctx, "x", [1, 2, 1], seen), ctx.step(fail, "y"), steps(ctx, "z", [2, 1], seen))
    await ctx.sleep(0.01)
    await ctx.step(work, "after", 0)
    return seen


async def gather_nested(ctx: WorkflowContext) -> Any:
    async def pair(n: int) -> Any:
        return await asyncio.gather(ctx.step(work, f"l{n}", n % 3), steps(ctx, f"r{n}", [1, 0]))

    return await asyncio.gather(asyncio.gather(pair(0), pair(1)), pair(2), asyncio.gather(pair(3)))


async def gather_cancelled(ctx: WorkflowContext) -> Any:
    seen: list[str] = []

    async def branch(n: int) -> None:
        try:
            await ctx.step(work, f"slow{n}", 500)
        finally:
            seen.append(await ctx.step(work, f"undo{n}", n % 2))

    gathered = asyncio.gather(*(branch(n) for n in range(5)))
    await ctx.sleep(0.002)
    gathered.cancel()
    with suppress(asyncio.CancelledError):
        await gathered
    await ctx.sleep(0.01)
    return seen


async def task_group(ctx: WorkflowContext) -> Any:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(steps(ctx, f"t{n}", [n % 3, 2, 0])) for n in range(5)]
    return [task.result() for task in tasks]


async def task_group_aborted(ctx: WorkflowContext) -> Any:
    seen: list[str] = []

    async def branch(n: int) -> None:
        try:
            await steps(ctx, f"t{n}", [1, 200 + n])
        except asyncio.CancelledError:
            seen.append(await ctx.step(work, f"undo{n}", 5 - n))
            raise

    try:
        async with asyncio.TaskGroup() as group:
            for n in range(6):
                group.create_task(branch(n))
            await ctx.sleep(0.01)
            await ctx.step(fail, "broken")
    except* ValueError as errors:
        seen.append(repr(errors.exceptions))
    return seen


async def task_groups_nested(ctx: WorkflowContext) -> Any:
    seen: list[str] = []

    async def inner(n: int) -> None:
        async with asyncio.TaskGroup() as group:
            for m in range(3):
                group.create_task(steps(ctx, f"{n}.{m}", [m, 1, 1, 90], seen))
            if n == 1:
                await ctx.sleep(0.004)
                await ctx.step(fail, "inner")

    with suppress(BaseExceptionGroup):
        async with asyncio.TaskGroup() as outer:
            for n in range(3):
                outer.create_task(inner(n))
    return seen


async def wait_first_completed(ctx: WorkflowContext) -> Any:
    pending = {asyncio.create_task(steps(ctx, f"w{n}", [n % 4, 1]), name=f"w{n}") for n in range(7)}
    order = []
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            order.append(task.get_name())
            await ctx.step(work, f"seen-{task.get_name()}", 0)
    return order


async def wait_first_exception(ctx: WorkflowContext) -> Any:
    tasks = [asyncio.create_task(steps(ctx, f"w{n}", [1, 30 * n])) for n in range(5)]
    tasks.append(asyncio.create_task(fails_late(ctx)))
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in pending:
        task.cancel()
    await asyncio.wait(tasks)
    return [len(done) >= 1, await ctx.step(work, "after", 0)]


async def wait_all_with_timeout(ctx: WorkflowContext) -> Any:
    tasks = [asyncio.create_task(steps(ctx, f"w{n}", [n, 0 if n < 3 else 300]), name=f"w{n}") for n in range(6)]
    done, pending = await asyncio.wait(tasks, timeout=0.02)
    for task in pending:
        task.cancel()
    for task in done:
        await ctx.step(work, f"done-{task.get_name()}", 0)
    for task in pending:
        await ctx.step(work, f"given-up-{task.get_name()}", 0)
    return len(done) + len(pending)


async def as_completed_of_tasks(ctx: WorkflowContext) -> Any:
    order = []
    for each in asyncio.as_completed([asyncio.create_task(steps(ctx, f"c{n}", [n % 3, n % 2])) for n in range(7)]):
        order.append(await each)
        await ctx.step(work, f"after-{len(order)}", 0)
    return order


async def as_completed_of_operations(ctx: WorkflowContext) -> Any:
    asked = [ctx.step(work, f"o{n}", n % 4) for n in range(7)]
    return [await each for each in asyncio.as_completed([*asked, asyncio.create_task(nap(ctx, 0.002))])]


async def as_completed_with_timeout(ctx: WorkflowContext) -> Any:
    order: list[Any] = []
    tasks = [asyncio.create_task(ctx.step(work, f"c{n}", 1 if n < 3 else 400)) for n in range(5)]
    try:
        for each in asyncio.as_completed(tasks, timeout=0.03):
            order.append(await each)
    except TimeoutError:
        order.append("late")
    for task in tasks:
        task.cancel()
    return [*order, await ctx.step(work, "after", 0)]


async def timeouts(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []
    for n, limit in enumerate([0.003, 5.0, 0.0, None]):
        try:
            async with asyncio.timeout(limit):
                seen.append(await steps(ctx, f"t{n}", [0, 40 if n == 0 else 1]))
        except TimeoutError:
            seen.append(await ctx.step(work, f"late{n}", 0))
    async with asyncio.timeout(0.001) as scope:
        scope.reschedule(asyncio.get_running_loop().time() + 9)
        seen.append(await ctx.step(work, "rescheduled", 3))
    return seen


async def timeouts_nested(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(0.02):
            for n in range(10):
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.003):
                        seen.append(await steps(ctx, f"n{n}", [0, 100]))
                seen.append(await ctx.step(work, f"next{n}", 1))
    return [*seen, await ctx.step(work, "end", 0)]


async def wait_for(ctx: WorkflowContext) -> Any:
    seen: list[Any] = [await asyncio.wait_for(steps(ctx, "quick", [0, 1]), 5)]
    for n in range(3):
        try:
            seen.append(await asyncio.wait_for(steps(ctx, f"slow{n}", [n, 300]), 0.01))
        except TimeoutError:
            seen.append(await ctx.step(work, f"late{n}", 0))
    try:
        await asyncio.wait_for(ctx.step(fail, "x"), 5)
    except ValueError as error:
        seen.append(str(error))
    return seen


async def shield(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []
    kept = asyncio.create_task(steps(ctx, "kept", [1, 5, 5], seen))
    with suppress(TimeoutError):
        async with asyncio.timeout(0.003):
            await asyncio.shield(kept)
    seen.append(await ctx.step(work, "meanwhile", 0))
    await kept
    return seen


async def sleeps(ctx: WorkflowContext) -> Any:
    order: list[Any] = []

    async def one(n: int) -> None:
        await (asyncio.sleep if n % 2 else ctx.sleep)(0.001 * (7 - n % 5))
        order.append([n, ctx.now().timestamp()])
        await asyncio.sleep(0)
        order.append(await ctx.step(work, f"s{n}", n % 2))

    await asyncio.gather(*(one(n) for n in range(8)))
    return order


async def more_sleeps_than_a_park_tells(ctx: WorkflowContext) -> Any:
    order: list[int] = []

    async def one(n: int) -> None:
        await ctx.sleep(0.001 * (n * 7 % 13) + 0.001)
        order.append(n)

    await asyncio.gather(*(one(n) for n in range(80)))
    return order


async def queues(ctx: WorkflowContext) -> Any:
    queue: asyncio.Queue[int | None] = asyncio.Queue(2)
    seen: list[Any] = []

    async def produce(n: int) -> None:
        for m in range(4):
            await ctx.step(work, f"make{n}.{m}", (n + m) % 3)
            await queue.put(10 * n + m)

    async def consume(n: int) -> None:
        while (item := await queue.get()) is not None:
            seen.append([n, item])
            await ctx.step(work, f"eat{item}", item % 3)
            queue.task_done()

    consumers = [asyncio.create_task(consume(n)) for n in range(3)]
    await asyncio.gather(*(produce(n) for n in range(3)))
    await queue.join()
    for _ in consumers:
        await queue.put(None)
    await asyncio.gather(*consumers)
    return seen


async def priority_queue(ctx: WorkflowContext) -> Any:
    queue: asyncio.PriorityQueue[tuple[int, str]] = asyncio.PriorityQueue()

    async def offer(n: int) -> None:
        queue.put_nowait((n * 5 % 7, await ctx.step(work, f"p{n}", n % 4)))

    async with asyncio.TaskGroup() as group:
        for n in range(7):
            group.create_task(offer(n))
        return [await queue.get() for _ in range(7)]


async def events(ctx: WorkflowContext) -> Any:
    go, seen = asyncio.Event(), []

    async def waiter(n: int) -> None:
        await ctx.step(work, f"before{n}", n % 3)
        await go.wait()
        seen.append(await ctx.step(work, f"after{n}", n % 2))

    async with asyncio.TaskGroup() as group:
        for n in range(5):
            group.create_task(waiter(n))
        await ctx.sleep(0.004)
        go.set()
    return seen


async def locks(ctx: WorkflowContext) -> Any:
    lock, seen = asyncio.Lock(), []

    async def holder(n: int) -> None:
        await ctx.step(work, f"come{n}", (5 - n) % 3)
        async with lock:
            seen.append(await ctx.step(work, f"hold{n}", 1))
            await ctx.sleep(0.001)

    tasks = [asyncio.create_task(holder(n)) for n in range(5)]
    await ctx.sleep(0.003)
    tasks[3].cancel()
    await asyncio.wait(tasks)
    return seen


async def semaphores(ctx: WorkflowContext) -> Any:
    gate, seen = asyncio.BoundedSemaphore(2), []

    async def enter(n: int) -> None:
        async with gate:
            seen.append(await ctx.step(work, f"in{n}", n * 3 % 4))
            await ctx.step(work, f"out{n}", n % 2)

    await asyncio.gather(*(enter(n) for n in range(7)))
    return seen


async def conditions(ctx: WorkflowContext) -> Any:
    changed, stock, seen = asyncio.Condition(), [0], []

    async def buyer(n: int) -> None:
        async with changed:
            await changed.wait_for(lambda: stock[0] > 0)
            stock[0] -= 1
            seen.append(await ctx.step(work, f"buy{n}", n % 3))

    async def seller() -> None:
        for n in range(5):
            await ctx.step(work, f"sell{n}", n % 2)
            async with changed:
                stock[0] += 1
                (changed.notify_all if n % 2 else changed.notify)()

    await asyncio.gather(seller(), *(buyer(n) for n in range(5)))
    return seen


async def barriers(ctx: WorkflowContext) -> Any:
    barrier, seen = asyncio.Barrier(3), []

    async def runner(n: int) -> None:
        for lap in range(2):
            await ctx.step(work, f"run{n}.{lap}", (n + lap) % 3)
            place = await barrier.wait()
            seen.append([n, lap, place])
            if place == 0:
                await ctx.step(work, f"first{lap}", 0)

    await asyncio.gather(*(runner(n) for n in range(3)))
    return seen


async def async_generators(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []

    async def numbers(name: str, count: int) -> AsyncIterator[str]:
        try:
            for n in range(count):
                yield await ctx.step(work, f"{name}{n}", n % 2)
        finally:
            seen.append(await ctx.step(work, f"close-{name}", 0))

    async def consume(name: str, stop: int) -> None:
        async with aclosing(numbers(name, 5)) as source:
            async for item in source:
                seen.append(item)
                if len(seen) >= stop:
                    break

    await asyncio.gather(consume("p", 3), consume("q", 6), consume("r", 99))
    return [*seen, [item async for item in numbers("s", 3)]]


async def exit_stacks(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []

    @asynccontextmanager
    async def room(n: int) -> AsyncIterator[int]:
        await ctx.step(work, f"open{n}", n % 2)
        try:
            yield n
        finally:
            seen.append(await ctx.step(work, f"close{n}", n % 3))

    async def visit(name: str, count: int) -> None:
        async with AsyncExitStack() as stack:
            for n in range(count):
                await stack.enter_async_context(room(n))
                stack.push_async_callback(ctx.step, work, f"{name}-leave{n}", 0)
            if count == 3:
                raise LookupError(name)

    return [repr(await asyncio.gather(visit("a", 2), visit("b", 3), return_exceptions=True)), *seen]


MARK: contextvars.ContextVar[str] = contextvars.ContextVar("MARK", default="none")


async def context_variables(ctx: WorkflowContext) -> Any:
    async def branch(n: int) -> str:
        MARK.set(f"m{n}")
        await ctx.step(work, f"v{n}", n % 3)
        inner = await asyncio.create_task(ctx.step(work, MARK.get(), 0))
        await ctx.sleep(0.001)
        return f"{MARK.get()}/{inner}"

    MARK.set("outer")
    return [await asyncio.gather(*(branch(n) for n in range(4))), MARK.get()]


async def cancelled_tasks(ctx: WorkflowContext) -> Any:
    seen: list[Any] = []

    async def stubborn(n: int) -> str:
        for m in range(3):
            try:
                await ctx.step(work, f"long{n}.{m}", 300)
            except asyncio.CancelledError:
                seen.append(await ctx.step(work, f"not-yet{n}.{m}", 0))
        return f"given in {n}"

    tasks = {asyncio.create_task(stubborn(n)) for n in range(4)}
    await ctx.step(work, "begun", 0)
    while tasks:
        for task in tasks:
            task.cancel()
        done, tasks = await asyncio.wait(tasks, timeout=0.005)
        seen += [task.result() for task in done]
    return seen


async def all_tasks_cancelled(ctx: WorkflowContext) -> Any:
    seen: list[str] = []

    async def branch(n: int) -> None:
        try:
            await ctx.sleep(60)
        finally:
            seen.append(await ctx.step(work, f"undo{n}", n % 2))

    tasks = [asyncio.create_task(branch(n)) for n in range(9)]
    await ctx.step(work, "meanwhile", 1)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        assert task in others, "a loop knows its tasks"
        task.cancel()
    await asyncio.wait(others)
    return seen


async def callbacks_and_futures(ctx: WorkflowContext) -> Any:
    loop, order = asyncio.get_running_loop(), []
    futures = [loop.create_future() for _ in range(5)]
    for n, future in enumerate(futures):
        future.add_done_callback(lambda done: order.append(done.result()))
        loop.call_later(0.001 * (5 - n), future.set_result, n)
    loop.call_soon(order.append, "soon")
    await asyncio.wait(futures)
    for future in set(futures):
        order.append(await ctx.step(work, f"f{future.result()}", 0))
    return order


async def later_futures(ctx: WorkflowContext) -> Any:
    return [await asyncio.gather(*(later(ctx, n) for n in range(4))), sys.version_info[0]]


BODIES = [value for value in list(globals().values()) if getattr(value, "__module__", "") == __name__]
