"""What every DBOS program begins and ends with."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dbos import DBOS


@contextmanager
def launched(folder: Path) -> Iterator[None]:
    """DBOS on an SQLite file that is as durable as ours, for as long as the block."""
    path = folder / "dbos.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        # Stays with the file. With it DBOS commits faster than with its own setting; SQLite's
        # default of `synchronous=FULL`, which DBOS leaves alone, makes each commit durable.
        connection.execute("PRAGMA journal_mode = WAL")
    DBOS(
        config={
            "name": "benchmark",
            "system_database_url": f"sqlite:///{path}",
            "application_version": "1",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    yield
    DBOS.destroy()
