"""Has a shop take orders over two lives of one runtime, and notes everything that it is promised.

    promising.py JOURNAL
"""

import asyncio
import sys

from promises import promised

import agnt5
from agnt5 import DurableContext, RetryPolicy, RunCancelledError, Runtime, workflow

QUICK = RetryPolicy(max_attempts=3, initial_interval=0.001, jitter=0)


def charge(order: int) -> str:
    # From one sector to several pages.
    return "paid " * (40 << order % 6)


async def flaky(ctx: DurableContext, order: int) -> int:
    promised("outcome", ctx.run_id, "charge")
    if ctx.attempt < 2:
        raise ConnectionError(f"order {order}")
    return ctx.attempt


def pack(order: int) -> str:
    return f"packed {order}"


def thank(ctx: DurableContext, event: str) -> None:
    # A step is something that the world sees: all that the body knew as it asked for it is there to stay.
    for name in ("charge", "paid", "flaky", event):
        promised("outcome", ctx.run_id, name)


@workflow
async def deliver(ctx: DurableContext, order: int) -> str:
    return await ctx.step(pack, order)


@workflow
async def take(ctx: DurableContext, order: int) -> str:
    """A bit of everything."""
    await ctx.step(charge, order)
    await ctx.step.options(retries=QUICK)(flaky, order)
    await ctx.state.set("paid", order)
    await ctx.sleep(0.001)
    await ctx.wait_for_event(f"go {order}")
    await asyncio.gather(deliver(order), ctx.step(thank, f"go {order}"))
    return await ctx.wait_for_signal("end")


async def customer(order: int) -> None:
    """Submits one order and sees it through."""
    handle = await take.submit(order, idempotency_key=f"order-{order}")
    promised("run", handle.id)
    await agnt5.send_event(f"go {order}", order)
    promised("event", f"go {order}")
    await handle.signal("end", f"end {order}")
    promised("signal", handle.id)
    assert await handle.result(timeout=30) == f"end {order}"
    promised("result", handle.id)


async def impatient(order: int) -> None:
    """Submits one order and thinks better of it."""
    handle = await take.submit(order)
    promised("run", handle.id)
    await handle.cancel()
    promised("cancel", handle.id)
    try:
        await handle.result(timeout=30)
    except RunCancelledError:
        promised("result", handle.id)


async def main(journal: str) -> None:
    async with Runtime(store=f"sqlite:///{journal}"):
        await asyncio.gather(*map(customer, range(6)))
        await customer(6)
    async with Runtime(store=f"sqlite:///{journal}"):
        await customer(7)
        await asyncio.gather(impatient(8), customer(9), customer(10))
        await customer(11)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
