"""A cancel that reached a function before its process ended, delivered again where it was.

A function is run again from its top, and must not be cut short earlier than it was: what it had
done by then is found on record, and the first thing it asks for that was not done by then is what
the cancel interrupted. That one is neither answered nor begun again. Where the function waits for
something outside, the cancel comes as soon as it has asked for all that was on record.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from agnt5.core.model.ids import OperationKey
from agnt5.worker.attempt import Attempt

# A body that by then has not asked for all that it had asked for before has taken another way.
CATCH_UP_SECONDS: Final = 1.0

Held = tuple["asyncio.Future[object]", Callable[[], None]]


class Interruption:
    """Holds back what was cut short, until the cancel is delivered.

    Args:
        index: Of the cancel in the journal.
        before: Keys of the operations that had an outcome by then.
        body: What is cancelled.
        loop: Where it runs.
    """

    def __init__(self, index: int, before: set[OperationKey], body: Attempt, loop: asyncio.AbstractEventLoop) -> None:
        self.index = index
        self.is_over = False
        self._before = before
        self._body = body
        self._loop = loop
        self._held: list[Held] = []
        self._at_the_latest = loop.call_later(CATCH_UP_SECONDS, self._deliver)
        if not before:
            loop.call_soon(self._deliver)

    def passes(self, key: OperationKey) -> bool:
        """Whether the body had got past this operation when it was interrupted."""
        if self.is_over:
            return True
        if key not in self._before:
            return False
        self._before.discard(key)
        if not self._before:
            # Once it waits: for this, whose outcome is there, it doesn't.
            self._loop.call_soon(self._deliver)
        return True

    def hold(self, future: "asyncio.Future[object]", go_on: Callable[[], None]) -> None:
        """Let the body wait here, to be interrupted; `go_on` is called if it turns out to wait elsewhere."""
        self._held.append((future, go_on))
        self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        self._at_the_latest.cancel()
        self._body.cancel()
        held, self._held = self._held, []
        for future, go_on in held:
            if not future.done():
                go_on()

    def close(self) -> None:
        """The body is through, or forgotten."""
        self.is_over = True
        self._at_the_latest.cancel()
        self._held.clear()
