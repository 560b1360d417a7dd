"""Puts other values in place of a module's or class's own, for the time of a block."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Patch = tuple[Any, str, Any]  # Where, its name, and what is to be there. Where may be a dict.


@contextmanager
def patched(patches: Iterable[Patch]) -> Iterator[None]:
    """Apply patches in order, and undo them in the other one."""
    undo: list[tuple[Any, Any, Any]] = []
    try:
        for owner, name, value in patches:
            if isinstance(owner, dict):
                undo.append((owner, name, owner[name]))
                owner[name] = value
            else:
                undo.append((owner, name, vars(owner)[name]))
                setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(undo):
            if isinstance(owner, dict):
                owner[name] = value
            else:
                setattr(owner, name, value)
