"""Has a disk that takes its time over a sync, and tells what can be done meanwhile.

    hanging.py JOURNAL
"""

import asyncio
import ctypes
import sys

from agnt5 import DurableContext, Runtime, workflow

HANG = -2  # As in preload/trouble.c.


@workflow
async def sleep(ctx: DurableContext, seconds: float) -> str:
    await ctx.sleep(seconds)
    return "slept"


async def main(journal: str) -> None:
    system = ctypes.CDLL(None)
    async with Runtime(store=f"sqlite:///{journal}"):
        asleep = await sleep.submit(1.0)
        system.trouble_begin(b"sync", HANG, 0, 1)
        late = asyncio.create_task(sleep.submit(0.0, idempotency_key="late"))
        done, _ = await asyncio.wait([late], timeout=0.3)
        print("acknowledged" if done else "waits")
        hung = system.trouble_end()
        results = [await (await late).result(timeout=10), await asleep.result(timeout=10)]
        print(f"{hung} sync hung, then: {', '.join(results)}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
