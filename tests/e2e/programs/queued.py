"""Queues many runs behind a few that hold, and tells how much memory that takes; then lets the first thousands go.

    queued.py JOURNAL COUNT
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from agnt5 import Runtime, WorkerSettings, function

CAPACITY = 10
BATCH = 1_000
SEEN_THROUGH = 5_000  # More than are kept in memory at a time, so that some come from the store.
gate: asyncio.Event
done = 0


@function
async def hold(number: int) -> int:
    global done
    await gate.wait()
    done += 1
    return number


def resident_kib() -> int:
    """The memory of this process, in KiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


async def main(journal: str, count: int) -> None:
    """Queue them, tell, and see the first of them through."""
    global gate
    gate = asyncio.Event()
    settings = WorkerSettings(capacity=CAPACITY)
    async with Runtime(store=f"sqlite:///{journal}", settings=settings):
        sizes, first = [], []
        for start in range(0, count, BATCH):
            last = await asyncio.gather(*(hold.submit(number) for number in range(start, start + BATCH)))
            sizes.append(resident_kib())
            if start < SEEN_THROUGH:
                first += last
        waiting = [await last[-1].status(), done]
        gate.set()
        results = await asyncio.gather(*(handle.result() for handle in first))
        print(json.dumps({"sizes": sizes, "waiting": waiting, "results": results}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
