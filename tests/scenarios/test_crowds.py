"""Many of a thing at once: timers, steps, hops."""

import asyncio
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from time import monotonic

import pytest
from contract.behaviour.world import World

from agnt5 import DurableContext, workflow


async def test_many_runs_with_many_timers_end_in_time(world: World):
    """R05: fifty runs with twenty timers each of some hundredths of a second, all of them within seconds."""

    @workflow
    async def sleepy(ctx: DurableContext, seed: int) -> int:
        await asyncio.gather(*(ctx.sleep(0.01 + (seed * 7 + n) % 5 / 100) for n in range(20)))
        return seed

    began = monotonic()
    results = await asyncio.gather(*(sleepy(seed) for seed in range(50)))

    assert results == list(range(50))
    assert monotonic() - began < 30


async def test_a_thousand_steps_at_once_come_back_in_order(world: World):
    """D18, D19: results are in the order of asking, whichever of them ended first, and none is lost."""

    async def square(number: int) -> int:
        await asyncio.sleep((number * 7919 % 11) / 2000)
        return number * number

    @workflow
    async def squares(ctx: DurableContext) -> int:
        results = await asyncio.gather(*(ctx.step(square, number) for number in range(1000)))
        assert results == [number * number for number in range(1000)]
        return len(results)

    assert await squares() == 1000


class Refused(Exception):
    """An error with something to say."""

    def __init__(self, message: str, details: dict[str, int]) -> None:
        super().__init__(message, details)
        self.details = details


async def test_an_error_keeps_what_it_holds_over_two_hops(world: World):
    """R10, T15: raised in a step of a child of a child, it reaches the caller with type, message and details."""

    async def refuse() -> None:
        raise Refused("no credit", {"limit": 100})

    @workflow
    async def inner(ctx: DurableContext) -> None:
        await ctx.step.options(retries=1)(refuse)

    @workflow
    async def outer(ctx: DurableContext) -> None:
        await inner()

    with pytest.raises(Refused, match="no credit") as raised:
        await outer()

    assert raised.value.details == {"limit": 100}


async def test_random_bytes_come_back_as_they_were(world: World):
    """R08, T35: what goes through a run and its step is what went in."""

    def echo(data: bytes) -> bytes:
        return data

    @workflow
    async def through(ctx: DurableContext, data: bytes) -> bytes:
        return await ctx.step(echo, data)

    data = os.urandom(100)

    assert await through(data) == data
    assert await through(b"\xde\xad") == b"\xde\xad"
    assert await through(b"") == b""


async def test_a_process_of_a_step_that_dies_is_an_error_of_the_step(world: World):
    """T11: a pool whose process is gone says so; the run hears of it, and the runtime is as well as before."""

    async def compute() -> None:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            await asyncio.get_running_loop().run_in_executor(pool, os._exit, 7)

    @workflow
    async def outsource(ctx: DurableContext) -> str:
        try:
            await ctx.step.options(retries=1)(compute)
        except BrokenProcessPool:
            return "broken"
        return "unbroken"

    assert await outsource() == "broken"
    assert await outsource() == "broken"
