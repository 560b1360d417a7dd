"""Random workflow programs: trees of operations and constructs, made from a seed and executed by one body.

What a program returns doesn't depend on how quick its steps are, however its branches interleave:
timeouts either always or never pass, and each branch reports for itself. So the same program can be
compared over runs that were evicted and restarted at different points.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from random import Random
from typing import Any

import anyio

from agnt5 import (
    FunctionContext,
    Handle,
    RetryPolicy,
    WorkflowContext,
    durable,
    function,
    get_run,
    send_event,
    workflow,
)
from agnt5.sdk.services import Service

Tree = dict[str, Any]
Block = Callable[[WorkflowContext, Tree], Awaitable[Any]]

LEAVES: dict[str, Block] = {}
BRANCHES: dict[str, Block] = {}
DEPTH_MAX = 3
EFFECTS: list[str] = []
NEVER = 3600.0


def leaf(fn: Block) -> Block:
    """A block without blocks in it."""
    LEAVES[fn.__name__] = fn
    return fn


def branch(fn: Block) -> Block:
    """A block that consists of others."""
    BRANCHES[fn.__name__] = fn
    return fn


def generate(seed: int) -> Tree:
    """The program of a seed."""
    chance = Random(seed)
    counter = iter(range(1_000_000))

    def make(depth: int) -> Tree:
        is_leaf = depth == DEPTH_MAX or chance.random() < 0.25 * depth
        kind = chance.choice(list(LEAVES if is_leaf else BRANCHES))
        parts = [] if is_leaf else [make(depth + 1) for _ in range(chance.randrange(1, 4))]
        return {"kind": kind, "id": f"{kind}-{next(counter)}", "ms": chance.choice([0, 0, 1, 2, 4]), "parts": parts}

    return {"kind": "sequence", "id": "root", "ms": 0, "parts": [make(1) for _ in range(3)]}


def kinds(tree: Tree) -> set[str]:
    """The kinds of blocks in a program."""
    return {tree["kind"]}.union(*(kinds(part) for part in tree["parts"]))


async def run(ctx: WorkflowContext, tree: Tree) -> Any:
    """Execute a block."""
    block = LEAVES.get(tree["kind"]) or BRANCHES[tree["kind"]]
    return [tree["id"], await block(ctx, tree)]


async def program(ctx: WorkflowContext, seed: int) -> Any:
    """The body of every program."""
    return await run(ctx, generate(seed))


# What steps do


async def effect(label: str, ms: float) -> str:
    await asyncio.sleep(ms / 1000)
    EFFECTS.append(label)
    return f"did {label}"


def effect_in_thread(label: str) -> str:
    EFFECTS.append(label)
    return f"did {label}"


async def broken(label: str) -> str:
    raise LookupError(label)


async def shaky(ctx: FunctionContext, label: str) -> str:
    if ctx.attempt < 3:
        raise OSError(label)
    return await effect(label, 0)


async def signal_run(run_id: str, name: str) -> None:
    await get_run(run_id).signal(name, {"from": "outside"})


async def resolve(event_id: str) -> None:
    await send_event(event_id, {"event": "here"})


@workflow(name="random_child")
async def child(ctx: WorkflowContext, label: str, fate: str) -> str:
    if fate == "hang":
        await ctx.wait_for_event(f"{ctx.run_id}/never")
    found = await ctx.step(effect, f"{label}/child", 1)
    if fate == "fail":
        raise LookupError(label)
    if fate == "listen":
        found += str(await ctx.wait_for_signal("hello"))
    return found


@function(name="random_function")
async def plain(label: str) -> str:
    return await effect(f"{label}/function", 0)


def service() -> Service:
    """The service that programs call."""
    made = durable.service("random_service")
    made.add_function(plain, "plain")
    return made


# Operations


def do(ctx: WorkflowContext, tree: Tree, what: str = "") -> Awaitable[str]:
    return ctx.step(effect, tree["id"] + what, tree["ms"])


@leaf
async def step(ctx: WorkflowContext, tree: Tree) -> Any:
    return await do(ctx, tree)


@leaf
async def step_in_thread(ctx: WorkflowContext, tree: Tree) -> Any:
    return await ctx.step("named", effect_in_thread, tree["id"])


@leaf
async def step_that_fails(ctx: WorkflowContext, tree: Tree) -> Any:
    try:
        return await ctx.step.options(retries=1)(broken, tree["id"])
    except LookupError as error:
        return [str(error), await do(ctx, tree, "/undo")]


@leaf
async def step_retried(ctx: WorkflowContext, tree: Tree) -> Any:
    policy = RetryPolicy(max_attempts=3, initial_interval=0.001, jitter=0)
    return await ctx.step.options(retries=policy)(shaky, tree["id"])


@leaf
async def spawn(ctx: WorkflowContext, tree: Tree) -> Any:
    return await ctx.spawn([(f"spawned-{n % 2}", effect, f"{tree['id']}/{n}", n % 3) for n in range(4)])


@leaf
async def sleep(ctx: WorkflowContext, tree: Tree) -> Any:
    before = ctx.now()
    await ctx.sleep(tree["ms"] / 1000)
    await asyncio.sleep(0.001)
    return (ctx.now() - before).total_seconds() >= tree["ms"] / 1000 + 0.001


@leaf
async def event(ctx: WorkflowContext, tree: Tree) -> Any:
    event_id = f"{ctx.run_id}/{tree['id']}"
    got, _ = await asyncio.gather(ctx.wait_for_event(event_id, timeout=NEVER), ctx.step(resolve, event_id))
    return got


@leaf
async def event_from_body(ctx: WorkflowContext, tree: Tree) -> Any:
    await send_event(f"{ctx.run_id}/{tree['id']}", 1)
    return await ctx.wait_for_event(f"{ctx.run_id}/{tree['id']}")


@leaf
async def event_in_vain(ctx: WorkflowContext, tree: Tree) -> Any:
    try:
        return await ctx.wait_for_event(f"{ctx.run_id}/{tree['id']}", timeout=0.002)
    except TimeoutError:
        return await do(ctx, tree, "/late")


@leaf
async def signal(ctx: WorkflowContext, tree: Tree) -> Any:
    waiting = asyncio.create_task(ctx.wait_for_signal(tree["id"], timeout=NEVER))
    await ctx.step(signal_run, ctx.run_id, tree["id"])
    return await waiting


@leaf
async def state(ctx: WorkflowContext, tree: Tree) -> Any:
    await ctx.state.set(tree["id"], {"n": tree["ms"]})
    await do(ctx, tree)
    found = await ctx.state.get(tree["id"])
    await ctx.state.delete(tree["id"])
    return [found, tree["id"] in await ctx.state.keys()]


@leaf
async def chance(ctx: WorkflowContext, tree: Tree) -> Any:
    drawn = [ctx.random.random(), str(ctx.uuid4()), ctx.now().isoformat()]
    await ctx.step.options(name=f"{tree['id']}-{drawn[0]}", key=drawn[1])(effect, tree["id"], 0)
    return len(drawn)


@leaf
async def patched(ctx: WorkflowContext, tree: Tree) -> Any:
    # The answer itself may be the old one in a run whose worker died while it was being recorded.
    before = ctx.patched(tree["id"])
    return [await do(ctx, tree), ctx.patched(tree["id"]) is before]


@leaf
async def call_child(ctx: WorkflowContext, tree: Tree) -> Any:
    try:
        return await child(tree["id"], "fail" if tree["ms"] == 4 else "")
    except LookupError as error:
        return str(error)


@leaf
async def call_service(ctx: WorkflowContext, tree: Tree) -> Any:
    return await ctx.call("random_service", "plain", tree["id"])


@leaf
async def submitted_child(ctx: WorkflowContext, tree: Tree) -> Any:
    handle: Handle[str] = await child.submit(tree["id"], "listen")
    await do(ctx, tree)
    await handle.signal("hello", tree["ms"])
    return await handle.result()


@leaf
async def cancelled_child(ctx: WorkflowContext, tree: Tree) -> Any:
    task = asyncio.create_task(child(tree["id"], "hang"))
    await do(ctx, tree)
    task.cancel()
    return repr(await asyncio.gather(task, return_exceptions=True))


# Constructs


@branch
async def sequence(ctx: WorkflowContext, tree: Tree) -> Any:
    return [await run(ctx, part) for part in tree["parts"]]


@branch
async def gather(ctx: WorkflowContext, tree: Tree) -> Any:
    return await asyncio.gather(*(run(ctx, part) for part in tree["parts"]), do(ctx, tree))


@branch
async def task_group(ctx: WorkflowContext, tree: Tree) -> Any:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(ctx, part)) for part in tree["parts"]]
    return [task.result() for task in tasks]


@branch
async def failing_group(ctx: WorkflowContext, tree: Tree) -> Any:
    async def hang(n: int) -> None:
        try:
            await ctx.wait_for_signal(f"{tree['id']}/never")
        finally:
            await do(ctx, tree, f"/undo{n}")

    found = [await run(ctx, part) for part in tree["parts"]]
    try:
        async with asyncio.TaskGroup() as group:
            for n in range(3):
                group.create_task(hang(n))
            await ctx.step.options(retries=1)(broken, tree["id"])
    except* LookupError as errors:
        found.append(str(errors.exceptions[0]))
    return found


@branch
async def wait(ctx: WorkflowContext, tree: Tree) -> Any:
    tasks = [asyncio.create_task(run(ctx, part), name=str(n)) for n, part in enumerate(tree["parts"])]
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await do(ctx, tree, f"/{task.get_name()}")
    return [task.result() for task in tasks]


@branch
async def as_completed(ctx: WorkflowContext, tree: Tree) -> Any:
    tasks = [asyncio.create_task(run(ctx, part)) for part in tree["parts"]]
    return sorted([await each for each in asyncio.as_completed(tasks)], key=repr)


@branch
async def timeout(ctx: WorkflowContext, tree: Tree) -> Any:
    async with asyncio.timeout(NEVER):
        return await asyncio.wait_for(sequence(ctx, tree), NEVER)


@branch
async def timeout_that_passes(ctx: WorkflowContext, tree: Tree) -> Any:
    found = await sequence(ctx, tree)
    try:
        async with asyncio.timeout(0.003):
            await asyncio.gather(ctx.wait_for_signal(f"{tree['id']}/never"), child(tree["id"], "hang"))
    except TimeoutError:
        found.append(await do(ctx, tree, "/late"))
    return found


@branch
async def shield(ctx: WorkflowContext, tree: Tree) -> Any:
    kept = asyncio.create_task(sequence(ctx, tree))
    outer = asyncio.ensure_future(asyncio.shield(kept))
    await asyncio.sleep(0)
    outer.cancel()
    return [await kept, outer.cancelled()]


@branch
async def queue(ctx: WorkflowContext, tree: Tree) -> Any:
    items: asyncio.Queue[Tree] = asyncio.Queue(1)
    lock, gate, found = asyncio.Lock(), asyncio.Semaphore(2), {}

    async def consume() -> None:
        while True:
            part = await items.get()
            async with gate:
                found[part["id"]] = await run(ctx, part)
            async with lock:
                await do(ctx, part, "/consumed")
            items.task_done()

    consumers = [asyncio.create_task(consume()) for _ in range(2)]
    for part in tree["parts"]:
        await items.put(part)
    await items.join()
    for consumer in consumers:
        consumer.cancel()
    await asyncio.wait(consumers)
    return sorted(found.items())


@branch
async def generator(ctx: WorkflowContext, tree: Tree) -> Any:
    async def source() -> AsyncIterator[Any]:
        try:
            for part in [*tree["parts"], {**tree, "kind": "step"}]:
                yield await run(ctx, part)
        finally:
            await do(ctx, tree, "/closed")

    async with aclosing(source()) as items:
        return [item async for item in items if item[0] != tree["id"]]


@branch
async def anyio_group(ctx: WorkflowContext, tree: Tree) -> Any:
    found: dict[str, Any] = {}

    async def one(part: Tree) -> None:
        found[part["id"]] = await run(ctx, part)

    with anyio.fail_after(NEVER):
        async with anyio.create_task_group() as group:
            for part in tree["parts"]:
                group.start_soon(one, part)
    return sorted(found.items())


@branch
async def anyio_scope(ctx: WorkflowContext, tree: Tree) -> Any:
    async def hang(n: int) -> None:
        with anyio.move_on_after(NEVER):
            try:
                await anyio.sleep(NEVER)
            finally:
                with anyio.CancelScope(shield=True):
                    await do(ctx, tree, f"/undo{n}")

    found = await sequence(ctx, tree)
    with anyio.move_on_after(0.003) as scope:
        async with anyio.create_task_group() as group:
            for n in range(3):
                group.start_soon(hang, n)
    return [found, scope.cancelled_caught]
