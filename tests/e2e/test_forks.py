"""A forked process is told that the runtime is its parent's, which never notices; a spawned one is on its own."""

from pathlib import Path

import pytest
from processes import Finished, run_script

HEAD = """
import asyncio, multiprocessing, os, signal, sys, threading, time
import agnt5
from agnt5 import Agnt5Error, Runtime, workflow

async def double(x: int) -> int:
    await asyncio.sleep(0.001)
    return 2 * x

@workflow
async def twice(ctx, x: int) -> int:
    return await ctx.step(double, x)

@workflow
async def slow(ctx, x: int) -> int:
    await ctx.sleep(0.3)
    return await ctx.step(double, x)

def attempt(make) -> None:
    # What a forked child comes to: its exit code is 7 for an error of ours, which it prints.
    signal.alarm(10)
    try:
        print("result", make(), flush=True)
        code = 0
    except Agnt5Error as error:
        print(f"{type(error).__name__}: {error.what} [{error.fix}]", flush=True)
        code = 7
    finally:
        signal.alarm(0)
    os._exit(code)

def code_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""

CASES = {
    "the runtime that started by itself": """
print(twice.run_sync(1), flush=True)
pid = os.fork()
if pid == 0:
    attempt(lambda: twice.run_sync(2))
print(code_of(pid), twice.run_sync(3))
""",
    "a loop in a child of that runtime": """
print(twice.run_sync(1), flush=True)
pid = os.fork()
if pid == 0:
    attempt(lambda: asyncio.run(twice.run(2)))
print(code_of(pid), twice.run_sync(3))
""",
    "a runtime's block": """
async def main() -> None:
    async with Runtime(store="sqlite:///own.db"):
        handle = await slow.submit(4)
        print(await twice(1), flush=True)
        pid = os.fork()
        if pid == 0:
            attempt(lambda: twice.run_sync(2))
        print(await asyncio.to_thread(code_of, pid), await twice(3))
        assert await handle.result() == 8
asyncio.run(main())
""",
    "a loop in a child of a runtime's block": """
async def main() -> None:
    async with Runtime(store="sqlite:///own.db"):
        print(await twice(1), flush=True)
        pid = os.fork()
        if pid == 0:
            loop = asyncio.new_event_loop()
            attempt(lambda: loop.run_until_complete(twice.run(2)))
        print(await asyncio.to_thread(code_of, pid), await twice(3))
asyncio.run(main())
""",
    "multiprocessing": """
def child() -> None:
    attempt(lambda: twice.run_sync(2))
print(twice.run_sync(1), flush=True)
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
print(process.exitcode, twice.run_sync(3))
""",
}


@pytest.mark.parametrize("case", CASES)
def test_a_forked_child_gets_a_clear_error_and_the_parent_is_unharmed(tmp_path: Path, case: str) -> None:
    """The child holds a copy of nothing that it may use: its call neither hangs nor reaches the journal."""
    finished = run_script(tmp_path, HEAD + CASES[case], PYTHONWARNINGS="ignore::DeprecationWarning")

    first, child, last = finished.out.splitlines()
    assert (first, last) == ("2", "7 6")
    assert child.startswith(("Unavailable: the runtime belongs to the parent process", "JournalLockedError: "))
    assert "process" in child
    assert finished.code == 0
    assert finished.err == ""


def test_a_child_that_ends_in_the_ordinary_way_leaves_the_journal_to_its_parent(tmp_path: Path) -> None:
    """What a forked child does as it exits neither closes the parent's journal nor gives up its lock."""
    source = """
print(twice.run_sync(1), flush=True)
pid = os.fork()
if pid == 0:
    sys.exit(0)
print(code_of(pid))
pid = os.fork()
if pid == 0:
    attempt(lambda: twice.run_sync(2))
print(code_of(pid), twice.run_sync(3))
"""

    finished = run_script(tmp_path, HEAD + source, PYTHONWARNINGS="ignore::DeprecationWarning")

    out = finished.out.splitlines()
    assert (out[0], out[1], out[3]) == ("2", "0", "7 6"), finished
    assert "JournalLockedError" in out[2]
    assert (finished.code, finished.err) == (0, "")


def test_a_child_that_outlives_its_parent_doesnt_keep_the_journal(tmp_path: Path) -> None:
    """Once the parent has been killed, whoever comes next may have the journal, forked children or not."""
    source = """
print(twice.run_sync(1), flush=True)
reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(writer)
    os.read(reader, 1)  # Until the parent is gone: then its end of the pipe is closed.
    attempt(lambda: twice.run_sync(2))
os.kill(os.getpid(), signal.SIGKILL)
"""

    finished = run_script(tmp_path, HEAD + source, PYTHONWARNINGS="ignore::DeprecationWarning")

    assert finished == Finished(-9, "2\nresult 4\n", "")


def test_a_child_with_a_journal_of_its_own_works(tmp_path: Path) -> None:
    """Before the parent has used agnt5, or with another journal, a forked child is a process like any other."""
    source = """
pid = os.fork()
if pid == 0:
    os.environ["AGNT5_HOME"] = "child"
    attempt(lambda: twice.run_sync(2))
print(code_of(pid))
print(twice.run_sync(1), flush=True)
pid = os.fork()
if pid == 0:
    os.environ["AGNT5_HOME"] = "child"
    attempt(lambda: (twice.run_sync(2), asyncio.run(twice.run(3))))
print(code_of(pid), twice.run_sync(3))
"""

    finished = run_script(tmp_path, HEAD + source, PYTHONWARNINGS="ignore::DeprecationWarning")

    assert finished == Finished(0, "result 4\n0\n2\nresult (4, 6)\n0 6\n", "")


def test_spawned_processes_are_on_their_own(tmp_path: Path) -> None:
    """Each with its journal, processes made by `spawn` run what their module defines."""
    source = """
def work(x: int) -> int:
    os.environ["AGNT5_HOME"] = f"child-{x}"
    return twice.run_sync(x)

if __name__ == "__main__":
    print(twice.run_sync(1))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(pool.map(work, range(4), chunksize=1))
    print(twice.run_sync(2))
"""

    finished = run_script(tmp_path, HEAD + source.replace('f"child-{x}"', 'f"child-{os.getpid()}"'))

    assert finished == Finished(0, "2\n[0, 2, 4, 6]\n4\n", "")
