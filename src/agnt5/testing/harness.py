"""The harness: a runtime in memory with a clock that stands still until a test turns it."""

from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from inspect import CORO_CREATED, getcoroutinestate
from types import TracebackType
from typing import Any, Final, TypeVar

from agnt5.core.journal.entry import Entry
from agnt5.core.model.errors import InvalidInput, UnknownRun
from agnt5.core.model.ids import RunId
from agnt5.sdk import backend as sdk_backend
from agnt5.sdk import handle as sdk_handle
from agnt5.sdk.handle import Handle
from agnt5.store.memory import MemoryStore
from agnt5.testing.clock import TurnedClock, microseconds
from agnt5.testing.memory import MemoryRuntime, at_once
from agnt5.testing.operations import Operation, operations_of
from agnt5.testing.watched import Calls
from agnt5.worker.settings import WorkerSettings

T = TypeVar("T")
PATIENCE_SECONDS: Final = 30.0
# Further than any timer that is meant to come, and near enough to be a date: a thousand years.
FAR_US: Final = 1_000 * 365 * 86_400 * 1_000_000
TURNS_MAX: Final = 100_000  # Times that come due within one turn of the clock, before it is taken for endless.


class Harness:
    """A runtime of a test's own, in memory, with a clock that only the test turns.

    Inside its block everything is called as ever, and goes to it. Time stands still until `turn`:
    a workflow that sleeps for a week is tested in milliseconds. Retries have no jitter.

    Args:
        always_replay: Forget a run whenever it waits, and bring it back from its journal: the body
            of a workflow is then run again from its top after each wait, as after a crash.
        start: What the clock shows at first: an aware datetime; the machine's time when absent.
        settings: Bounds of the worker.
        patience: Seconds of real time that steps may be at work before `settle` and `turn` give up.
        store: What an earlier harness left, to go on with it.

    Attributes:
        store: What has been written.
        settings: Of the worker.

    Example:
        >>> import asyncio
        >>> from agnt5 import WorkflowContext, workflow
        >>> from agnt5.testing import Harness
        >>> @workflow
        ... async def remind(ctx: WorkflowContext, whom: str) -> str:
        ...     await ctx.sleep(86_400)
        ...     return f"reminded {whom}"
        >>> async def test_remind() -> str:
        ...     async with Harness() as h:
        ...         run = await remind.submit("Ada")
        ...         await h.turn(86_400)
        ...         return await run.result()
        >>> asyncio.run(test_remind())
        'reminded Ada'
    """

    def __init__(
        self,
        *,
        always_replay: bool = False,
        start: datetime | None = None,
        settings: WorkerSettings | None = None,
        patience: float = PATIENCE_SECONDS,
        store: MemoryStore | None = None,
    ) -> None:
        if start is not None and start.tzinfo is None:
            raise InvalidInput(
                f"a harness starts at {start!r}",
                why="without a time zone it names a different moment on every machine",
                fix="pass an aware datetime, as in datetime(2030, 1, 1, tzinfo=UTC)",
            )
        settings = settings or WorkerSettings()
        self.store = store or MemoryStore()
        self._clock = TurnedClock(start)
        self._patience = patience
        self.settings = _forgetful(settings) if always_replay else settings
        self.runtime = MemoryRuntime(self.store, self.settings, self._clock, Calls())
        self._tokens: list[Any] = []

    # Its block

    async def __aenter__(self) -> "Harness":
        """Have calls from this task, and from tasks it makes, go to this harness."""
        self.runtime.attach()
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it; what its runs have begun is stopped too."""
        self._unchoose()
        await self.runtime.close()

    def __enter__(self) -> "Harness":
        """As with `async with`, for tests without an event loop: see `run_sync`."""
        self._tokens.append(sdk_backend.choose(self.runtime))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unchoose()
        self.close()

    def _unchoose(self) -> None:
        while self._tokens:
            # A token of another task's context means that its block is gone with the task.
            with suppress(ValueError):
                sdk_backend.unchoose(self._tokens.pop())

    def close(self) -> None:
        """Stop it, from outside of its event loop."""
        self.runtime.close_from_outside()

    def run_sync(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on a loop of the harness's own, and block until it is through.

        For tests that are plain functions: `h.run_sync(h.turn(60))`. All calls of such a test go
        through it, or through `.run_sync` of a component.

        Raises:
            InvalidInput: The thread has a running event loop, or another loop uses the harness.
        """

        async def run() -> T:
            return await coroutine

        try:
            return self.runtime.run_blocking(run)
        except BaseException:
            if getcoroutinestate(coroutine) == CORO_CREATED:
                coroutine.close()
            raise

    # Time

    @property
    def now(self) -> datetime:
        """What the clock shows."""
        return self._clock.now

    async def settle(self) -> None:
        """Wait until every run has been carried as far as it can go without time passing.

        Steps that execute are waited for; what a run waits for (a time, an event, a signal) is not.

        Raises:
            TimeoutError: A step was at work for longer than the patience of the harness.
        """
        self.runtime.attach()
        await self.runtime.settle(self._patience)

    async def turn(self, seconds: float | timedelta) -> None:
        """Put the clock forward, stopping at each time at which something is due, and settle.

        Args:
            seconds: Seconds, or a timedelta; 0 settles only.

        Raises:
            InvalidInput: They are negative.
            TimeoutError: A step was at work for longer than the patience of the harness.
        """
        by = microseconds(seconds)
        if by < 0:
            raise InvalidInput(f"a clock is turned by {seconds!r}", why="time doesn't go back", fix="pass 0 or more")
        until = self._clock.now_us() + by
        await self.settle()
        for _ in range(TURNS_MAX):
            due = self.runtime.next_due(until)
            if due is None:
                break
            await self._turn_to(due)
        else:
            raise TimeoutError(f"more than {TURNS_MAX} timers came due within one turn of the clock, with no end")
        await self._turn_to(until)

    async def turn_to_next(self) -> bool:
        """Put the clock forward to the next time at which something is due, and settle.

        Returns:
            Whether there was any.
        """
        await self.settle()
        due = self.runtime.next_due(self._clock.now_us() + FAR_US)
        if due is None:
            return False
        await self._turn_to(due)
        return True

    async def _turn_to(self, us: int) -> None:
        self._clock.turn_to(us)
        self.runtime.look_again()
        await self.settle()

    # From outside

    async def send_event(self, event_id: str, payload: Any = None) -> None:
        """Resolve an event, and settle.

        Raises:
            ConflictError: It was resolved before, with another payload.
        """
        self.runtime.attach()
        await sdk_handle.send_event(event_id, payload)
        await self.settle()

    async def signal(self, run: Handle[Any], name: str, payload: Any = None) -> None:
        """Give a run a signal, and settle.

        Raises:
            UnknownRun: There is no such run.
            ConflictError: It has ended.
        """
        await run.signal(name, payload)
        await self.settle()

    # Looking

    async def operations(self, run: Handle[Any] | str) -> list[Operation]:
        """What a run has asked for so far, in the order of its journal.

        After a retry of the whole run, or `continue_as`, it is what the last attempt asked for.

        Raises:
            UnknownRun: There is no such run.
        """
        await self.settle()
        return operations_of(self.journal(run))

    def journal(self, run: Handle[Any] | str) -> list[Entry]:
        """The entries of a run, as they are stored.

        Raises:
            UnknownRun: There is no such run.
        """
        run_id = run if isinstance(run, str) else run.id
        entries = at_once(self.store.journal(RunId(run_id)))
        if not entries:
            raise UnknownRun(f"there is no run {run_id!r}", why="this harness has not made it", fix="pass its handle")
        return entries


def _forgetful(settings: WorkerSettings) -> WorkerSettings:
    return WorkerSettings(settings.capacity, 0, settings.max_threads, settings.grace, settings.body_seconds_max)
