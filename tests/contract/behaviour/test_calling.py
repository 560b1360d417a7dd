"""Calling components: by call, run, submit and run_sync, with options, inline, and from other runs."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

import agnt5
from agnt5 import (
    ConflictError,
    DurableContext,
    FunctionContext,
    InvalidInput,
    NoContextError,
    PayloadTooLarge,
    UnserializableValue,
    WorkflowContext,
    ctx,
    function,
    workflow,
)
from agnt5.core.model.payload import PAYLOAD_BYTES_MAX

from .world import World, until_status


async def test_a_call_is_like_that_of_the_plain_function(world: World):
    """Positional and keyword arguments, defaults, and the result."""

    @function
    async def join(first: str, second: str = "b", *rest: str, sep: str = "-") -> str:
        return sep.join((first, second, *rest))

    assert await join("a") == "a-b"
    assert await join("a", "x", "y", sep="+") == "a+x+y"
    assert await join.run("a", second="z") == "a-z"


@pytest.mark.parametrize("args", [(), (1, 2, 3)])
async def test_wrong_arguments_are_refused_at_the_call(world: World, args: tuple[int, ...]):
    """No run is made for them."""

    @function
    async def add(a: int, b: int) -> int:
        return a + b

    with pytest.raises(InvalidInput, match="add"):
        await add(*args)
    with pytest.raises(InvalidInput, match="add"):
        await add.submit(*args)


async def test_an_argument_that_cannot_be_journaled_is_refused(world: World):
    """At the call, with the type named."""

    @function
    async def take(thing: object) -> None: ...

    with pytest.raises(UnserializableValue, match="Lock"):
        await take(asyncio.Lock())


async def test_a_value_that_is_too_large_is_refused(world: World):
    """As an argument at the call, as a result at the step that returned it; the error has both sizes."""

    @function
    async def take(text: str) -> None: ...

    @function(retries=1)
    async def give() -> str:
        return "x" * (PAYLOAD_BYTES_MAX + 1)

    with pytest.raises(PayloadTooLarge) as refused:
        await take("x" * (PAYLOAD_BYTES_MAX + 1))
    with pytest.raises(PayloadTooLarge):
        await give()

    assert refused.value.payload_bytes > refused.value.payload_bytes_max == PAYLOAD_BYTES_MAX


async def test_a_context_is_injected_by_annotation_or_name(world: World):
    """The first parameter gets it when it is annotated so or called ctx; otherwise none is passed."""

    @function
    async def annotated(context: FunctionContext, n: int) -> bool:
        return isinstance(context, FunctionContext)

    @function
    async def named(ctx, n):
        return isinstance(ctx, DurableContext)

    @function
    def plain(n: int) -> bool:
        return n == 1

    @workflow
    async def flow(c: DurableContext, n: int) -> bool:
        return isinstance(c, WorkflowContext)

    assert [await each(1) for each in (annotated, named, plain, flow)] == [True] * 4


async def test_ctx_stands_for_the_current_context(world: World):
    """In bodies and steps, sync ones in threads too, and in tasks that they start."""

    @function
    def in_thread() -> str:
        return ctx.run_id

    async def in_task() -> str:
        return ctx.run_id

    @workflow
    async def flow() -> list[str]:
        return [ctx.run_id, await ctx.step(in_thread), await asyncio.create_task(in_task())]

    handle = await flow.submit()

    assert await handle.result() == [handle.id] * 3


async def test_ctx_outside_of_a_run_says_so(world: World):
    """The error is its own, and repr works."""
    with pytest.raises(NoContextError, match="no run"):
        _ = ctx.run_id

    assert "outside" in repr(ctx)


async def test_a_context_as_first_argument_calls_the_raw_function(world: World):
    """With a stand-in, without a run: that is how unit tests use it."""

    class Stub(WorkflowContext):
        def __init__(self) -> None: ...

        async def step(self, fn, *args):
            return ("stepped", args)

    @workflow
    async def flow(ctx: WorkflowContext, n: int):
        return await ctx.step(print, n)

    @workflow
    async def proxied(n: int):
        return await ctx.step(print, n)

    assert await flow(Stub(), 3) == ("stepped", (3,))
    assert await proxied(Stub(), 4) == ("stepped", (4,))


async def test_a_context_passed_inside_a_run_calls_inline(world: World):
    """The callee works in the caller's run: its steps are the caller's, and there is no child."""

    @function
    async def inner(ctx: FunctionContext, n: int) -> list:
        return [ctx.run_id, n]

    @workflow
    async def outer(context: WorkflowContext) -> list:
        return [await inner(context, 1), await inner(ctx, 2)]

    handle = await outer.submit()

    assert await handle.result() == [[handle.id, 1], [handle.id, 2]]
    assert [event.kind async for event in handle.events()] == ["started", "ended"]


async def test_sync_components_run_in_threads(world: World):
    """They block nobody: two that wait for each other meet."""
    meeting = threading.Barrier(2, timeout=5)

    @agnt5.task
    def meet(n: int) -> int:
        meeting.wait()
        return n

    assert await asyncio.gather(meet(1), meet(2)) == [1, 2]


async def test_each_submission_is_a_run(world: World):
    """The same input twice is two runs."""

    @function
    async def work(n: int) -> int:
        return n

    first, second = await work.submit(1), await work.submit(1)

    assert first.id != second.id
    assert await asyncio.gather(first.result(), second.result()) == [1, 1]


async def test_a_key_gives_one_run_per_component(world: World):
    """The second submission gets the first one's run, running or over, and after a restart."""
    ran: list[int] = []

    @function
    async def work(n: int) -> int:
        ran.append(n)
        return n * 10

    @function
    async def other(n: int) -> int:
        return -n

    first, second = await asyncio.gather(*(work.submit(1, idempotency_key="k") for _ in range(2)))
    assert first.id == second.id
    assert await work.run(1, idempotency_key="k") == 10
    await world.restart()
    assert await work.run(1, idempotency_key="k") == 10
    assert await other.run(1, idempotency_key="k") == -1
    assert ran == [1]


