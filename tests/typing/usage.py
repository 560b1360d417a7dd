"""What mypy knows of code that uses agnt5 as it is meant: each line here is checked, none is run."""

from datetime import timedelta
from typing import Any, assert_type

from agnt5 import (
    DurableContext,
    FunctionContext,
    Handle,
    RetryPolicy,
    WorkflowContext,
    ctx,
    durable,
    function,
    get_run,
    send_event,
    task,
    workflow,
)


class Receipt:
    """A type of the user's own."""


@function
async def charge_card(ctx: FunctionContext, order_id: str, cents: int = 100) -> str:
    return f"{ctx.run_id}{order_id}{cents}"


@function(retries=5, timeout=timedelta(seconds=3))
async def with_options(order_id: str) -> Receipt:
    raise NotImplementedError


@function()
def plain(order_id: str, *, copies: int = 1) -> int:
    raise NotImplementedError


@task
def resize(width: int, height: int) -> bytes:
    raise NotImplementedError


@task(name="count", retries=RetryPolicy(max_attempts=2))
async def count_words(text: str) -> int:
    raise NotImplementedError


@durable.function
async def durable_one(ctx: DurableContext, order_id: str) -> Receipt:
    raise NotImplementedError


@durable.function(max_retries=2, idempotent=False)
def durable_plain(order_id: str) -> float:
    raise NotImplementedError


@durable.flow(checkpoint_interval=5)
async def durable_flow(ctx: DurableContext, order_id: str) -> list[int]:
    raise NotImplementedError


@durable.flow
async def bare_flow(ctx: WorkflowContext) -> None:
    raise NotImplementedError


@workflow(step_timeout=3, max_concurrent_steps=4)
async def with_settings(ctx: WorkflowContext, order_id: str) -> bool:
    raise NotImplementedError


@workflow
async def without_context(order_id: str) -> str:
    return ctx.run_id


def ping() -> bool:
    raise NotImplementedError


async def fetch(url: str, *, retries: int = 1) -> bytes:
    raise NotImplementedError


async def with_context(ctx: FunctionContext, url: str) -> bytes:
    raise NotImplementedError


def plain_with_context(ctx: DurableContext, url: str) -> float:
    raise NotImplementedError


class Shop:
    """Methods as steps."""

    async def price(self, sku: str) -> int:
        raise NotImplementedError

    async def order(self, ctx: FunctionContext, sku: str) -> Receipt:
        raise NotImplementedError

    def stock(self, sku: str) -> float:
        raise NotImplementedError


@workflow
async def checkout(ctx: WorkflowContext, order_id: str) -> str:
    assert_type(await ctx.step(charge_card, order_id), str)
    assert_type(await ctx.step(charge_card, order_id, cents=5), str)
    assert_type(await ctx.step(plain, order_id, copies=2), int)
    assert_type(await ctx.step(resize, 1, 2), bytes)
    assert_type(await ctx.step(ping), bool)
    assert_type(await ctx.step(fetch, "u", retries=2), bytes)
    assert_type(await ctx.step(durable_plain, order_id), float)
    assert_type(await ctx.step(Shop().price, "sku"), int)
    assert_type(await ctx.step(Shop().stock, "sku"), float)

    assert_type(await ctx.step(with_context, "u"), bytes)
    assert_type(await ctx.step("c", with_context, "u"), bytes)
    assert_type(await ctx.step(plain_with_context, "u"), float)
    assert_type(await ctx.step("c", plain_with_context, "u"), float)
    assert_type(await ctx.step(Shop().order, "sku"), Receipt)

    assert_type(await ctx.step("charge", charge_card, order_id), str)
    assert_type(await ctx.step("ping", ping), bool)
    assert_type(await ctx.step("fetch", fetch, "u"), bytes)
    assert_type(await ctx.step("lambda", lambda: 1), int)

    assert_type(await ctx.step.options(timeout=5, retries=1)(ping), bool)
    assert_type(await ctx.step.options(name="c", key="k")(charge_card, order_id), str)
    assert_type(await ctx.step.options(retries=RetryPolicy())("p", plain, order_id), int)

    assert_type(await charge_card(order_id, cents=7), str)
    assert_type(await with_settings(order_id), bool)
    assert_type(await durable_flow(order_id), list[int])
    assert_type(await ctx.call("payments", "charge", {"a": 1}, timeout=3), Any)
    assert_type(await ctx.state.get("n", 0), Any)
    assert_type(await ctx.spawn([("a", fetch, "u"), ("b", ping)]), list[Any])
    assert_type(await ctx.wait_for_event("paid", timeout=timedelta(hours=1)), Any)
    assert_type(await ctx.wait_for_signal("go"), Any)
    assert_type(ctx.patched("change"), bool)
    assert_type(ctx.attempt, int)
    await ctx.sleep(1.5)
    await ctx.sleep(timedelta(days=1))
    await send_event("paid", {"a": 1})
    return order_id


async def outside() -> None:
    """From outside of runs."""
    assert_type(await checkout("order-42"), str)
    assert_type(await checkout(order_id="order-42"), str)
    assert_type(await resize(1, height=2), bytes)
    assert_type(await count_words("a b"), int)
    assert_type(await with_options("a"), Receipt)
    assert_type(await durable_one("a"), Receipt)
    assert_type(await without_context("a"), str)
    await bare_flow()

    assert_type(await checkout.run("order-42", idempotency_key="order-42"), str)
    assert_type(await checkout.run("order-42", delay=timedelta(seconds=3), tags=("a",)), str)
    handle = await checkout.submit("order-42", tags=["a"])
    assert_type(handle, Handle[str])
    assert_type(handle.id, str)
    assert_type(await handle.result(timeout=3), str)
    assert_type(await handle.status(), str)
    assert_type(await handle.retry(take_key=True), Handle[str])
    assert_type(await handle.fork(at=3), Handle[str])
    assert_type(await handle.state.get("n"), Any)
    assert_type(await get_run("id").result(), Any)
    async for event in handle.events():
        print(event)


def from_sync_code() -> None:
    """From code without an event loop."""
    assert_type(checkout.run_sync("order-42"), str)
    assert_type(resize.run_sync(1, 2), bytes)


async def in_a_unit_test(context: WorkflowContext) -> None:
    """With a context of the test's own, as the first argument, which is a plain call."""
    await checkout.fn(context, "order-42")
