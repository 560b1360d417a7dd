"""What a body is given: the context through which it asks for all that must last.

There is one family. A `WorkflowContext` is given to deterministic bodies, a `FunctionContext` to
functions and steps; `DurableContext` is the common name. A subclass that overrides what it needs
and never calls `__init__` serves as a stand-in in unit tests.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from msgspec import Raw

from agnt5.core.journal.entry import Kind, Options
from agnt5.core.model.errors import InvalidInput
from agnt5.core.model.ids import RunId
from agnt5.core.model.retry import MICROSECONDS, RetryPolicy, RetrySpec, seconds_of
from agnt5.core.replay.loop import site_of, site_of_caller
from agnt5.core.replay.operations import Operation, Request
from agnt5.sdk import serde
from agnt5.sdk.component import NO_OPTIONS, CallOptions, Component, duration, retry_policy
from agnt5.sdk.current import ContextBase
from agnt5.sdk.host import Host
from agnt5.sdk.logs import RunLogger, Span
from agnt5.sdk.methods import find_method
from agnt5.sdk.steps import Steps, call, submit


class State:
    """The state of a run: values by name that survive crashes and retries of the run.

    What is read is a copy; to change a value, set it again.
    """

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    async def get(self, key: str, default: Any = None) -> Any:
        """The value under this name, or the default."""
        raw = self._host.state.get(key)
        return default if raw is None else serde.decode(raw)

    async def keys(self) -> list[str]:
        """The names that have a value."""
        return list(self._host.state)

    async def set(self, key: str, value: Any) -> None:
        """Keep a value; it is durable when this returns.

        Raises:
            UnserializableValue: It would not come back as it is.
        """
        await self._change(key, serde.encode(value))

    async def delete(self, key: str) -> None:
        """Keep the value no more."""
        await self._change(key, b"")

    async def _change(self, key: str, text: bytes) -> None:
        if not isinstance(key, str):
            raise InvalidInput(f"a state key is {key!r}", why="keys are strings", fix="pass a str")
        request = Request(Kind.STATE, key, text, site_of_caller(), _nothing)
        await self._host.begin(request)


def _nothing(raw: Raw) -> None:
    return None


class ContinueAs:
    """What a body returns to end this generation and start the next with these arguments."""

    __slots__ = ("args", "kwargs")

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args = args
        self.kwargs = kwargs


class DurableContext(ContextBase):
    """The context of a run or of a step.

    In a step, `attempt` and `idempotency_key` are the step's own.
    """

    _host: Host
    _state: State | None = None
    _steps: Steps | None = None
    _logger: RunLogger | None = None
    _span: Span | None = None

    def __init__(self, host: Host) -> None:
        self._host = host

    def __repr__(self) -> str:
        host = getattr(self, "_host", None)
        return f"<{type(self).__name__} of {host.run_id if host is not None else 'no run'}>"

    # Identity

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._host.run_id

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1; a crash doesn't count."""
        return self._host.attempt

    @property
    def idempotency_key(self) -> str:
        """The same over crashes and attempts: give it to whom you call, so that they can tell."""
        return self._host.idempotency_key

    @property
    def is_replaying(self) -> bool:
        """Whether what the body does now has happened before, and is only repeated."""
        return self._host.is_replaying

    @property
    def logger(self) -> RunLogger:
        """A logger that names the run in each record and is silent while the body is replayed."""
        if self._logger is None:
            self._logger = RunLogger(self._host, self.span)
        return self._logger

    @property
    def span(self) -> Span:
        """What is known of this run beyond its journal: `ctx.span.set("tenant", "acme")`."""
        if self._span is None:
            self._span = Span()
        return self._span

    # Time and chance

    def now(self) -> datetime:
        """The time, in UTC; in a workflow that of the last thing it saw, the same on every replay."""
        return datetime.fromtimestamp(self._host.now_us() / MICROSECONDS, UTC)

    @property
    def random(self) -> Random:
        """Chance that starts from the run's seed, so that every replay and attempt draws the same."""
        return self._host.random

    def uuid4(self) -> UUID:
        """A UUID drawn from the run's seed."""
        return self._host.uuid4()

    # Operations

    @property
    def step(self) -> Steps:
        """Run a function once and journal its outcome: `await ctx.step(charge, "order-42")`."""
        if self._steps is None:
            self._steps = Steps(self._host)
        return self._steps

    @property
    def state(self) -> State:
        """Values of this run that survive crashes and retries."""
        if self._state is None:
            self._state = State(self._host)
        return self._state

    async def spawn(self, steps: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run functions concurrently, each as a step.

        Args:
            steps: For each a tuple of a name, a function and its arguments. Names may repeat.

        Returns:
            Their results, in the order of `steps`.

        Raises:
            Exception: What the first one that failed for good raised; the others go on.
        """
        site = site_of_caller()
        operations = []
        for one in steps:
            if not isinstance(one, tuple | list) or len(one) < 2 or not isinstance(one[0], str):
                raise InvalidInput(
                    f"spawn was given {one!r}",
                    why="it takes tuples of a name, a function and its arguments",
                    fix='pass [("fetch", fetch, "source"), …]',
                )
            name, fn, *args = one
            operations.append(self.step.options(name=name).operation(fn, tuple(args), {}, site))
        results: list[Any] = await asyncio.gather(*operations)
        return results

    def call(
        self,
        service: str,
        method: str,
        payload: Any = None,
        *,
        timeout: float | timedelta | None = None,
        retries: int | RetryPolicy | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Call a method of a registered service, as a child run.

        Args:
            service: The service's name.
            method: The method's name.
            payload: Its one argument; none is passed where this is `None` and the method takes none.
            timeout: Seconds (or a timedelta) that an attempt may take.
            retries: Attempts in all, or a policy, in place of the method's own.

        Raises:
            UnknownComponent: There is no such service or method.
            Exception: Whatever the method raised, at its last attempt.
        """
        component = find_method(service, method)
        schema = component.schema
        args = () if payload is None and not schema.parameters else (payload,)
        text = schema.write(schema.bind(args, {}, component.name))
        policy, limit = retry_policy(retries), duration(timeout, "timeout")
        options = NO_OPTIONS
        if policy is not None or limit is not None:
            options = CallOptions(options=Options(RetrySpec.of(policy) if policy else None, limit))
        return call(self._host, component, text, options, site_of(sys._getframe(1)))

    def sleep(self, seconds: float | timedelta) -> Awaitable[None]:
        """Wait for so many seconds (or a timedelta); a crash doesn't start it over."""
        return self._host.sleep(seconds_of(seconds, "seconds"), site_of(sys._getframe(1)))

    def wait_for_event(self, event_id: str, timeout: float | timedelta | None = None) -> Awaitable[Any]:
        """Wait for an event, and give its payload; one that came before is there at once.

        Args:
            event_id: The event's id.
            timeout: Seconds (or a timedelta) to wait at the most.

        Raises:
            TimeoutError: It didn't come in time.
        """
        if not isinstance(event_id, str) or not event_id:
            raise InvalidInput(f"an event id is {event_id!r}", why="it is a text", fix="pass a non-empty str")
        request = Request(Kind.EVENT, event_id, b"", site_of(sys._getframe(1)), serde.decode)
        return self._host.wait_event(request, duration(timeout, "timeout"))

    def wait_for_signal(self, name: str, timeout: float | timedelta | None = None) -> Awaitable[Any]:
        """Wait for the next signal of this name that was sent to this run, and give its payload.

        Args:
            name: The signal's name.
            timeout: Seconds (or a timedelta) to wait at the most.

        Raises:
            TimeoutError: None came in time.
        """
        site = site_of(sys._getframe(1))
        return self._host.wait_signal(name, serde.decode, duration(timeout, "timeout"), site)

    def heartbeat(self, details: Any = None) -> None:
        """Show that the step lives.

        Args:
            details: What the next attempt finds as `ctx.last_heartbeat`, also after a crash.
        """
        self._host.heartbeat(serde.encode(details))

    @property
    def last_heartbeat(self) -> Any:
        """What the attempt before this one last reported; `None` in the first."""
        return self._host.last_heartbeat

    def continue_as(self, *args: Any, **kwargs: Any) -> Any:
        """Return this from the body, to start it anew with these arguments, under the same id.

        The journal starts afresh; the state and the signals that were not read are carried over.
        """
        return ContinueAs(args, kwargs)

    def patched(self, change_id: str) -> bool:
        """Whether to take the new branch of a changed place in the code.

        Args:
            change_id: Names the change.

        Returns:
            False for a run that had passed this place before the change, else True.
        """
        return self._host.patched(change_id)

    # What components and handles ask of the context they are used in

    @property
    def is_deterministic(self) -> bool:
        """Whether the body is replayed."""
        return self._host.is_deterministic

    @property
    def worker_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the run's steps run on."""
        return self._host.loop

    def invoke(
        self, component: Component[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions
    ) -> Operation[Any]:
        """Call a component: a child run, awaited."""
        text = component.schema.write(component.schema.bind(args, kwargs, component.name))
        return call(self._host, component, text, options, site_of_caller())

    def start(
        self, component: Component[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions
    ) -> Operation[str]:
        """Submit a component: a child run on its own, of which this gives the id."""
        text = component.schema.write(component.schema.bind(args, kwargs, component.name))
        return submit(self._host, component, text, options, site_of_caller())

    def result_of(self, run_id: RunId, read: Callable[[Raw], Any]) -> Operation[Any]:
        """Wait for the outcome of a run by its id."""
        request = Request(Kind.RESULT, "", b"", site_of_caller(), read, target=run_id)
        return Operation(self._host.begin, request, self._host.next_hash)

    def send(self, what: str, target: str, name: str, text: bytes) -> Operation[None]:
        """Send an event, a signal or a cancel, once."""
        request = Request(Kind.SEND, name or target, text, site_of_caller(), _nothing, target=target, spec=what)
        return Operation(self._host.begin, request, self._host.next_hash)


class FunctionContext(DurableContext):
    """The context of a function or a step: it may do input and output."""


class WorkflowContext(DurableContext):
    """The context of a workflow: its body is replayed, so whatever reaches outside goes into steps."""
