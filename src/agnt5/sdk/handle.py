"""A hold on a run: ask where it is, wait for it, talk to it.

Inside a deterministic body a handle's operations are journaled like any other; elsewhere they go
to the runtime directly.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any, Generic, TypeVar

from msgspec import Raw

from agnt5.core.model.errors import EffectOutsideStep, InvalidInput
from agnt5.core.model.ids import RunId
from agnt5.core.model.retry import seconds_of
from agnt5.sdk import serde
from agnt5.sdk.backend import Backend, Explanation, RunEvent, backend
from agnt5.sdk.component import Component, component_named, value_of
from agnt5.sdk.current import CURRENT

R = TypeVar("R")


class StateOfRun:
    """The committed state of a run, from outside."""

    __slots__ = ("_handle",)

    def __init__(self, handle: "Handle[Any]") -> None:
        self._handle = handle

    async def get(self, key: str, default: Any = None) -> Any:
        """The value under this name, or the default.

        Raises:
            UnknownRun: There is no such run.
        """
        handle = self._handle

        async def query(at: Backend) -> str | None:
            raw = await at.state(handle.run_id, key)
            return None if raw is None else bytes(raw).decode()

        text = await handle.ask("state.get", query)
        return default if text is None else serde.decode(text.encode())


class Handle(Generic[R]):
    """A run, by its id.

    Attributes:
        id: The run's id.
    """

    def __init__(self, run_id: str, component: Component[Any, R] | None = None) -> None:
        self.id = run_id
        self.run_id = RunId(run_id)
        self._component = component

    def __repr__(self) -> str:
        return f"<run {self.id}>"

    @property
    def state(self) -> StateOfRun:
        """The run's committed state: `await handle.state.get("progress")`."""
        return StateOfRun(self)

    async def ask(self, name: str, query: Callable[[Backend], Coroutine[Any, Any, Any]]) -> Any:
        """Ask the runtime something; in a deterministic body as a step, since the answer differs from time to time."""
        context = CURRENT.get()
        if context is not None and context.is_deterministic:
            return await context.step.options(name=f"run.{name}", key=self.id, retries=1)(lambda: query(backend()))
        return await query(backend())

    async def status(self) -> str:
        """Where the run is: `queued`, `running`, `suspended`, `blocked`, `completed`, `failed` or `cancelled`.

        Raises:
            UnknownRun: There is no such run.
        """

        async def query(at: Backend) -> str:
            return (await at.status(self.run_id)).value

        status: str = await self.ask("status", query)
        return status

    async def explain(self) -> Explanation:
        """A sentence that says why the run is where it is, with the facts as attributes.

        Raises:
            UnknownRun: There is no such run.
        """

        async def query(at: Backend) -> tuple[str, str, dict[str, Any]]:
            found = await at.explain(self.run_id)
            return str(found), found.status, found.facts

        return Explanation(*await self.ask("explain", query))

    async def result(self, timeout: float | timedelta | None = None) -> R:
        """Wait for the run's result.

        Args:
            timeout: Seconds (or a timedelta) to wait at the most; the run goes on nevertheless.

        Raises:
            TimeoutError: The run didn't end in time.
            RunCancelledError: It was cancelled.
            RunBlockedError: It waits for a human. Inside a run one waits on instead.
            UnknownRun: There is no such run.
            Exception: Whatever the run raised.
        """
        if timeout is None:
            return await self._result()
        async with asyncio.timeout(seconds_of(timeout, "timeout")):
            return await self._result()

    async def _result(self) -> R:
        context = CURRENT.get()
        if context is not None:
            result: R = await context.result_of(self.run_id, self._read)
            return result
        outcome = await backend().outcome(self.run_id)
        value: R = value_of(outcome, self._component or component_named(outcome.component))
        return value

    def _read(self, raw: Raw) -> R:
        result: R = self._component.schema.read_result(raw) if self._component is not None else serde.decode(raw)
        return result

    async def cancel(self) -> None:
        """Ask the run to stop: what it awaits is interrupted, once, and its children are cancelled too.

        Returns when the request is durable; of a run that has ended nothing is changed.

        Raises:
            UnknownRun: There is no such run.
        """
        context = CURRENT.get()
        if context is not None:
            await context.send("cancel", self.id, "", b"")
        else:
            await backend().cancel(self.run_id)

    async def signal(self, name: str, payload: Any = None) -> None:
        """Give the run a signal; it is kept until the run asks for it.

        Raises:
            UnknownRun: There is no such run.
            ConflictError: It has ended.
        """
        context = CURRENT.get()
        if context is not None:
            await context.send("signal", self.id, name, serde.encode(payload))
        else:
            await backend().signal(self.run_id, name, Raw(serde.encode(payload)))

    async def events(self) -> AsyncIterator[RunEvent]:
        """What has happened in the run and what happens from now on, until it ends.

        Raises:
            UnknownRun: There is no such run.
            EffectOutsideStep: A workflow's body asks: what it would see differs from one time to the next.
        """
        context = CURRENT.get()
        if context is not None and context.is_deterministic:
            raise EffectOutsideStep(
                f"the body of a workflow follows the events of run {self.id}",
                why="replay can't repeat what they were",
                fix="follow them in a step: `await ctx.step(follow, handle.id)`",
            )
        async for event in backend().events(self.run_id):
            yield event

    async def resume(self) -> None:
        """Let a blocked run go on.

        Raises:
            UnknownRun: There is no such run.
            ConflictError: It isn't blocked.
        """
        await self.ask("resume", lambda at: at.resume(self.run_id))

    async def retry(self, take_key: bool = False) -> "Handle[R]":
        """Make a new run with the same input that keeps what a failed or cancelled one achieved.

        Args:
            take_key: Let the run's idempotency key stand for the new run from now on.

        Raises:
            UnknownRun: There is no such run.
            ConflictError: It has neither failed nor been cancelled.
        """
        return Handle(await self.ask("retry", lambda at: at.retry(self.run_id, take_key)), self._component)

    async def fork(self, at: int) -> "Handle[R]":
        """Make a new run that has the entries before `at` in its journal and goes its own way from there.

        Args:
            at: Index of the first entry that is left out; `agnt5 runs show` numbers them.

        Raises:
            UnknownRun: There is no such run.
            InvalidInput: The journal has no such entry.
        """
        return Handle(await self.ask("fork", lambda backend: backend.fork(self.run_id, at)), self._component)


def get_run(run_id: str) -> Handle[Any]:
    """A hold on the run of this id; whether there is one shows when it is first used.

    Raises:
        InvalidInput: This is no text.
    """
    if not isinstance(run_id, str):
        raise InvalidInput(f"a run id is {run_id!r}", why="it is a text", fix="pass handle.id")
    return Handle(run_id.strip())


async def send_event(event_id: str, payload: Any = None) -> None:
    """Resolve an event, for all who wait for it now or later. The same payload again changes nothing.

    Args:
        event_id: Names what happened, once and for all.
        payload: What the waiters get.

    Raises:
        ConflictError: It was resolved before, with another payload.
        UnserializableValue: The payload would not come back as it is.
    """
    if not isinstance(event_id, str) or not event_id:
        raise InvalidInput(f"an event id is {event_id!r}", why="it is a text", fix="pass a non-empty str")
    context = CURRENT.get()
    if context is not None:
        await context.send("event", event_id, "", serde.encode(payload))
    else:
        await backend().send_event(event_id, Raw(serde.encode(payload)))
