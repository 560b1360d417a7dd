"""Mistakes that mypy must find: every line that is marked is an error, and no other line is."""

from agnt5 import FunctionContext, Handle, WorkflowContext, durable, function, task, workflow


@function
async def charge_card(ctx: FunctionContext, order_id: str, cents: int = 100) -> str:
    raise NotImplementedError


@task
def resize(width: int, height: int) -> bytes:
    raise NotImplementedError


def ping() -> bool:
    raise NotImplementedError


async def fetch(url: str) -> bytes:
    raise NotImplementedError


class Shop:
    """Methods as steps."""

    async def price(self, sku: str) -> int:
        raise NotImplementedError


@workflow
async def checkout(ctx: WorkflowContext, order_id: str) -> str:
    await ctx.step(charge_card, 42)  # error
    await ctx.step(charge_card)  # error
    await ctx.step(charge_card, order_id, amount=3)  # error
    await ctx.step("charge", charge_card, 42)  # error
    await ctx.step("charge", resize, 1)  # error
    await ctx.step(ping, 1)  # error
    await ctx.step(fetch, 1)  # error
    await ctx.step(Shop().price, 1)  # error
    await ctx.step(order_id)  # error
    await ctx.step(1)  # error
    await ctx.step.options(timeout="5 s")  # error
    await ctx.step.options(retry=3)(ping)  # error
    await ctx.step.options(timeout=5)(resize, 1)  # error
    txn: int = await ctx.step(charge_card, order_id)  # error
    size: str = await ctx.step("resize", resize, 1, 2)  # error
    await ctx.sleep("1 s")  # error
    await ctx.state.set(1, 2)  # error
    print(txn, size)
    return 1  # error


@durable.flow
async def flow(ctx: WorkflowContext, order_id: str) -> list[int]:
    raise NotImplementedError


@workflow  # error
def not_async(ctx: WorkflowContext) -> str:
    raise NotImplementedError


@function(retry=3)  # error
async def unknown_option() -> None:
    raise NotImplementedError


@workflow(retries="three")  # error
async def wrong_option(ctx: WorkflowContext) -> None:
    raise NotImplementedError


@durable.function(max_retries=None)  # error
async def no_retries() -> None:
    raise NotImplementedError


async def outside() -> None:
    await checkout(42)  # error
    await checkout()  # error
    await checkout("a", "b")  # error
    await checkout(order="a")  # error
    await resize("1", 2)  # error
    result: int = await checkout("a")  # error
    numbers: list[str] = await flow("a")  # error
    handle: Handle[int] = await checkout.submit("a")  # error
    ended: int = await (await checkout.submit("a")).result()  # error
    again: bytes = checkout.run_sync("a")  # error
    await checkout.run("a", delay="soon")  # error
    await checkout.submit("a", tags=3)  # error
    print(result, numbers, handle, ended, again)
