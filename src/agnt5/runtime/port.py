"""The way from the runtime to a session: the worker and the callers of one event loop, or one connection."""

from typing import Protocol

from msgspec import Struct

from agnt5.core.model.ids import RunId, WorkerId
from agnt5.runtime.requests import ToSession


class AtWork(Struct, frozen=True):
    """A step that executes.

    Attributes:
        since: When its attempt began, in microseconds since the epoch.
    """

    name: str
    attempt: int
    since: int
    site: str = ""


class Port(Protocol):
    """The way to a session: the worker and the callers of one event loop, or of one connection."""

    id: WorkerId

    def send(self, messages: list[ToSession]) -> bool:
        """Pass on messages, from any thread; returns whether anybody is there to take them."""

    def doing(self, run_id: RunId) -> list[AtWork]:
        """The steps of a run that execute there, as far as that can be seen from here; from any thread."""
