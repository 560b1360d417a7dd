"""Loops that come and go, threads without one, and code that has none at all: runs go on wherever there is somebody.

Each test is a script of its own, as a user would write it, because the runtime that starts by itself belongs to
its process.
"""

from pathlib import Path

import pytest
from processes import Finished, run_script

WORKFLOW = """
import asyncio, os, sys, threading, time
import agnt5
from agnt5 import function, get_run, workflow

async def double(x: int) -> int:
    await asyncio.sleep(0.001)
    return 2 * x

def treble(x: int) -> int:
    return 3 * x

@workflow
async def both(ctx, x: int) -> int:
    return await ctx.step(double, x) + await ctx.step(treble, x)

@workflow
async def later(ctx, x: int) -> int:
    y = await ctx.step(double, x)
    await ctx.sleep(0.3)
    return y + await ctx.step(treble, x)

@function
def plain(x: int) -> int:
    return x + 1
"""


def outcome(directory: Path, source: str, **environment: str) -> Finished:
    return run_script(directory, WORKFLOW + source, **environment)


def said(*lines: object) -> Finished:
    """A process that printed this, and ended well without a word on stderr."""
    return Finished(0, "".join(f"{line}\n" for line in lines), "")


def test_two_loops_one_after_the_other_share_the_runtime(tmp_path: Path) -> None:
    """What the first `asyncio.run` has begun, the second finishes."""
    source = """
async def first() -> str:
    print(await both(1))
    return (await later.submit(2)).id

async def second(run_id: str) -> None:
    print(await get_run(run_id).result(timeout=10))
    print(await both(3))

asyncio.run(second(asyncio.run(first())))
"""

    finished = outcome(tmp_path, source)

    assert finished == said(5, 10, 15)


def test_a_run_goes_on_between_two_loops(tmp_path: Path) -> None:
    """While no loop of the user's is there, a loop of the runtime's own takes what is unfinished."""
    source = """
async def first() -> str:
    return (await later.submit(2)).id

async def status(run_id: str) -> str:
    return await get_run(run_id).status()

run_id = asyncio.run(first())
time.sleep(1.2)  # Without any loop: this is what is tested.
print(asyncio.run(status(run_id)))
"""

    finished = outcome(tmp_path, source)

    assert finished == said("completed")


def test_a_loop_that_already_runs_is_used_as_it_is(tmp_path: Path) -> None:
    """As in a notebook: cells await on a loop that somebody else runs, and block other threads on it at will."""
    source = """
async def cell_1() -> None:
    print(await both(1))

async def cell_2() -> None:
    print(await asyncio.to_thread(both.run_sync, 2))
    print(await asyncio.to_thread(plain.run_sync, 2))

loop = asyncio.new_event_loop()
thread = threading.Thread(target=loop.run_forever, daemon=True)
thread.start()
for cell in (cell_1, cell_2, cell_1):
    asyncio.run_coroutine_threadsafe(cell(), loop).result(10)
print(both.run_sync(3))
loop.call_soon_threadsafe(loop.stop)
thread.join()
"""

    finished = outcome(tmp_path, source)

    assert finished == said(5, 10, 3, 5, 15)


def test_a_loop_for_each_test_of_a_suite_works(tmp_path: Path) -> None:
    """A user's pytest suite, with a loop per test, runs on one runtime without a warning."""
    (tmp_path / "test_user.py").write_text(
        WORKFLOW
        + """
import pytest

@pytest.mark.asyncio
@pytest.mark.parametrize("x", range(5))
async def test_both(x):
    assert await both(x) == 5 * x
    await later.submit(x)

@pytest.mark.asyncio
async def test_that_fails():
    await later.submit(9)
    await both.submit(9)
    assert False

def test_without_a_loop():
    assert both.run_sync(2) == 10
"""
    )
    source = """
import pytest
options = ["-q", "-W", "error", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function"]
sys.exit(pytest.main([*options, "test_user.py"]))
"""

    finished = outcome(tmp_path, source)

    assert "1 failed, 6 passed" in finished.out
    assert "warning" not in finished.out
    assert finished.err == ""


def test_code_without_a_loop_needs_none(tmp_path: Path) -> None:
    """`run_sync` runs workflows and plain functions from sync code, and raises what they raise."""
    source = """
@function(retries=1)
def broken(x: int) -> int:
    raise KeyError(x)

print(both.run_sync(1), plain.run_sync(1), both.run_sync(x=2))
try:
    broken.run_sync(7)
except KeyError as error:
    print(repr(error))
"""

    finished = outcome(tmp_path, source)

    assert finished == said("5 2 10", "KeyError(7)")


def test_run_sync_on_a_loops_own_thread_says_to_await(tmp_path: Path) -> None:
    """It would wait for the loop that it holds up."""
    source = """
async def main() -> None:
    try:
        both.run_sync(1)
    except agnt5.InvalidInput as error:
        print(error)
    print(await both(1))

asyncio.run(main())
"""

    finished = outcome(tmp_path, source)

    assert finished.code == 0, finished
    assert "await both.run(...)" in finished.out
    assert finished.out.endswith("\n5\n")
    assert finished.err == ""


def test_many_threads_may_call_run_sync(tmp_path: Path) -> None:
    """Each gets its own result."""
    source = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(32) as pool:
    results = list(pool.map(both.run_sync, range(300)))
print(results == [5 * x for x in range(300)])
"""

    finished = outcome(tmp_path, source)

    assert finished == said(True)


def test_many_threads_with_loops_of_their_own_share_the_runtime(tmp_path: Path) -> None:
    """Loops that live side by side, and come and go, each get the results of what they called."""
    source = """
from concurrent.futures import ThreadPoolExecutor

async def some(x: int) -> list[int]:
    return await asyncio.gather(*(both(x + y) for y in range(5)))

with ThreadPoolExecutor(8) as pool:
    results = list(pool.map(lambda x: asyncio.run(some(x)), range(40)))
print(results == [[5 * (x + y) for y in range(5)] for x in range(40)])
"""

    finished = outcome(tmp_path, source)

    assert finished == said(True)


def test_what_goes_wrong_in_one_loop_leaves_the_other_alone(tmp_path: Path) -> None:
    """A loop that ends with an exception hands its runs over; those of the other go on undisturbed."""
    source = """
ids = []

async def dies() -> None:
    ids.append((await later.submit(1)).id)
    raise RuntimeError("the loop's own code")

async def lives(began: threading.Event) -> list[int]:
    results = await asyncio.gather(*(later(x) for x in range(5)))
    began.wait(10)
    return [*results, await get_run(ids[0]).result(timeout=10)]

def die() -> None:
    try:
        asyncio.run(dies())
    except RuntimeError as error:
        print(error)
    died.set()

died = threading.Event()
thread = threading.Thread(target=die)
thread.start()
print(asyncio.run(lives(died)))
thread.join()
"""

    finished = outcome(tmp_path, source)

    assert finished == said("the loop's own code", [0, 5, 10, 15, 20, 5])


def test_loops_of_uvloop_do_too(tmp_path: Path) -> None:
    """A loop need not be one of asyncio's own."""
    pytest.importorskip("uvloop")
    source = """
import uvloop

async def main() -> list[int]:
    handle = await later.submit(4)
    return [await both(1), await asyncio.to_thread(both.run_sync, 2), await handle.result()]

print(uvloop.run(main()))
print(uvloop.run(main()))
"""

    finished = outcome(tmp_path, source)

    assert finished == said([5, 10, 20], [5, 10, 20])