async def test_a_key_with_other_input_is_a_conflict(world: World):
    """Inputs are compared as bound arguments: how they were passed doesn't matter, what does."""

    @function
    async def work(a: dict, b: int = 2) -> int:
        return b

    await work.run({"x": 1, "y": 2}, 2, idempotency_key="k")

    assert await work.run(b=2, a={"y": 2, "x": 1}, idempotency_key="k") == 2
    with pytest.raises(ConflictError, match="k"):
        await work.run({"x": 1, "y": 2}, 3, idempotency_key="k")


async def test_a_failed_run_keeps_its_key(world: World):
    """An outcome once given never changes: the key answers with the failure."""
    ran: list[None] = []

    @function(retries=1)
    async def work() -> None:
        ran.append(None)
        raise LookupError("gone")

    for _ in range(2):
        with pytest.raises(LookupError, match="gone"):
            await work.run(idempotency_key="k")

    assert len(ran) == 1


async def test_a_delayed_run_starts_at_its_time(world: World):
    """Not before, and with a restart in between; `delay` takes seconds or a timedelta, `at` a time."""

    @function
    async def work(n: int) -> int:
        return n

    handles = [
        await work.submit(1, delay=3600),
        await work.submit(2, delay=timedelta(hours=1)),
        await work.submit(3, at=datetime.now(UTC) + timedelta(hours=1)),
    ]
    await world.restart()
    await world.turn(3500)
    assert [await handle.status() for handle in handles] == ["queued"] * 3
    assert "later" in await handles[0].explain()

    await world.turn(110)

    assert [await handle.result() for handle in handles] == [1, 2, 3]


async def test_a_time_that_is_past_is_now(world: World):
    """A submission is never refused for being late."""

    @function
    async def work() -> int:
        return 1

    assert await work.run(at=datetime(2020, 1, 1, tzinfo=UTC)) == 1
    assert await work.run(delay=0) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"delay": -1},
        {"delay": float("nan")},
        {"delay": True},
        {"at": datetime(2030, 1, 1)},
        {"at": 12.0},
        {"delay": 1, "at": datetime(2030, 1, 1, tzinfo=UTC)},
        {"idempotency_key": ""},
        {"idempotency_key": 7},
        {"idempotency_key": "k" * 513},
        {"tags": [""]},
        {"tags": [1]},
        {"tags": ["t"] * 21},
    ],
)
async def test_options_that_cannot_be_meant_are_refused(world: World, options: dict):
    """At the call, naming what is wrong."""

    @function
    async def work() -> None: ...

    with pytest.raises(InvalidInput) as refused:
        await work.submit(**options)

    assert refused.value.fix


