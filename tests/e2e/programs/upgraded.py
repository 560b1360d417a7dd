"""The workflows whose runs are in the golden journals. Their code stays as it was when those were recorded.

    upgraded.py record JOURNAL    make the runs, and die while one waits and one is in the middle of a step
    upgraded.py resume JOURNAL    see every run through, and print what each came to
"""

import asyncio
import json
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from deadly import die, effect

import agnt5
from agnt5 import DurableContext, RetryPolicy, Runtime, workflow
from agnt5.store.port import RunFilter
from agnt5.store.sqlite.reader import SqliteReader

PRICE = {"amount": Decimal("12.50"), "due": date(2024, 2, 29), "tags": {"new"}}
CENTURY = 100 * 365 * 86_400.0  # Seconds: a run that is for later stays so.
IS_RECORDING = sys.argv[1:2] == ["record"]


async def price(order: str) -> dict[str, Any]:
    effect(f"price {order}")
    return PRICE


async def flaky(ctx: DurableContext) -> int:
    effect(f"flaky {ctx.attempt}")
    if ctx.attempt == 1:
        raise ConnectionError("the first attempt")
    return ctx.attempt


async def ship(order: str) -> str:
    effect(f"ship {order}")
    return f"shipped {order}"


async def cut_short(order: str) -> str:
    if IS_RECORDING:
        await asyncio.Event().wait()
    effect(f"cut short {order}")
    return f"done {order}"


@workflow
async def child(ctx: DurableContext, order: str) -> str:
    return await ctx.step(ship, order)


@workflow
async def waiting(ctx: DurableContext, order: str) -> list[Any]:
    """Has done one of everything, and waits for an event."""
    priced = await ctx.step(price, order)
    attempts = await ctx.step.options(retries=RetryPolicy(max_attempts=2, initial_interval=0.01))(flaky)
    await ctx.state.set("order", order)
    await ctx.sleep(0.01)
    shipped, also = await asyncio.gather(child(order), ctx.step(ship, "a gift"))
    word = await ctx.wait_for_signal("word")
    approved = await ctx.wait_for_event("approved")
    last = await ctx.step(ship, "the last")
    order = await ctx.state.get("order")
    return [priced == PRICE, attempts, order, shipped, also, word, approved, last]


@workflow
async def working(ctx: DurableContext, order: str) -> str:
    """Is in the middle of its second step."""
    await ctx.step(price, order)
    return await ctx.step(cut_short, order)


async def record(journal: str) -> None:
    """Make the runs, and die."""
    async with Runtime(store=f"sqlite:///{journal}"):
        await child("ended")
        handle = await waiting.submit("o-1", tags=["golden"], idempotency_key="o-1")
        await handle.signal("word", "hello")
        await working.submit("o-2")
        await child.submit("o-3", delay=CENTURY)
        while await handle.status() != "suspended":  # noqa: ASYNC110  Nothing tells of it.
            await asyncio.sleep(0.1)
        # Until it is written down that it waits.
        await asyncio.sleep(2)
        die()


async def resume(journal: str) -> None:
    """See every run through but the one that is for later."""
    reader = SqliteReader(Path(journal))
    await reader.open_read_only()
    ids = {run.component: run.id for run in await reader.runs(RunFilter()) if run.component != "child"}
    await reader.close()
    async with Runtime(store=f"sqlite:///{journal}"):
        again = await waiting.submit("o-1", idempotency_key="o-1")
        await agnt5.send_event("approved", True)
        results = {name: await agnt5.get_run(run_id).result(timeout=20) for name, run_id in sorted(ids.items())}
        print(json.dumps(results | {"same": again.id == ids["waiting"]}))


if __name__ == "__main__":
    asyncio.run({"record": record, "resume": resume}[sys.argv[1]](sys.argv[2]))
