"""Random programs: trees of operations and constructs, as workflows, flows and functions.

What a program returns depends on its seed alone, however its steps and waits interleave and
however often it is cut short, so it can be compared with the same program in a world without faults.
Ids of events carry a tag in place of the run's id: a retry or fork waits for the same ones.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from agnt5 import FunctionContext, RetryPolicy, WorkflowContext, ctx, durable, function, get_run, send_event, workflow
from agnt5.sdk.registry import REGISTRY

from .effects import ledger

Tree = dict[str, Any]
Block = Callable[[Any, Tree], Awaitable[Any]]

LEAVES: dict[str, Block] = {}
BRANCHES: dict[str, Block] = {}
NEVER = 1_000_000.0  # Seconds; no clock jumps that far.
DEPTH_MAX = 2
QUICKLY = RetryPolicy(max_attempts=3, initial_interval=0.05, jitter=0.5)
PATIENT = RetryPolicy(max_attempts=5, initial_interval=0.2)
# Constructs and operations that an ordinary loop can't repeat in the same order.
ONLY_DETERMINISTIC = frozenset({"first_completed", "timer", "shield", "queue", "late", "given_up", "cancelled_child"})


def leaf(fn: Block) -> Block:
    """A block without blocks in it."""
    LEAVES[fn.__name__] = fn
    return fn


def branch(fn: Block) -> Block:
    """A block that consists of others."""
    BRANCHES[fn.__name__] = fn
    return fn


def generate(seed: int, tag: str, *, is_deterministic: bool) -> Tree:
    """The program of a seed."""
    chance = Random(seed)
    names = iter(range(1_000))
    excluded = frozenset() if is_deterministic else ONLY_DETERMINISTIC
    leaves = [name for name in LEAVES if name not in excluded]
    branches = [name for name in BRANCHES if name not in excluded]

    def make(depth: int) -> Tree:
        is_leaf = depth == DEPTH_MAX or chance.random() < 0.5
        kind = chance.choice(leaves if is_leaf else branches)
        parts = [] if is_leaf else [make(depth + 1) for _ in range(chance.randrange(1, 3))]
        ms = chance.choice([0, 1, 5, 50, 400])
        return {"kind": kind, "id": f"{kind}{next(names)}", "tag": tag, "ms": ms, "parts": parts}

    return {"kind": "sequence", "id": "root", "tag": tag, "ms": 0, "parts": [make(0) for _ in range(3)]}


def payload_of(place: str) -> dict[str, str]:
    """What is sent to those who wait for this event or signal: the same for all programs of a seed."""
    return {"of": place.rpartition("/")[2]}


async def execute(ctx: Any, tree: Tree) -> Any:
    """Execute a block."""
    block = LEAVES.get(tree["kind"]) or BRANCHES[tree["kind"]]
    return [tree["id"], await block(ctx, tree)]


# What steps do


async def effect(ctx: FunctionContext, label: str, ms: float = 0, after: str = "") -> list[str]:
    with ledger().step(ctx) as nonce:
        ledger().check_follows(ctx.run_id, after)
        await asyncio.sleep(ms / 1000 + ledger().slow * Random(nonce).random())
        return [label, nonce]


def effect_in_thread(ctx: FunctionContext, label: str) -> list[str]:
    with ledger().step(ctx) as nonce:
        return [label, nonce]


async def broken(ctx: FunctionContext, label: str) -> list[str]:
    with ledger().step(ctx):
        raise LookupError(label)


async def shaky(ctx: FunctionContext, label: str) -> list[str]:
    with ledger().step(ctx) as nonce:
        if ctx.attempt < 3:
            raise OSError(label)
        return [label, nonce]


async def hanging(ctx: FunctionContext, label: str) -> list[str]:
    with ledger().step(ctx) as nonce:
        if ctx.attempt == 1:
            await asyncio.sleep(NEVER)
        return [label, nonce]


async def beating(ctx: FunctionContext, label: str) -> list[str]:
    with ledger().step(ctx) as nonce:
        for n in range(3):
            ctx.heartbeat({"n": n})
            await asyncio.sleep(0.6)
        return [label, nonce]


async def nested(ctx: FunctionContext, label: str, event_id: str) -> list[str]:
    with ledger().step(ctx) as nonce:
        ledger().need_event(event_id)
        inner = await asyncio.gather(ctx.step(effect, f"{label}/a", 3), ctx.step(effect, f"{label}/b"))
        await ctx.sleep(0.02)
        return [[label, *(found[0] for found in inner), await ctx.wait_for_event(event_id, timeout=NEVER)], nonce]


async def do(ctx: Any, tree: Tree, what: str = "", ms: float | None = None, after: str = "") -> str:
    """One step; returns its label."""
    label = tree["id"] + what
    return (await ctx.step(effect, label, tree["ms"] if ms is None else ms, after))[0]


# Operations


@leaf
async def step(ctx: Any, tree: Tree) -> Any:
    return await do(ctx, tree)


@leaf
async def chain(ctx: Any, tree: Tree) -> Any:
    # The second depends on which execution of the first was recorded.
    label, nonce = await ctx.step(effect, tree["id"], tree["ms"])
    return [label, await do(ctx, tree, "/then", after=nonce)]


@leaf
async def in_thread(ctx: Any, tree: Tree) -> Any:
    return (await ctx.step("named", effect_in_thread, tree["id"]))[0]


@leaf
async def failing(ctx: Any, tree: Tree) -> Any:
    try:
        return await ctx.step.options(retries=1)(broken, tree["id"])
    except LookupError as error:
        return [str(error), await do(ctx, tree, "/undo")]


@leaf
async def retried(ctx: Any, tree: Tree) -> Any:
    return (await ctx.step.options(retries=QUICKLY)(shaky, tree["id"]))[0]


@leaf
async def timed(ctx: Any, tree: Tree) -> Any:
    return (await ctx.step.options(retries=PATIENT, timeout=0.3)(hanging, tree["id"]))[0]


@leaf
async def with_heartbeat(ctx: Any, tree: Tree) -> Any:
    return (await ctx.step.options(retries=PATIENT, heartbeat_timeout=30)(beating, tree["id"]))[0]


@leaf
async def within(ctx: Any, tree: Tree) -> Any:
    return (await ctx.step(nested, tree["id"], f"{tree['tag']}/{tree['id']}"))[0]


@leaf
async def spawn(ctx: Any, tree: Tree) -> Any:
    found = await ctx.spawn([(f"spawned{n % 2}", effect, f"{tree['id']}/{n}", n % 3 * 4) for n in range(4)])
    return [label for label, _ in found]


@leaf
async def sleep(ctx: Any, tree: Tree) -> Any:
    await ctx.sleep(tree["ms"] / 200)
    return await do(ctx, tree, "/woken", 0)


@leaf
async def timer(ctx: Any, tree: Tree) -> Any:
    before = ctx.now()
    await asyncio.gather(ctx.sleep(tree["ms"] / 1000), asyncio.sleep(0.003), do(ctx, tree))
    return (ctx.now() - before).total_seconds() >= tree["ms"] / 1000


@leaf
async def event(ctx: Any, tree: Tree) -> Any:
    event_id = f"{tree['tag']}/{tree['id']}"
    ledger().need_event(event_id)
    await do(ctx, tree)
    return await ctx.wait_for_event(event_id, timeout=NEVER if tree["ms"] else None)


@leaf
async def event_from_body(ctx: Any, tree: Tree) -> Any:
    event_id = f"{tree['tag']}/{tree['id']}"
    await send_event(event_id, payload_of(event_id))
    return await ctx.wait_for_event(event_id)


@leaf
async def late(ctx: Any, tree: Tree) -> Any:
    try:
        return await ctx.wait_for_event(f"{tree['tag']}/{tree['id']}/never", timeout=0.02)
    except TimeoutError:
        return await do(ctx, tree, "/late")


@leaf
async def signal(ctx: Any, tree: Tree) -> Any:
    ledger().need_signal(ctx.run_id, tree["id"], is_fresh=not ctx.is_replaying)
    return (await ctx.wait_for_signal(tree["id"], timeout=NEVER if tree["ms"] else None))["of"]


@leaf
async def state(ctx: Any, tree: Tree) -> Any:
    await ctx.state.set(tree["id"], {"n": tree["ms"]})
    await do(ctx, tree)
    found = await ctx.state.get(tree["id"])
    await ctx.state.delete(tree["id"])
    return [found, tree["id"] in await ctx.state.keys()]


@leaf
async def chance(ctx: Any, tree: Tree) -> Any:
    drawn = [ctx.random.random(), str(ctx.uuid4())]
    found = await ctx.step.options(name=f"draw-{drawn[0]}", key=drawn[1])(effect, tree["id"])
    return [found[0], ctx.now().tzinfo is not None]


@leaf
async def patched(ctx: Any, tree: Tree) -> Any:
    before = ctx.patched(tree["id"])
    return [await do(ctx, tree), ctx.patched(tree["id"]) is before]


@leaf
async def call_child(ctx: Any, tree: Tree) -> Any:
    try:
        return await child(tree["id"], "fail" if tree["ms"] == 5 else "", tree["tag"])
    except LookupError as error:
        return str(error)


@leaf
async def call_with_key(ctx: Any, tree: Tree) -> Any:
    both = [child.run(tree["id"], "", tree["tag"], idempotency_key=f"{tree['tag']}/{tree['id']}") for _ in range(2)]
    return await asyncio.gather(*(asyncio.ensure_future(call) for call in both))


@leaf
async def call_function(ctx: Any, tree: Tree) -> Any:
    return await plain(tree["id"])


@leaf
async def call_service(ctx: Any, tree: Tree) -> Any:
    return await ctx.call("sim_service", "sim_plain", tree["id"])


@leaf
async def submitted(ctx: Any, tree: Tree) -> Any:
    handle = await child.submit(tree["id"], "listen", tree["tag"], delay=tree["ms"] / 1000)
    await do(ctx, tree)
    await handle.signal("hello", tree["ms"])
    return await handle.result()


@leaf
async def cancelled_child(ctx: Any, tree: Tree) -> Any:
    task = asyncio.create_task(child(tree["id"], "hang", tree["tag"]))
    await do(ctx, tree)
    task.cancel()
    return repr(await asyncio.gather(task, return_exceptions=True))


@leaf
async def given_up(ctx: Any, tree: Tree) -> Any:
    handle = await child.submit(tree["id"], "hang", tree["tag"])
    await handle.cancel()
    try:
        await get_run(handle.id).result()
    except Exception as error:
        return type(error).__name__


# Constructs


@branch
async def sequence(ctx: Any, tree: Tree) -> Any:
    return [await execute(ctx, part) for part in tree["parts"]]


@branch
async def gather(ctx: Any, tree: Tree) -> Any:
    return await asyncio.gather(*(execute(ctx, part) for part in tree["parts"]), do(ctx, tree))


@branch
async def group(ctx: Any, tree: Tree) -> Any:
    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(execute(ctx, part)) for part in tree["parts"]]
    return [task.result() for task in made]


@branch
async def first_completed(ctx: Any, tree: Tree) -> Any:
    tasks = [asyncio.create_task(execute(ctx, part), name=str(n)) for n, part in enumerate(tree["parts"])]
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await do(ctx, tree, f"/{task.get_name()}", 0)
    return [task.result() for task in tasks]


@branch
async def expires(ctx: Any, tree: Tree) -> Any:
    async def hang(n: int) -> None:
        try:
            await ctx.wait_for_event(f"{tree['tag']}/{tree['id']}/never")
        finally:
            await do(ctx, tree, f"/undo{n}", 0)

    found = await sequence(ctx, tree)
    try:
        async with asyncio.timeout(0.03):
            await asyncio.gather(hang(0), hang(1))
    except TimeoutError:
        found.append("late")
    return found


ONLY_DETERMINISTIC |= {"expires"}


@branch
async def shield(ctx: Any, tree: Tree) -> Any:
    kept = asyncio.create_task(sequence(ctx, tree))
    outer = asyncio.ensure_future(asyncio.shield(kept))
    await asyncio.sleep(0)
    outer.cancel()
    return [await kept, outer.cancelled()]


@branch
async def queue(ctx: Any, tree: Tree) -> Any:
    items: asyncio.Queue[Tree] = asyncio.Queue()
    found: dict[str, Any] = {}

    async def consume() -> None:
        while True:
            part = await items.get()
            try:
                found[part["id"]] = await execute(ctx, part)
            finally:
                items.task_done()

    consumers = [asyncio.create_task(consume()) for _ in range(2)]
    for part in tree["parts"]:
        await items.put(part)
    await items.join()
    for consumer in consumers:
        consumer.cancel()
    await asyncio.wait(consumers)
    return sorted(found.items())


# Components


@workflow(name="sim_child")
async def child(ctx: WorkflowContext, label: str, fate: str, tag: str) -> Any:
    if fate == "hang":
        await ctx.wait_for_event(f"{tag}/{label}/never")
    found = (await ctx.step(effect, f"{label}/child", 1))[0]
    if fate == "fail":
        raise LookupError(label)
    if fate == "listen":
        found += str(await ctx.wait_for_signal("hello"))
    return found


@workflow(name="sim_workflow")
async def program(ctx: WorkflowContext, seed: int, tag: str) -> Any:
    return await execute(ctx, generate(seed, tag, is_deterministic=True))


@workflow(name="sim_failing")
async def fails(ctx: WorkflowContext, seed: int, tag: str) -> Any:
    await execute(ctx, generate(seed, tag, is_deterministic=True))
    raise LookupError("by design")


@workflow(name="sim_retrying", retries=QUICKLY, max_concurrent_steps=2)
async def retrying(ctx: WorkflowContext, seed: int, tag: str) -> Any:
    try:
        found = await execute(ctx, generate(seed, tag, is_deterministic=True))
        if ctx.attempt < 3:
            raise LookupError(ctx.attempt)
    except LookupError:
        if seed % 2:
            # It compensates, so the next attempt starts from nothing.
            await ctx.step(effect, "undo")
        raise
    return found


@workflow(name="sim_generations")
async def generations(ctx: WorkflowContext, seed: int, tag: str, left: int = 2) -> Any:
    found = await execute(ctx, generate(seed + left, f"{tag}/{left}", is_deterministic=True))
    kept = [*await ctx.state.get("kept", []), found]
    await ctx.state.set("kept", kept)
    return ctx.continue_as(seed, tag, left - 1) if left else kept


@durable.flow(name="sim_checkpointed", checkpoint_interval=3)
async def checkpointed(ctx: WorkflowContext, seed: int, tag: str) -> Any:
    await ctx.spawn([("few", effect, f"s{n}", n) for n in range(3)])
    for n in range(4):
        await ctx.step(effect, f"c{n}")
    return await execute(ctx, generate(seed, tag, is_deterministic=True))


@durable.flow(name="sim_loose", deterministic=False)
async def loose(ctx: WorkflowContext, seed: int, tag: str) -> Any:
    return await execute(ctx, generate(seed, tag, is_deterministic=False))


@function(name="sim_function", retries=QUICKLY)
async def functional(ctx: FunctionContext, seed: int, tag: str) -> Any:
    with ledger().body(ctx):
        found = await execute(ctx, generate(seed, tag, is_deterministic=False))
        if ctx.attempt < 2 and seed % 2:
            raise OSError("by design")
        return found


@durable.function(name="sim_once", idempotent=False, max_retries=0)
async def once(seed: int, tag: str) -> Any:
    with ledger().body(ctx, is_once=True):
        await asyncio.sleep(seed % 10 / 10)
        return tag != ""


@function(name="sim_plain")
def plain(ctx: FunctionContext, label: str) -> str:
    with ledger().body(ctx):
        return f"plain {label}"


TOPS = (*2 * (program, generations, functional, once), fails, retrying, checkpointed, loose)
COMPONENTS = (*dict.fromkeys(TOPS), child, plain)


def register() -> None:
    """Offer all components, and the service of one of them."""
    for component in COMPONENTS:
        REGISTRY.add(component)
    durable.service("sim_service").add_function(plain)
