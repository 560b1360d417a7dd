"""Calling components from code that has no event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from agnt5.core.model.errors import InvalidInput
from agnt5.sdk.backend import backend
from agnt5.sdk.current import CURRENT

T = TypeVar("T")


def run_blocking(make: Callable[[], Coroutine[Any, Any, T]], what: str, instead: str) -> T:
    """Run a coroutine elsewhere, and block this thread until it is through.

    Args:
        make: Makes the coroutine.
        what: Who wants that, for the error.
        instead: What to write where there is an event loop.

    Raises:
        InvalidInput: The thread has a running event loop.
    """
    if asyncio._get_running_loop() is not None:
        raise InvalidInput(
            f"{what} was called on a thread whose event loop is running",
            why="it would block the loop, and with it what it waits for",
            fix=f"write `{instead}`",
        )
    context = CURRENT.get()
    if context is not None:
        # A plain function that runs as a step: its calls belong to its run, on that run's loop.
        return asyncio.run_coroutine_threadsafe(make(), context.worker_loop).result()
    return backend().run_blocking(make)
