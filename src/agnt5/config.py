"""Every setting, where it comes from, and what it is when nothing is said."""

import os
from collections.abc import Mapping
from pathlib import Path

from agnt5.core.model.errors import InvalidInput
from agnt5.runtime.retention import FOREVER, Retention
from agnt5.store.memory import MemoryStore
from agnt5.store.port import Store
from agnt5.store.sqlite.store import SqliteStore

HOME = "AGNT5_HOME"  # Directory of the embedded journal; ./.agnt5 when it isn't set.
URL = "AGNT5_URL"  # A server to use instead of the embedded runtime.
RETENTION = "AGNT5_RETENTION"  # How long what is over is kept, as in "completed=7d,failed=30d"; or "off".
JOURNAL = "journal.db"
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}  # Seconds.


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


def retention_of(environment: Mapping[str, str] = os.environ) -> Retention:
    """How long runs and events are kept.

    Raises:
        InvalidInput: `AGNT5_RETENTION` can't be meant.
    """
    text = environment.get(RETENTION, "").strip()
    if text == "off":
        return FOREVER
    times: dict[str, float | None] = {}
    for part in text.split(",") if text else ():
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in Retention.__struct_fields__ or name in times:
            raise _no_retention(text)
        times[name] = _kept_seconds(value, text)
    return Retention(**times)


def _kept_seconds(value: str, text: str) -> float | None:
    if value == "off":
        return None
    number, unit = value[:-1], value[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()):
        raise _no_retention(text)
    return float(number) * _UNITS[unit]


def _no_retention(text: str) -> InvalidInput:
    return InvalidInput(
        f"{RETENTION} is {text!r}",
        why=f"it is `off`, or says of {', '.join(Retention.__struct_fields__)} how long they are kept",
        fix=f"set it as in {RETENTION}=completed=7d,failed=30d,events=off; units are s, m, h and d",
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
