"""What a body on an ordinary loop asks for: matched by key, waited for with ordinary futures."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Raw

from agnt5.core.journal.entry import UNNUMBERED, Begun, Entry, Kind, Outcome
from agnt5.core.model.ids import OperationKey, OperationKeys
from agnt5.core.model.payload import NULL
from agnt5.core.model.retry import MICROSECONDS
from agnt5.core.protocol.messages import Ask
from agnt5.core.replay.operations import COMPENSATING, Request
from agnt5.core.replay.recall import Recall
from agnt5.core.replay.replay import as_raisable
from agnt5.sdk import failures
from agnt5.worker.interruption import Interruption


class KeyedOwner(Protocol):
    """The run for which a body asks."""

    loop: asyncio.AbstractEventLoop

    def clock_us(self) -> int:
        """The worker's time, in microseconds since the epoch."""

    def ask(self, ask: Ask) -> None:
        """Ask the runtime."""

    def carry_out(self, request: Request, scope: str, calls: int) -> None:
        """Do what was asked, or have it done."""

    def abandon(self, request: Request, scope: str) -> None:
        """Nobody waits for it any more."""

    def note_waiting(self) -> None:
        """What the body waits for has changed."""

    def found_on_record(self, outcome: Outcome) -> None:
        """A body that is run again has come to an operation that is done already."""


