"""Processes that end while runs are in flight end at once and without a word, and the next one goes on with the runs.

Each test starts a program with one run in each place that a run can be in, ends it in its own way, and starts the
same program again.
"""

import signal
import time
from pathlib import Path

import pytest
from processes import Finished, finish, run_script, start_script, wait_for_file

END_SECONDS_MAX = 2.0  # From the signal to the end of the process.

PROGRAM = """
import asyncio, json, os, sys, threading, time
from pathlib import Path
import agnt5
from agnt5 import Runtime, function, get_run, send_event, workflow

IS_FIRST = not os.path.exists("ids")

async def hold() -> str:
    if IS_FIRST:
        await asyncio.sleep(3600)
    return "held"

def hold_thread() -> str:
    if IS_FIRST:
        time.sleep(3600)
    return "held in a thread"

@workflow
async def in_step(ctx) -> str:
    return await ctx.step(hold)

@workflow
async def in_thread(ctx) -> str:
    return await ctx.step(hold_thread)

@function
async def in_function() -> str:
    return await hold()

@workflow
async def asleep(ctx) -> str:
    await ctx.sleep(0.5)
    return "slept"

@workflow
async def waiting(ctx) -> str:
    return await ctx.wait_for_event("go")

@workflow
async def with_child(ctx) -> str:
    try:
        return await in_step()
    except (Exception, asyncio.CancelledError):
        # It would undo what it has done: the end of a process is no failure of its runs.
        print("the body saw an end")
        raise

ALL = [in_step, in_thread, in_function, asleep, waiting, with_child]
RESULTS = ["held", "held in a thread", "held", "slept", "gone", "held"]

async def begin() -> None:
    ids = [(await component.submit()).id for component in ALL]
    while any(status == "queued" for status in [await get_run(i).status() for i in ids]):
        await asyncio.sleep(0.01)
    Path("ids.part").write_text(json.dumps(ids))
    os.rename("ids.part", "ids")

async def go_on() -> None:
    await send_event("go", "gone")
    ids = json.loads(Path("ids").read_text())
    results = await asyncio.gather(*(get_run(i).result(timeout=20) for i in ids))
    assert results == RESULTS, results
    print("all there")

async def begin_and_wait() -> None:
    await begin()
    await asyncio.sleep(3600)

async def begin_in_block() -> None:
    async with Runtime(store="sqlite:///home/journal.db"):
        await begin()
"""

ENDINGS = {
    "the loop ends": "asyncio.run(begin())",
    "the block ends": "asyncio.run(begin_in_block())",
    "an error": "asyncio.run(begin())\nraise SystemExit(3)",
    "an exit inside the loop": "async def main():\n    await begin()\n    sys.exit(3)\nasyncio.run(main())",
    "the last of a thread": "t = threading.Thread(target=lambda: asyncio.run(begin()))\nt.start()\nt.join()",
    "a loop that nobody closes": "asyncio.new_event_loop().run_until_complete(begin())",
    "a loop that is closed by hand": "l = asyncio.new_event_loop()\nl.run_until_complete(begin())\nl.close()",
    "a daemon thread's loop": "threading.Thread(target=lambda: asyncio.run(begin_and_wait()), daemon=True).start()\n"
    "while IS_FIRST and not os.path.exists('ids'):\n    time.sleep(0.01)",
}


def resumed(directory: Path) -> Finished:
    """What a second process says, which finds the runs in the journal."""
    return run_script(directory, PROGRAM + "\nasyncio.run(go_on())\n")


ALL_THERE = Finished(0, "all there\n", "")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_process_that_ends_leaves_its_runs_for_the_next(tmp_path: Path, ending: str) -> None:
    """Whatever way the program's own code comes to its end, nothing hangs, nothing is said and nothing lost."""
    began = time.monotonic()
    first = run_script(tmp_path, f"{PROGRAM}\n{ENDINGS[ending]}\n")
    took = time.monotonic() - began
    second = resumed(tmp_path)

    assert first in (Finished(0, "", ""), Finished(3, "", ""))
    assert took < END_SECONDS_MAX + 2
    assert second == ALL_THERE


def end_by(number: int, directory: Path, ending: str) -> Finished:
    """Start the first process, send it a signal in the middle, and see that it ends soon."""
    process = start_script(directory, f"{PROGRAM}\n{ending}\n")
    wait_for_file(directory / "ids", process)
    process.send_signal(number)
    return finish(process, END_SECONDS_MAX)


BLOCKED_IN = {
    "a loop": "asyncio.run(begin_and_wait())",
    "run_sync": "threading.Thread(target=lambda: asyncio.run(begin_and_wait()), daemon=True).start()\n"
    "in_function.run_sync()",
    "a runtime's block": "async def main():\n    async with Runtime(store='sqlite:///home/journal.db'):\n"
    "        await begin_and_wait()\nasyncio.run(main())",
    "a call": "async def main():\n    await begin()\n    await in_step()\nasyncio.run(main())",
}


@pytest.mark.parametrize("place", BLOCKED_IN)
def test_ctrl_c_ends_the_process_at_once(tmp_path: Path, place: str) -> None:
    """The user sees Python's own KeyboardInterrupt and nothing of ours; the runs are there next time."""
    first = end_by(signal.SIGINT, tmp_path, BLOCKED_IN[place])
    second = resumed(tmp_path)

    assert first.code == -signal.SIGINT
    assert first.out == ""
    assert first.err.rstrip().endswith("KeyboardInterrupt")
    assert_only_a_traceback(first.err)
    assert second == ALL_THERE


def assert_only_a_traceback(said: str) -> None:
    """Nothing on stderr but the tracebacks of KeyboardInterrupt and of the cancel that asyncio makes of it."""
    for noise in ("never retrieved", "was destroyed", "is closed", "Exception ignored", "never awaited", "agnt5.r"):
        assert noise not in said, said
    assert "Traceback" in said.splitlines()[0], said


def test_a_terminated_process_is_gone_at_once(tmp_path: Path) -> None:
    """SIGTERM, unhandled, ends a process like a crash does: no harm is done."""
    first = end_by(signal.SIGTERM, tmp_path, BLOCKED_IN["a loop"])
    second = resumed(tmp_path)

    assert first == Finished(-signal.SIGTERM, "", "")
    assert second == ALL_THERE


def test_a_process_that_handles_termination_shuts_down_in_order(tmp_path: Path) -> None:
    """A SIGTERM handler that lets the program's own code return, as servers have, is all it takes."""
    ending = """
import signal
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Runtime(store="sqlite:///home/journal.db"):
        await begin()
        await stop.wait()
asyncio.run(main())
"""

    first = end_by(signal.SIGTERM, tmp_path, ending)
    second = resumed(tmp_path)

    assert first == Finished(0, "", "")
    assert second == ALL_THERE
