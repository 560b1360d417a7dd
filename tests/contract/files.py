"""Looks at a journal file, and changes it, as no agnt5 would."""

import sqlite3
from pathlib import Path

from agnt5.core.model.errors import StoreError


def edit(path: Path, *sql: str) -> None:
    """Change a journal as no agnt5 would."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in sql:
        connection.execute(statement)
    connection.close()


def assert_helpful(error: StoreError) -> None:
    """It says what happened, why, and what to do."""
    assert error.what
    assert error.why
    assert error.fix
    assert error.code in str(error)


def contents(path: Path) -> dict[str, bytes]:
    """The file, all of it, and the log beside it unless that is empty: who only looks may make an empty one."""
    log = path.with_name(f"{path.name}-wal")
    found = {path.name: path.read_bytes()} if path.exists() else {}
    return found | ({log.name: log.read_bytes()} if log.exists() and log.stat().st_size else {})
