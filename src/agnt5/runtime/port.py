"""The way from the runtime to a session: the worker and the callers of one event loop, or one connection."""

from typing import Protocol

from agnt5.core.model.ids import WorkerId
from agnt5.runtime.requests import ToSession


class Port(Protocol):
    """The way to a session: the worker and the callers of one event loop, or of one connection."""

    id: WorkerId

    def send(self, messages: list[ToSession]) -> bool:
        """Pass on messages, from any thread; returns whether anybody is there to take them."""
