"""Every setting, where it comes from, and what it is when nothing is said."""

import os
from collections.abc import Mapping
from pathlib import Path

from agnt5.core.model.errors import InvalidInput
from agnt5.store.memory import MemoryStore
from agnt5.store.port import Store
from agnt5.store.sqlite.store import SqliteStore

HOME = "AGNT5_HOME"  # Directory of the embedded journal; ./.agnt5 when it isn't set.
URL = "AGNT5_URL"  # A server to use instead of the embedded runtime.
JOURNAL = "journal.db"


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """The directory of the embedded journal."""
    return Path(environment.get(HOME) or ".agnt5")


def journal_path(store: str | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """The journal file that a store URL stands for, or the embedded one.

    Raises:
        InvalidInput: The URL isn't that of a file.
    """
    if store is None:
        return home(environment) / JOURNAL
    if not store.startswith("sqlite:///") or store == "sqlite:///":
        raise InvalidInput(
            f"{store!r} is no journal file", why="only an SQLite journal is a file", fix="pass sqlite:///orders.db"
        )
    return Path(store.removeprefix("sqlite:///"))


def store_of(url: str | None, environment: Mapping[str, str] = os.environ) -> Store:
    """The store that a URL stands for, or the embedded one.

    Args:
        url: `sqlite:///FILE` (relative to the working directory; `sqlite:////FILE` is absolute) or
            `memory://`.

    Raises:
        InvalidInput: It stands for none.
    """
    if url == "memory://":
        return MemoryStore()
    if url is None or url.startswith("sqlite:///"):
        return SqliteStore(journal_path(url, environment))
    raise InvalidInput(
        f"store {url!r} is not one that this version knows",
        why="it knows sqlite:///FILE and memory://",
        fix="pass store='sqlite:///orders.db', or leave it out for ./.agnt5/journal.db",
    )


def check_environment(environment: Mapping[str, str] = os.environ) -> None:
    """See that the environment asks for nothing that isn't there.

    Raises:
        InvalidInput: It asks for a server.
    """
    if environment.get(URL):
        raise InvalidInput(
            f"{URL} is set to {environment[URL]!r}, and this version has no client for a server",
            why="it runs embedded, in the process itself",
            fix=f"unset {URL}",
        )
