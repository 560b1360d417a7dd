"""A process that is stopped for a while, a row that is damaged under it, and a table of files that is full."""

import signal
import sqlite3
import time
from pathlib import Path

from e2e.processes import finish, read_journal, run_script, start_script, wait_for_file

from .test_clock import check_times

STOPPED_SECONDS = 1.5  # Longer than any timeout of the program below.

HEAD = """
import asyncio, os, resource, sys, time
from pathlib import Path
from agnt5 import *
from agnt5.core.model.errors import Agnt5Error

STORE = "sqlite:///journal.db"

async def until(path: str) -> None:
    while not Path(path).exists():
        await asyncio.sleep(0.005)
"""

STOPPED = f"""{HEAD}
QUICK = RetryPolicy(max_attempts=3, initial_interval=0.01, jitter=0)

async def beat(ctx: DurableContext) -> str:
    for _ in range(5):
        ctx.heartbeat()
        await asyncio.sleep(0.1)
    return "beaten"

def work() -> str:
    time.sleep(0.4)
    return "worked"

@workflow
async def busy(ctx) -> list[str]:
    return list(await asyncio.gather(
        ctx.step.options(timeout=0.9, retries=QUICK)(work),
        ctx.step.options(heartbeat_timeout=0.4, retries=QUICK)(beat),
    ))

@workflow
async def asleep(ctx) -> list[str]:
    for _ in range(3):
        await ctx.sleep(0.3)
    return ["slept"]

@workflow
async def waiting(ctx) -> list[str]:
    try:
        await ctx.wait_for_event("never", timeout=0.5)
    except TimeoutError:
        return ["waited"]

async def main() -> None:
    async with Runtime(store=STORE):
        handles = [await component.submit() for component in (busy, asleep, waiting)]
        Path("ready").touch()
        print(sum([await handle.result(timeout=20) for handle in handles], []))

asyncio.run(main())
"""


def test_a_process_that_is_stopped_longer_than_any_timeout_goes_on(tmp_path: Path) -> None:
    """F08, F85: timers that came due meanwhile fire once, what timed out is tried again, and nothing hangs."""
    process = start_script(tmp_path, STOPPED)
    wait_for_file(tmp_path / "ready", process)

    process.send_signal(signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)  # This is what happens to it, and nothing is waited for.
    process.send_signal(signal.SIGCONT)
    finished = finish(process)

    assert finished == (0, "['worked', 'beaten', 'slept', 'waited']\n", "")
    for _, entries in read_journal(tmp_path / "journal.db"):
        check_times(entries)


DAMAGED = f"""{HEAD}
def length(text: str) -> int:
    return len(text)

@workflow
async def measure(ctx, text: str) -> int:
    measured = await ctx.step(length, text)
    await ctx.wait_for_event("go")
    return measured

async def heard(handle) -> str:
    try:
        return str(await handle.result(timeout=20))
    except Agnt5Error as error:
        return f"{{type(error).__name__}}: {{error.what}}"

async def main() -> None:
    # Nothing stays in memory: whoever goes on is read from the file.
    async with Runtime(store=STORE, settings=WorkerSettings(max_cached_runs=0)):
        handles = [await measure.submit("x" * n) for n in (1, 2, 3)]
        while {{await handle.status() for handle in handles}} != {{"suspended"}}:
            await asyncio.sleep(0.01)
        Path("ready.part").write_text(handles[1].id)
        os.rename("ready.part", "ready")
        await until("go")
        await send_event("go")
        for handle in handles:
            print(await heard(handle), await handle.status())
        print(await measure("yyyy"))

asyncio.run(main())
"""


def test_a_row_that_is_damaged_under_a_running_process_stops_its_run_alone(tmp_path: Path) -> None:
    """F45: the run whose journal isn't what was written is blocked with the place, and all others go on."""
    process = start_script(tmp_path, DAMAGED)
    wait_for_file(tmp_path / "ready", process)
    run_id = (tmp_path / "ready").read_text()
    connection = sqlite3.connect(tmp_path / "journal.db", timeout=10)
    changed = connection.execute(
        "UPDATE journal SET body = replace(body, '\"result\":2', '\"result\":9') WHERE run_id = ? AND position = 1",
        (run_id,),
    )
    connection.commit()
    connection.close()

    (tmp_path / "go").touch()
    finished = finish(process)

    assert changed.rowcount == 1
    assert (finished.code, finished.err) == (0, ""), finished
    first, second, third, fourth = finished.out.splitlines()
    assert (first, third, fourth) == ("1 completed", "3 completed", "4")
    assert second.startswith(("RunBlockedError", "StoreCorrupt"))
    assert second.endswith(" blocked")
    assert f"entry 1 of run {run_id}" in second


FULL_TABLE = f"""{HEAD}
from agnt5.store.sqlite.store import SqliteStore

def read() -> str:
    return Path(__file__).read_text()[:0] + "read"

def add(a: int) -> int:
    return a + 1

@workflow
async def reading(ctx) -> str:
    return await ctx.step.options(retries=1)(read)

@workflow
async def adding(ctx, a: int) -> int:
    await ctx.sleep(0.01)
    return await ctx.step(add, a)

async def heard(awaitable) -> str:
    try:
        return str(await awaitable)
    except (Agnt5Error, OSError) as error:
        return f"{{type(error).__name__}}: {{error}}".splitlines()[0]

async def open_another() -> str:
    store = SqliteStore(Path("another.db"))
    await store.open()
    await store.close()
    return "opened"

async def main() -> None:
    async with Runtime(store=STORE):
        await adding(0)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.open("/dev/null", os.O_RDONLY)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        print(await asyncio.gather(*(adding(n) for n in range(50))) == list(range(1, 51)))
        print(await heard(reading()))
        print(await heard(open_another()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        print(await heard(reading()), await heard(open_another()))

asyncio.run(main())
"""


def test_a_process_that_may_open_no_more_files_goes_on_with_those_it_has(tmp_path: Path) -> None:
    """P12: steps that need a file fail as they do anywhere, runs that need none go on, and the journal is unharmed."""
    finished = run_script(tmp_path, FULL_TABLE)

    assert (finished.code, finished.err) == (0, ""), finished
    added, read, opened, afterwards = finished.out.splitlines()
    assert added == "True"
    assert read.startswith("OSError: [Errno 24] Too many open files")
    assert opened.startswith("StoreError")
    assert "Too many open files" in opened
    assert afterwards == "read opened"