class Keyed:
    """The operations of one attempt of a function, or of a step.

    Args:
        owner: The run.
        scope: The key of the step; empty for the run's own body.
        generation: Of the run.
        recall: What has been recorded.

    Attributes:
        handled: Exceptions during whose handling the body did something.
    """

    def __init__(self, owner: KeyedOwner, scope: str, generation: int, recall: Recall) -> None:
        self.owner = owner
        self.scope = scope
        self.recall = recall
        self.handled: list[BaseException] = []
        self._generation = generation
        self._keys = OperationKeys(generation, scope)
        self._waiting: dict[OperationKey, Request] = {}
        self._starting: dict[OperationKey, asyncio.Future[Begun]] = {}
        self._naps: set[asyncio.Future[None]] = set()
        self._hashes = itertools.count()
        self._is_closed = False
        # Of a body that was cancelled in an earlier process.
        self.interruption: Interruption | None = None

    def next_hash(self) -> int:
        """A hash; on an ordinary loop any will do."""
        return next(self._hashes)

    def next_attempt(self) -> None:
        """The body is run from its top again."""
        self.recall.next_attempt()
        self._keys = OperationKeys(self._generation, self.scope)
        self._waiting.clear()
        self._starting.clear()

    def close(self) -> None:
        """The body is through: nobody waits for anything any more."""
        self._is_closed = True
        if self.interruption is not None:
            self.interruption.close()
        for request in list(self._waiting.values()):
            request.future.cancel()
        for future in self._starting.values():
            future.cancel()
        self._waiting.clear()

    # Asking

    def begin(self, request: Request) -> "asyncio.Future[Any]":
        """The body asks for an operation; returns what it waits on."""
        request.key = self._keys.next(request.kind, request.target or request.name, request.identity or request.args)
        if request.kind in COMPENSATING and request.handling is not None:
            self.handled.append(request.handling)
        future: asyncio.Future[Any] = self.owner.loop.create_future()
        request.future = future
        if self._is_closed:
            # The body is through, or the run is no longer ours; a task of it that still goes on begins nothing.
            future.cancel()
            return future
        if self._is_interrupted_at(request.key, request.kind):
            assert self.interruption is not None, "it was asked"
            self.interruption.hold(future, lambda: self._go_on(request))
        else:
            self._go_on(request)
        return future

    def _is_interrupted_at(self, key: OperationKey, kind: Kind) -> bool:
        """Whether the body was interrupted when it had come to this operation."""
        if self.interruption is None or self.recall.is_from_before(key, kind):
            return False
        return not self.interruption.passes(key)

    def _go_on(self, request: Request) -> None:
        future = request.future
        recorded = self.recall.outcome_of(request.key, request.kind)
        if recorded is not None:
            self.owner.found_on_record(recorded)
            _resolve(request, recorded)
            return
        request.begun_index, request.begun = self.recall.begun.get(request.key, (-1, None))
        self._waiting[request.key] = request
        future.add_done_callback(lambda _: self._settled(request))
        self.owner.carry_out(request, self.scope, self.recall.calls.get(request.key, 0))

    def _settled(self, request: Request) -> None:
        if request.future.cancelled() and self._waiting.pop(request.key, None) is not None and not self._is_closed:
            self.owner.abandon(request, self.scope)

    def take(self, entry: Entry) -> None:
        """An entry of this scope has been committed."""
        self.recall.note(entry)
        body = entry.body
        if isinstance(body, Begun):
            started = self._starting.pop(body.key, None)
            if started is not None and not started.done():
                started.set_result(body)
            request = self._waiting.get(body.key)
            if request is not None:
                request.begun, request.begun_index = body, entry.index
        elif isinstance(body, Outcome):
            request = self._waiting.pop(body.key, None)
            if request is not None:
                _resolve(request, body)

    @property
    def waiting_for(self) -> list[Request]:
        """Operations without an outcome."""
        return list(self._waiting.values())

    # Time

    async def sleep(self, seconds: float, site: str) -> None:
        """Wait; after a crash, for the rest of it."""
        request = Request(Kind.SLEEP, "sleep", repr(seconds).encode(), site, _nothing)
        await self._sleep(request, seconds)

    async def _sleep(self, request: Request, seconds: float) -> None:
        owner = self.owner
        key = request.key = self._keys.next(request.kind, request.name, request.args)
        if self._is_interrupted_at(key, Kind.SLEEP):
            await self.held()
        if self.recall.outcome_of(key, Kind.SLEEP) is not None:
            return
        _, begun = self.recall.begun.get(key, (-1, None))
        if begun is None:
            due = owner.clock_us() + round(seconds * MICROSECONDS)
            self._starting[key] = owner.loop.create_future()
            owner.ask(Begun(UNNUMBERED, key, Kind.SLEEP, request.name, "", NULL, request.site, due, self.scope))
            begun = await self._starting[key]
        future: asyncio.Future[Any] = owner.loop.create_future()
        request.future = future
        self._waiting[key] = request
        owner.note_waiting()
        try:
            # The loop's clock and the wall's drift apart: what counts is the wall's.
            while (left := begun.due - owner.clock_us()) > 0:
                await self._nap(left / MICROSECONDS)
            now = owner.clock_us()
            owner.ask(
                Outcome(
                    UNNUMBERED,
                    key,
                    Kind.SLEEP,
                    request.name,
                    result=NULL,
                    began=begun.due - round(seconds * MICROSECONDS),
                    ended=now,
                    site=request.site,
                    scope=self.scope,
                )
            )
            await future
        finally:
            self._waiting.pop(key, None)

    async def _nap(self, seconds: float) -> None:
        """Wait for some time, or until the clock was turned."""
        nap: asyncio.Future[None] = self.owner.loop.create_future()
        self._naps.add(nap)
        alarm = self.owner.loop.call_later(seconds, _wake, nap)
        try:
            await nap
        finally:
            alarm.cancel()
            self._naps.discard(nap)

    def look_again(self) -> None:
        """The clock was turned: sleeps may be over by now."""
        for nap in self._naps:
            _wake(nap)

    async def held(self) -> None:
        """Wait where the body was interrupted, unless it turns out to have been elsewhere."""
        assert self.interruption is not None, "a body is held only before its interruption"
        here: asyncio.Future[object] = self.owner.loop.create_future()
        self.interruption.hold(here, lambda: here.set_result(None))
        await here

    async def wait_event(self, request: Request, timeout: float | None) -> Any:
        """Wait for an event, perhaps not for ever."""
        said = f"event {request.name!r} didn't come"
        future = self.begin(request)
        self.owner.note_waiting()
        return await self.first(future, timeout, said, request.site, lambda: self.recall.index_of(request.key))

    async def first(
        self,
        future: "asyncio.Future[Any]",
        timeout: float | None,
        said: str,
        site: str,
        came: Callable[[], int | None],
    ) -> Any:
        """What the future comes to, unless a durable timeout passes, or is recorded, before that.

        Args:
            future: What is waited for; cancelled if it isn't what comes first.
            timeout: Seconds, or None for no limit.
            said: What to say when the time is over.
            site: File and line of the waiting.
            came: Where what is waited for stands in the journal.

        Raises:
            TimeoutError: The time is over.
        """
        if timeout is None:
            return await future
        clock = Request(Kind.SLEEP, "timeout", f"{said} {timeout}".encode(), site, _nothing)
        timer = self.owner.loop.create_task(self._sleep(clock, timeout))
        try:
            await asyncio.wait({timer, future}, return_when=asyncio.FIRST_COMPLETED)
            if future.done() and not (timer.done() and self._fired_before(clock, came())):
                return future.result()
            raise TimeoutError(f"{said} within {timeout} s")
        finally:
            timer.cancel()
            future.cancel()

    def _fired_before(self, clock: Request, came: int | None) -> bool:
        """Whether the journal has the end of the clock before what it limits."""
        fired = self.recall.index_of(clock.key)
        return fired is not None and (came is None or fired < came)


def _resolve(request: Request, outcome: Outcome) -> None:
    future = request.future
    if future.done():
        return
    if outcome.error is not None:
        future.set_exception(as_raisable(failures.read(outcome.error)))
        return
    if outcome.cancelled:
        future.cancel()
        return
    try:
        future.set_result(request.read(outcome.result))
    except Exception as error:  # The class of the value has changed since it was written.
        future.set_exception(error)


def _wake(nap: "asyncio.Future[None]") -> None:
    if not nap.done():
        nap.set_result(None)


def _nothing(raw: Raw) -> None:
    return None
