"""What the measured programs measure with; only the standard library, since peers use it too."""

import asyncio
import ctypes
import gc
import os
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from statistics import median, quantiles

Figures = dict[str, float]


class Stopwatch:
    """The wall time of a block, and the CPU time of all threads of the process in it, in seconds."""

    def __enter__(self) -> "Stopwatch":
        self.wall, self.cpu = -time.perf_counter(), -time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter()
        self.cpu += time.process_time()


async def many_runs(run: Callable[[int], Awaitable[int]], runs: int, concurrency: int) -> Figures:
    """Three-step runs of so many clients, each of which waits for its run before it starts the next."""
    taken = []

    async def client(first: int, count: int) -> None:
        for value in range(first, first + count):
            began = time.perf_counter()
            assert await run(value) == value + 3, "the result is that of the three steps"
            taken.append(time.perf_counter() - began)

    each = runs // concurrency
    await client(runs, 20)  # Warm.
    taken.clear()
    with Stopwatch() as watch:
        await asyncio.gather(*(client(index * each, each) for index in range(concurrency)))
    return {
        "runs/s": len(taken) / watch.wall,
        "CPU ms/run": watch.cpu / len(taken) * 1000,
        "p50 ms": median(taken) * 1000,
        "p99 ms": quantiles(taken, n=100)[98] * 1000,
    }


async def long_runs(run: Callable[[int], Awaitable[int]], sizes: list[int]) -> Figures:
    """Runs of so many steps, one after the other; `growth` is time per step in the longest over the shortest."""
    seconds = []
    await run(20)  # Warm.
    for size in sizes:
        with Stopwatch() as watch:
            assert await run(size) == size, "each step counts once"
        seconds.append(watch.wall)
    figures = {f"{size:,} steps s": taken for size, taken in zip(sizes, seconds, strict=True)}
    growth = (seconds[-1] / sizes[-1]) / (seconds[0] / sizes[0])
    return figures | {"CPU ms/step": watch.cpu / sizes[-1] * 1000, "growth": growth}


async def wide_runs(run: Callable[[int], Awaitable[int]], steps: int, repeats: int) -> Figures:
    """Runs of so many parallel steps, each of which squares its number: the median of some."""
    seconds = []
    await run(20)  # Warm.
    for _ in range(repeats):
        with Stopwatch() as watch:
            assert await run(steps) == sum(value * value for value in range(steps)), "all results, once"
        seconds.append(watch.wall)
    return {"s": median(seconds), "CPU ms/step": watch.cpu / steps * 1000}


def rss_bytes() -> int:
    """The memory of this process that is in use: garbage is collected first, and free pages given back."""
    gc.collect()
    with suppress(OSError, AttributeError):  # Only glibc has it.
        ctypes.CDLL(None).malloc_trim(0)
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(os.getpid())])) * 1024


class Effects:
    """A log of what steps did, outside of any journal: one line for each execution.

    A line is one `write` in append mode, so it survives SIGKILL. Times are those of the monotonic
    clock, which all processes of a machine share.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "effects"
        self._fd = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def record(self, *name: object) -> None:
        """Write down that this was done."""
        os.write(self._fd, f"{time.monotonic()} {' '.join(map(str, name))}\n".encode())

    def read(self) -> list[tuple[float, str]]:
        """When what was done, in the order of doing."""
        lines = [line.split(" ", 1) for line in self.path.read_text().splitlines()]
        return [(float(at), name) for at, name in lines]
