"""Many runs at once, submitted by one process after the other on the same journal.

    crowd.py submit JOURNAL PREFIX COUNT    submit so many at once, and wait for all of them
    crowd.py trickle JOURNAL PREFIX COUNT   submit one after the other, and wait for none
    crowd.py collect JOURNAL                wait for every run that was ever acknowledged; print what each came to

Each submission is noted outside as soon as it is acknowledged.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from deadly import EFFECTS, effect, note

import agnt5
from agnt5 import DurableContext, Runtime, workflow

IS_HELD = "HOLD" in os.environ  # The last step doesn't come to its end.
WAIT_SECONDS = 50.0  # For all the runs together.


async def reserve(order: str) -> str:
    effect(f"{order} reserve")
    await asyncio.sleep(0.002)
    return f"reserved {order}"


def charge(order: str) -> str:
    effect(f"{order} charge")
    return f"paid {order}"


async def ship(order: str) -> str:
    effect(f"{order} ship")
    if IS_HELD:
        await asyncio.Event().wait()
    return f"shipped {order}"


@workflow
async def fulfil(ctx: DurableContext, order: str) -> str:
    """Three steps with a pause between the first and the second."""
    await ctx.step(reserve, order)
    await ctx.sleep(0.005)
    await ctx.step(charge, order)
    return await ctx.step(ship, order)


async def submit(order: str) -> None:
    """Submit a run, and note that it was acknowledged."""
    handle = await fulfil.submit(order, idempotency_key=order)
    note(f"acknowledged {order} {handle.id}")


async def main(mode: str, journal: str, prefix: str = "", count: str = "0") -> None:
    """Do what the command line says."""
    orders = [f"{prefix}-{number}" for number in range(int(count))]
    async with Runtime(store=f"sqlite:///{journal}"):
        note(f"ready {prefix}")
        if mode == "submit":
            await asyncio.gather(*map(submit, orders))
        elif mode == "trickle":
            for order in orders:
                await submit(order)
        if mode != "trickle":
            async with asyncio.timeout(WAIT_SECONDS):
                print(json.dumps(await collect()))
        else:
            await asyncio.Event().wait()


async def collect() -> dict[str, str]:
    """What each acknowledged run came to, by its order."""
    known = acknowledged()
    results = await asyncio.gather(*(agnt5.get_run(run_id).result() for run_id in known.values()))
    return dict(zip(known, results, strict=True))


def acknowledged() -> dict[str, str]:
    """The ids of the runs that were ever acknowledged, by their order."""
    words = [line.split() for line in Path(EFFECTS).read_text().splitlines()]
    return {line[1]: line[2] for line in words if line[0] == "acknowledged"}


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
