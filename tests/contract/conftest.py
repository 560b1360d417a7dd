"""The stores that the contract binds (another one joins by a line in `STORES`), and journal files to break."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import pytest

from agnt5.core.model.run import Status
from agnt5.store.memory import MemoryStore
from agnt5.store.port import Store
from agnt5.store.sqlite.store import SqliteStore

from .making import batch, journal, outcome, run, started
from .shelf import Shelf

# Each makes what opens the same data again and again.
STORES: Final[dict[str, Callable[[Path], Callable[[], Store]]]] = {
    "memory": lambda folder: _always(MemoryStore()),
    "sqlite": lambda folder: lambda: SqliteStore(folder / "journal.db"),
}


def _always(store: MemoryStore) -> Callable[[], Store]:
    return lambda: store


@pytest.fixture(params=list(STORES))
async def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shelf]:
    """Data of one store, and the store that has it open."""
    made = Shelf(STORES[request.param](tmp_path))
    await made.open()
    yield made
    await made.store.close()


@pytest.fixture
def store(shelf: Shelf) -> Store:
    """An open, empty store."""
    return shelf.store


# What is about files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is, or will be."""
    return tmp_path / "journal.db"


@pytest.fixture
async def sqlite(path: Path) -> AsyncIterator[SqliteStore]:
    """An open store over an empty file."""
    opened = SqliteStore(path)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def closed(path: Path) -> Path:
    """A journal that was in use and is closed: three runs, one with two entries."""
    store = SqliteStore(path)
    await store.open()
    runs = [run(n, status=Status.COMPLETED) for n in (1, 2, 3)]
    await store.commit(batch(created=runs, entries=journal(1, started(), outcome(0, '"txn"'))))
    await store.mark_closed()
    await store.close()
    return path
