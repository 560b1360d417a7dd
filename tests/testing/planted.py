"""Workflows with the mistakes that people make; `crash_everywhere` has to find them."""

import asyncio
import random
import time
import uuid
from datetime import datetime
from typing import Any

from agnt5 import WorkflowContext, workflow

SHARED: list[str] = ["first"]
COUNTER = [0]


async def echo(value: Any) -> Any:
    return value


async def give_shared() -> list[str]:
    return SHARED


@workflow
async def time_as_argument(ctx: WorkflowContext) -> None:
    await ctx.step(echo, time.time())


@workflow
async def time_as_result(ctx: WorkflowContext) -> float:
    await ctx.step(echo, 1)
    return time.time()


@workflow
async def time_as_state(ctx: WorkflowContext) -> None:
    await ctx.state.set("began", time.time())
    await ctx.step(echo, 1)


@workflow
async def date_as_argument(ctx: WorkflowContext) -> None:
    await ctx.step(echo, datetime.now().isoformat())


@workflow
async def branch_on_the_date(ctx: WorkflowContext, deadline: float) -> None:
    if time.time() > deadline:
        await ctx.step("too late", echo, 0)
    await ctx.step(echo, 1)


@workflow
async def branch_on_what_has_passed(ctx: WorkflowContext) -> None:
    began = time.monotonic()
    await ctx.step(echo, 1)
    if time.monotonic() - began > 30:
        await ctx.step("slow", echo, 2)


@workflow
async def chance_as_argument(ctx: WorkflowContext) -> None:
    await ctx.step(echo, random.random())


@workflow
async def chance_as_branch(ctx: WorkflowContext) -> None:
    for number in range(20):
        if random.random() < 0.5:
            await ctx.step(echo, number)


@workflow
async def fresh_uuid(ctx: WorkflowContext) -> str:
    await ctx.step(echo, 1)
    return str(uuid.uuid4())


@workflow
async def set_of_strings(ctx: WorkflowContext) -> None:
    for name in {"ada", "bob", "cyd", "dee"}:
        await ctx.step(echo, name)


@workflow
async def sorted_set(ctx: WorkflowContext) -> None:
    for name in sorted({"ada", "bob", "cyd", "dee"}):
        await ctx.step(echo, name)


@workflow
async def global_counter(ctx: WorkflowContext) -> None:
    COUNTER[0] += 1
    await ctx.step(echo, COUNTER[0])


@workflow
async def global_list(ctx: WorkflowContext) -> int:
    SHARED.append("more")
    await ctx.step(echo, 1)
    return len(SHARED)


@workflow
async def changed_result(ctx: WorkflowContext) -> list[str]:
    given = await ctx.step(give_shared)
    given.append("changed")
    return [*given, *await ctx.step(give_shared)]


@workflow
async def changed_argument(ctx: WorkflowContext) -> list[str]:
    mine = ["mine"]
    first = await ctx.step(echo, mine)
    mine.append("changed")
    first.append("too")
    return [*first, *mine]


@workflow
async def deaf(ctx: WorkflowContext) -> None:
    while True:
        try:
            await ctx.wait_for_signal("go")
        except asyncio.CancelledError:
            await ctx.step(echo, "not now")


@workflow
async def hushed(ctx: WorkflowContext) -> str:
    try:
        await ctx.step(echo, 1)
        await ctx.sleep(10)
    except BaseException:  # The mistake: it catches what closes it, too.
        await ctx.step("cleared up", echo, 2)
    return "done"


@workflow
async def never_told(ctx: WorkflowContext) -> None:
    await ctx.wait_for_event("go")


@workflow
async def endless(ctx: WorkflowContext) -> None:
    while True:
        await ctx.sleep(1)