# From inside a run


async def test_a_call_in_a_run_is_a_child(world: World):
    """Journaled with the parent, with its own id."""

    @function
    async def child(ctx: FunctionContext, n: int) -> list:
        return [ctx.run_id, n]

    @workflow
    async def parent(ctx: WorkflowContext) -> list:
        return [await child(1), await child.run(2)]

    handle = await parent.submit()

    (first, one), (second, two) = await handle.result()
    assert (one, two) == (1, 2)
    assert len({first, second, handle.id}) == 3
    begun = [event.data["target"] async for event in handle.events() if event.kind == "begun"]
    assert begun == [first, second]
    assert await agnt5.get_run(first).status() == "completed"


async def test_a_child_is_not_started_twice(world: World):
    """After a restart of the runtime its parent waits for the same run."""
    started: list[str] = []

    @workflow
    async def child(ctx: WorkflowContext) -> str:
        await ctx.step(lambda: started.append(ctx.run_id))
        return await ctx.wait_for_signal("go")

    @workflow
    async def parent(ctx: WorkflowContext) -> str:
        return await child()

    handle = await parent.submit()
    await until_status(handle, "suspended")
    [child_id] = [event.data["target"] async for event in _so_far(handle) if event.kind == "begun"]
    await until_status(agnt5.get_run(child_id), "suspended")

    await world.restart()
    await agnt5.get_run(child_id).signal("go", "went")

    assert await handle.result() == "went"
    assert started == [child_id]


async def _so_far(handle):
    """The events of a run up to where it waits."""
    async for event in handle.events():
        yield event
        if event.kind == "begun":
            return


async def test_a_submitted_child_is_on_its_own(world: World):
    """The parent ends without it; it goes on."""

    @workflow
    async def child(ctx: WorkflowContext) -> str:
        return await ctx.wait_for_signal("go")

    @workflow
    async def parent(ctx: WorkflowContext) -> str:
        handle = await child.submit(tags="born", delay=0.001)
        return handle.id

    child_id = await parent()
    handle = agnt5.get_run(child_id)
    await until_status(handle, "suspended")

    await handle.signal("go", 7)

    assert await handle.result() == 7


async def test_a_parent_can_wait_for_what_it_submitted(world: World):
    """By the handle, at any later time."""

    @function
    async def child(n: int) -> int:
        return n + 1

    @workflow
    async def parent(ctx: WorkflowContext) -> list[int]:
        handles = [await child.submit(n) for n in range(3)]
        return [await handle.result() for handle in reversed(handles)]

    assert await parent() == [3, 2, 1]


async def test_one_key_used_twice_in_a_parent_is_one_child(world: World):
    """Both calls get its result, at the same time or one after the other."""
    ran: list[int] = []

    @function
    async def child(n: int) -> int:
        ran.append(n)
        await ctx.sleep(0.01)
        return n

    @workflow
    async def parent(ctx: WorkflowContext) -> list[int]:
        both = await asyncio.gather(*(child.run(5, idempotency_key="k") for _ in range(2)))
        return [*both, await child.run(5, idempotency_key="k")]

    handle = await parent.submit()

    assert await handle.result(timeout=5) == [5, 5, 5]
    assert ran == [5]


async def test_a_key_conflict_in_a_run_is_raised_there(world: World):
    """The parent may handle it."""

    @function
    async def child(n: int) -> int:
        return n

    @workflow
    async def parent(ctx: WorkflowContext) -> str:
        await child.run(1, idempotency_key="k")
        try:
            await child.run(2, idempotency_key="k")
        except ConflictError as error:
            return type(error).__name__
        return "no conflict"

    assert await parent() == "ConflictError"


async def test_components_may_call_themselves(world: World):
    """Each level is a run of its own, and waiting ones take no room from the others."""
    world.settings = agnt5.WorkerSettings(capacity=2)
    await world.restart()

    @function
    async def down(n: int) -> int:
        return 0 if n == 0 else 1 + await down(n - 1)

    @workflow
    async def deep(n: int) -> int:
        return 0 if n == 0 else 1 + await deep(n - 1)

    assert await down(6) == 6
    assert await deep(6) == 6
