"""Closes what a body leaves suspended, without letting it go on."""

import gc
import weakref
from asyncio import AbstractEventLoop, events
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

CLOSING_MAX: Final = 100  # How often a body may wait again, in nested `finally` blocks, while it is closed.
GENERATORS_KEPT: Final = 64  # References to generators before those that are gone are dropped.


class Evicted(BaseException):
    """The body is being closed: it can ask for nothing any more. Not an `Exception`, so that nobody handles it."""


def close_quietly(coro: Any) -> None:
    """Close a coroutine; whatever it waits for, also in a `finally`, raises `Evicted`."""
    for _ in range(CLOSING_MAX):
        # What comes out of it concerns nobody. And not `close`: before Python 3.13 that doesn't reach
        # into an asynchronous generator in whose middle the coroutine waits.
        with suppress(BaseException):
            coro.throw(Evicted())
        if getattr(coro, "cr_frame", None) is None:
            return


def close_generator(generator: Any) -> None:
    """Close an asynchronous generator, likewise."""
    closing = generator.aclose()
    # As for a coroutine; the end of the generator is an exception too.
    with suppress(BaseException):
        closing.send(None)
        for _ in range(CLOSING_MAX):
            closing.throw(Evicted())


# The loop within whose turn the garbage collector is at work, if any.
_collecting: list[AbstractEventLoop | None] = [None]


def _note_collection(phase: str, info: dict[str, int]) -> None:
    _collecting[0] = events._get_running_loop() if phase == "start" else None


gc.callbacks.append(_note_collection)


class Generators:
    """The asynchronous generators that a body has begun.

    One that the body lets go of before its end is closed by a task, as on any loop. One that the
    garbage collector finds is kept until the body is closed: the collector runs at another moment in
    each life, and what such a generator asks for in its `finally` would come at another place.

    Args:
        loop: The body's.
        close_soon: Closes a generator, with the next turn.
    """

    def __init__(self, loop: AbstractEventLoop, close_soon: Callable[[Any], None]) -> None:
        self._loop: AbstractEventLoop | None = loop
        self._close_soon: Callable[[Any], None] | None = close_soon
        self._begun: list[weakref.ref[Any]] = []
        self._kept: list[Any] = []
        self._prune_at = GENERATORS_KEPT

    def begin(self, generator: Any) -> None:
        """One is iterated for the first time."""
        self._begun.append(weakref.ref(generator))
        if len(self._begun) > self._prune_at:
            self._begun = [reference for reference in self._begun if reference() is not None]
            self._prune_at = 2 * len(self._begun) + GENERATORS_KEPT

    def drop(self, generator: Any) -> None:
        """Nobody refers to one any more that is not at its end; on whichever thread that shows."""
        if self._close_soon is None:
            close_generator(generator)
        elif events._get_running_loop() is self._loop and _collecting[0] is not self._loop:
            self._close_soon(generator)
        else:
            self._kept.append(generator)

    def release(self) -> None:
        """From now on they are closed quietly, and at once."""
        self._loop = self._close_soon = None

    def close(self) -> None:
        """Close those that are left, the last one first."""
        kept, self._kept = self._kept, []
        for generator in [*kept, *(reference() for reference in self._begun)][::-1]:
            if generator is not None:
                close_generator(generator)
        self._begun.clear()
