"""What a context stands on: the worker's side of one executing run or step."""

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Protocol
from uuid import UUID

from msgspec import Raw

from agnt5.core.model.ids import RunId
from agnt5.core.model.retry import RetryPolicy
from agnt5.core.replay.operations import Request
from agnt5.sdk.backend import Backend


class StepDefaults:
    """What a workflow says of steps that say nothing themselves.

    Attributes:
        timeout: Seconds, of an attempt.
        retries: The policy.
    """

    __slots__ = ("retries", "timeout")

    def __init__(self, timeout: float | None = None, retries: RetryPolicy | None = None) -> None:
        self.timeout = timeout
        self.retries = retries


class Host(Protocol):
    """One executing run or step."""

    @property
    def run_id(self) -> RunId:
        """The run."""

    @property
    def scope(self) -> str:
        """The key of the step; empty for a run."""

    @property
    def attempt(self) -> int:
        """Of the run or step, from 1."""

    @property
    def idempotency_key(self) -> str:
        """The same over crashes and attempts."""

    @property
    def is_deterministic(self) -> bool:
        """Whether the body runs on a loop of its own and is replayed."""

    @property
    def loop(self) -> AbstractEventLoop:
        """The worker's loop; not the one that a deterministic body runs on."""

    @property
    def random(self) -> Random:
        """Chance that starts from a seed."""

    @property
    def state(self) -> dict[str, Raw]:
        """The run's state, as the body may see it."""

    @property
    def step_defaults(self) -> StepDefaults:
        """For steps that say nothing themselves."""

    @property
    def backend(self) -> Backend:
        """The runtime that calls go to."""

    @property
    def last_heartbeat(self) -> Any:
        """What the attempt before this one last reported."""

    @property
    def is_replaying(self) -> bool:
        """Whether what the body does now has happened before."""

    def now_us(self) -> int:
        """The time that the body may know, in microseconds since the epoch."""

    def uuid4(self) -> UUID:
        """A random UUID."""

    def begin(self, request: Request) -> Awaitable[Any]:
        """Ask for an operation; returns what to wait on."""

    def next_hash(self) -> int:
        """The hash of the next operation that is put into a set."""

    def sleep(self, seconds: float, site: str) -> Awaitable[None]:
        """Wait, durably."""

    def wait_signal(self, name: str, read: Callable[[Raw], Any], timeout: float | None, site: str) -> Awaitable[Any]:
        """Wait for the next signal of this name."""

    def wait_event(self, request: Request, timeout: float | None) -> Awaitable[Any]:
        """Wait for an event."""

    def patched(self, change_id: str) -> bool:
        """Whether to take the new branch of a changed place."""

    def heartbeat(self, details: bytes) -> None:
        """Say that the step lives."""
