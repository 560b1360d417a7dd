"""A journal with a damaged row serves all runs but the one that the row is of, and that one says what is wrong."""

import asyncio
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import agnt5
from agnt5 import (
    Agnt5Error,
    ConflictError,
    Handle,
    RunBlockedError,
    Runtime,
    StoreCorrupt,
    WorkflowContext,
    function,
    get_run,
    workflow,
)
from agnt5.sdk.registry import REGISTRY

from .behaviour.world import PATIENCE_SECONDS, until

IS_BEGINNING: list[bool] = []  # While the runs are made, and not when they go on.
KINDS = ("running", "waiting", "sleeping", "failed", "later", "keyed")
DAMAGE = {
    "record": "UPDATE runs SET link = '{\"bro', waiting = '[' WHERE id = ?",
    "record that is no text": "UPDATE runs SET tags = CAST(x'ff' AS TEXT) WHERE id = ?",
    "entry": "UPDATE journal SET body = replace(body, 'started', 'starteX') WHERE run_id = ? AND position = 0",
    "no text": "UPDATE journal SET body = CAST(x'fffe' AS TEXT) WHERE run_id = ? AND position = 0",
    "nothing": "UPDATE journal SET checksum = 0 WHERE run_id = ?",
}


def define() -> dict[str, Any]:
    """The components of the runs below."""

    @function
    async def slow() -> int:
        await asyncio.sleep(3_600 if IS_BEGINNING else 0)
        return 7

    @workflow
    async def waiting(ctx: WorkflowContext) -> str:
        return await ctx.wait_for_event("go")

    @workflow
    async def sleeping(ctx: WorkflowContext) -> str:
        await ctx.sleep(0.7)
        return "slept"

    @function(retries=1)
    async def failing() -> None:
        raise ValueError("as it should")

    @function
    async def quick() -> str:
        return "quick"

    return {made.name: made for made in (slow, waiting, sleeping, failing, quick)}


async def begin(folder: Path) -> dict[str, str]:
    """Make a run in each state, and close the journal."""
    made = define()
    async with Runtime(store=f"sqlite:///{folder / 'journal.db'}"):
        handles: dict[str, Handle[Any]] = {
            "running": await made["slow"].submit(),
            "waiting": await made["waiting"].submit(),
            "sleeping": await made["sleeping"].submit(),
            "failed": await made["failing"].submit(),
            "later": await made["quick"].submit(delay=0.7),
            "keyed": await made["quick"].submit(idempotency_key="k"),
        }
        with pytest.raises(ValueError, match="as it should"):
            await handles["failed"].result()
        await handles["keyed"].result()
        ids = {name: handle.id for name, handle in handles.items()}
        await until(lambda: are_written_down(folder / "journal.db", ids))
    return ids


def are_written_down(journal: Path, ids: dict[str, str]) -> bool:
    """Whether the store knows how the runs stand."""
    connection = sqlite3.connect(journal)
    found = dict(connection.execute("SELECT id, status FROM runs").fetchall())
    connection.close()
    wanted = {"running": "running", "waiting": "suspended", "sleeping": "suspended", "later": "queued"}
    return all(found[ids[name]] == status for name, status in wanted.items())


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with a journal that was closed while runs were in it, and their ids."""
    folder = tmp_path_factory.mktemp("begun")
    IS_BEGINNING.append(True)
    with REGISTRY.isolated():
        ids = asyncio.run(begin(folder))
    IS_BEGINNING.clear()
    return folder, ids


@pytest.fixture
def runs(begun: tuple[Path, dict[str, str]], path: Path) -> dict[str, str]:
    """Ids of a run in each state, in a journal that is closed."""
    folder, ids = begun
    define()
    for file in folder.glob("journal.db*"):
        shutil.copy(file, path.parent)
    return ids


async def outcome(run_id: str) -> Any:
    """What a run came to: its result, or its exception."""
    try:
        return await asyncio.wait_for(get_run(run_id).result(), PATIENCE_SECONDS)
    except (ValueError, Agnt5Error) as error:
        return error


def _without(name: str, all_of_them: dict[str, Any]) -> dict[str, Any]:
    return {other: value for other, value in all_of_them.items() if other != name}


@pytest.mark.parametrize("what", DAMAGE)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_damaged_row_stops_its_run_alone(path: Path, runs: dict[str, str], kind: str, what: str):
    """Whatever state its run is in and whatever is asked of it, the others come to what they should."""
    with sqlite3.connect(path) as connection:
        assert connection.execute(DAMAGE[what], (runs[kind],)).rowcount > 0
    connection.close()
    damaged = get_run(runs[kind])

    async with Runtime(store=f"sqlite:///{path}"):
        for ask in (damaged.status, damaged.cancel, damaged.retry, damaged.resume, damaged.explain):
            with suppress(StoreCorrupt, ConflictError):
                await asyncio.wait_for(ask(), PATIENCE_SECONDS)
        await agnt5.send_event("go", "gone")
        found = {name: await outcome(run_id) for name, run_id in runs.items() if name != kind}
        last = await define()["quick"]()

    wanted = {"running": 7, "waiting": "gone", "sleeping": "slept", "later": "quick", "keyed": "quick"}
    assert _without("failed", found) == _without(kind, wanted)
    assert kind == "failed" or isinstance(found["failed"], ValueError)
    assert last == "quick"


@pytest.mark.parametrize("kind", ["running", "waiting", "sleeping", "later"])
async def test_a_run_whose_journal_is_damaged_is_blocked(path: Path, runs: dict[str, str], kind: str):
    """When it is to go on, with the entry that isn't what was written."""
    with sqlite3.connect(path) as connection:
        connection.execute(DAMAGE["entry"], (runs[kind],))
    connection.close()

    async with Runtime(store=f"sqlite:///{path}"):
        await agnt5.send_event("go", "gone")
        error = await outcome(runs[kind])
        status = await get_run(runs[kind]).status()

    assert isinstance(error, StoreCorrupt | RunBlockedError)
    assert "entry 0" in str(error)
    assert status == "blocked"


async def test_a_key_of_a_damaged_run_says_so(path: Path, runs: dict[str, str]):
    """Who asks under the key is told that, and nobody else is."""
    with sqlite3.connect(path) as connection:
        connection.execute(DAMAGE["nothing"], (runs["keyed"],))
    connection.close()
    quick = define()["quick"]

    async with Runtime(store=f"sqlite:///{path}"):
        with pytest.raises(StoreCorrupt, match=runs["keyed"]):
            await quick.run(idempotency_key="k")
        assert await quick() == "quick"
