"""Works on a journal before and after somebody has done something to its files, and tells what it makes of that.

    touched.py JOURNAL READY GO    makes the file READY when it has begun, and goes on when there is a file GO
"""

import asyncio
import sys
import time
from pathlib import Path

from agnt5 import Runtime, workflow
from agnt5.core.model.errors import Agnt5Error


def length(text: str) -> int:
    return len(text)


@workflow
async def measure(ctx, text: str) -> int:
    return await ctx.step(length, text)


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.001)


async def main(journal: str, ready: str, go: str) -> None:
    async with Runtime(store=f"sqlite:///{journal}"):
        # Enough for some pages; closing brings them from the log into the file.
        await asyncio.gather(*(measure("x" * 5000) for _ in range(5)))
    async with Runtime(store=f"sqlite:///{journal}"):
        await measure("y")
        await asyncio.to_thread(Path(ready).touch)
        await asyncio.to_thread(wait_for, Path(go))
        for _ in range(2):
            try:
                print(await asyncio.wait_for(measure("z"), 20))
            except Agnt5Error as error:
                print(type(error).__name__, "|", error.what)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
