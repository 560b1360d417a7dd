"""Serves customers while its disk fails as it is told, and writes down what each of them has heard.

    serving.py JOURNAL LEDGER OPERATION WHAT SKIP TIMES    be in trouble (see preload/trouble.c) from the second on
    serving.py JOURNAL LEDGER                              ask again for all of them, under the same keys

Each line of the ledger is written before anything else is done.
"""

import asyncio
import ctypes
import json
import os
import sys

from agnt5 import DurableContext, Runtime, StoreFull, workflow
from agnt5.core.model.errors import Agnt5Error

CUSTOMERS = 8
SECONDS_MAX = 20.0  # For an answer of any kind; none takes as long.


def note(*facts: object) -> None:
    """Write down a fact."""
    file = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, json.dumps(facts).encode() + b"\n")
    os.close(file)


def charge(order: int) -> str:
    note("charged", order)
    return "paid " * 1000


def ship(order: int, paid: str) -> str:
    # That it is called shows that the charge is on record.
    note("shipped", order)
    return f"shipped {order} {len(paid)}"


@workflow
async def take(ctx: DurableContext, order: int) -> str:
    paid = await ctx.step(charge, order)
    await ctx.sleep(0.001)
    return await ctx.step(ship, order, paid)


async def customer(order: int) -> None:
    """Order something, and wait for it."""
    try:
        async with asyncio.timeout(SECONDS_MAX):
            handle = await take.submit(order, idempotency_key=f"order-{order}")
            note("acknowledged", order, handle.id)
            note("result", order, await handle.result())
    except Agnt5Error as error:
        note("error", order, type(error).__name__)
    except TimeoutError:
        note("error", order, "nothing")


async def in_trouble(journal: str, operation: str, what: str, skip: str, times: str) -> None:
    system = ctypes.CDLL(None)
    try:
        async with Runtime(store=f"sqlite:///{journal}"):
            await customer(0)
            system.trouble_begin(operation.encode(), int(what), int(skip), int(times))
            await asyncio.gather(*map(customer, range(1, CUSTOMERS)))
            note("afterwards")
            await customer(CUSTOMERS)
            note("healed", system.trouble_end())
            await customer(CUSTOMERS + 1)
    except StoreFull:
        note("full at the end")


async def again(journal: str) -> None:
    note("again")
    async with Runtime(store=f"sqlite:///{journal}"):
        await asyncio.gather(*map(customer, range(CUSTOMERS + 2)))


if __name__ == "__main__":
    journal, _, *trouble = sys.argv[1:]
    asyncio.run(in_trouble(journal, *trouble) if trouble else again(journal))
