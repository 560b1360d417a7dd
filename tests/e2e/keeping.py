"""Journals for the tests of `agnt5 store`, and what damages them."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from click.testing import Result
from commands import agnt5_in_process, in_runtime
from processes import read_journal

from agnt5 import Function, Workflow, WorkflowContext, function, workflow
from agnt5.config import journal_path
from agnt5.store.port import StoreInfo
from agnt5.store.sqlite.store import SqliteStore

WRITER = """
import asyncio, sys
from pathlib import Path
from agnt5 import function, Runtime

@function
async def add(number: int, text: str) -> int:
    return number + 1

async def main() -> None:
    async with Runtime(store="sqlite:///journal.db"):
        await asyncio.gather(*(add(number, "x" * 2000) for number in range(1000)))
        Path("ready").touch()
        done = 0
        while not Path("stop").exists():
            assert await add(done, "x" * 2000) == done + 1
            done += 1
        print(done)

asyncio.run(main())
"""


def components() -> tuple[Function[[str], str], Workflow[[str], str]]:
    """What the runs are of; said again it is the same."""

    @function
    async def greet(name: str) -> str:
        return f"hello {name}"

    @workflow
    async def twice(ctx: WorkflowContext, name: str) -> str:
        await ctx.step(greet, name)
        return await ctx.step(greet, name)

    return greet, twice


def five_runs() -> Path:
    """The embedded journal, with five runs of two components."""
    greet, twice = components()

    async def begin() -> None:
        for name in ("ann", "bob", "eve"):
            await greet(name)
        await twice("ann")
        await twice.run("bob", idempotency_key="bob")

    in_runtime(begin)
    return journal_path()


def store(*args: str) -> Result:
    """`agnt5 store`, in this process."""
    return agnt5_in_process("store", *args)


def damage(journal: Path, sql: str, *values: Any) -> None:
    """Change a journal as no agnt5 would."""
    with sqlite3.connect(journal) as connection:
        assert connection.execute(sql, values).rowcount > 0
    connection.close()


def run_ids(journal: Path, component: str) -> list[str]:
    """Ids of the runs of a component."""
    return [run.id for run, _ in read_journal(journal) if run.component == component]


def opened(journal: Path) -> StoreInfo:
    """What is said of a journal that is opened."""
    return asyncio.run(_open(journal))


async def _open(journal: Path) -> StoreInfo:
    opening = SqliteStore(journal)
    info = await opening.open()
    await opening.close()
    return info
