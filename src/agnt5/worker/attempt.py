"""One attempt at calling a user's function: on the loop or in a thread, with a limit on its time.

The one who waits is told once: of a result, of an exception, or that it was stopped on request.
An attempt that is cancelled by somebody else, as by a loop that is shutting down, has no outcome:
nobody is told anything while the loop may be dying.
"""

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from time import monotonic
from typing import Any

from msgspec import Struct

from agnt5.core.model.errors import StepTimeoutError
from agnt5.sdk.current import CURRENT
from agnt5.sdk.schema import Schema
from agnt5.worker.threads import Threads

FOREIGN_CANCEL_SECONDS = 0.1  # A loop that still runs after this was not shutting down.


OnDone = Callable[[Any, BaseException | None], None]


class Attempt(Struct, eq=False):
    """Calls a function with a context and decoded arguments.

    Attributes:
        loop: Where async functions run, and where `on_done` is called.
        threads: Where plain ones run.
        what: What is called, for errors.
        on_done: Called once with (result, None), (None, error), or (None, CancelledError) where
            `cancel` was asked for and took effect.
        is_live: Whether it has started and not ended.
    """

    loop: asyncio.AbstractEventLoop
    threads: Threads
    what: str
    on_done: OnDone
    is_live: bool = False
    _task: "asyncio.Task[Any] | None" = None
    _limit: asyncio.TimerHandle | None = None
    _watch: asyncio.TimerHandle | None = None
    _timed_out: StepTimeoutError | None = None
    _cancel_requested: bool = False
    _beaten_at: float = 0.0

    def start(
        self,
        fn: Callable[..., Any],
        schema: Schema,
        text: Any,
        context: Any,
        timeout: float | None,
        heartbeat_timeout: float | None,
    ) -> None:
        """Call the function; never raises, and never calls `on_done` before it returns."""
        self.is_live = True
        try:
            args, kwargs = schema.read(text, self.what)
            if schema.wants_context:
                args = [context, *args]
            variables = contextvars.Context()
            variables.run(CURRENT.set, context)
            if schema.is_async:
                self._watch_task(self.loop.create_task(fn(*args, **kwargs), context=variables))
            else:
                self.threads.submit(self._call, variables, fn, args, kwargs)
        except Exception as error:
            # Arguments that don't fit, or a function that raises when it is called.
            self.loop.call_soon(self._finish, None, error)
            return
        if timeout is not None:
            self._limit = self.loop.call_later(timeout, self._expire, f"took longer than {timeout} s", "timeout")
        if heartbeat_timeout is not None:
            self._beaten_at = monotonic()
            self._watch = self.loop.call_later(heartbeat_timeout, self._check_heartbeat, heartbeat_timeout)

    def cancel(self) -> None:
        """Ask it to stop. A thread can't be stopped, and comes to whatever it comes to."""
        self._cancel_requested = True
        if self._task is not None and not self._task.done():
            self._task.cancel()

    def beat(self) -> None:
        """It has shown that it lives."""
        self._beaten_at = monotonic()

    def forget(self) -> None:
        """Stop it without telling anybody: its outcome is no longer wanted."""
        self.is_live = False
        self._stop_clocks()
        if self._task is not None and not self._task.done():
            self._task.cancel()

    # On the loop

    def _watch_task(self, task: "asyncio.Task[Any]") -> None:
        self._task = task
        task.add_done_callback(self._task_done)

    def _task_done(self, task: "asyncio.Task[Any]") -> None:
        if task.cancelled():
            if self._timed_out is not None:
                self._finish(None, self._timed_out)
            elif self._cancel_requested:
                self._finish(None, asyncio.CancelledError())
            elif self.is_live:
                self.loop.call_later(FOREIGN_CANCEL_SECONDS, self._cancelled_from_inside)
            return
        error = task.exception()
        if error is None:
            self._finish(task.result(), None)
        elif isinstance(error, Exception):
            self._finish(None, error)
        # SystemExit and KeyboardInterrupt end the process: like a crash, they are no outcome.

    def _cancelled_from_inside(self) -> None:
        self._finish(None, RuntimeError(f"{self.what} was cancelled from inside: it let a CancelledError escape"))

    def _expire(self, said: str, setting: str) -> None:
        self._timed_out = StepTimeoutError(
            f"{self.what} {said}",
            why=f"its {setting} is shorter than it needed",
            fix=f"raise {setting}=, or split the work into smaller steps",
        )
        if self._task is not None:
            self._task.cancel()
        else:
            # A thread can't be stopped; what it still comes to is ignored.
            self._finish(None, self._timed_out)

    def _check_heartbeat(self, heartbeat_timeout: float) -> None:
        left = self._beaten_at + heartbeat_timeout - monotonic()
        if left <= 0:
            self._expire(f"gave no heartbeat for {heartbeat_timeout} s", "heartbeat_timeout")
        else:
            self._watch = self.loop.call_later(left, self._check_heartbeat, heartbeat_timeout)

    def _finish(self, result: Any, error: BaseException | None) -> None:
        if not self.is_live:
            return
        self.is_live = False
        self._stop_clocks()
        if self._timed_out is not None and error is None:
            # It caught the cancellation and returned something; by then its time was over.
            result, error = None, self._timed_out
        # Who waits for us holds us: let go of both, and no cycle is left for the collector.
        on_done, self.on_done, self._task = self.on_done, _nobody, None
        on_done(result, error)

    def _stop_clocks(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
        if self._watch is not None:
            self._watch.cancel()

    # On a thread

    def _call(
        self, variables: contextvars.Context, fn: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        if not self.is_live:
            # It was forgotten, or its time ran out, before a thread was free: it must not begin any more.
            return
        result, error = None, None
        try:
            result = variables.run(fn, *args, **kwargs)
        except BaseException as raised:
            error = raised
        try:
            self.loop.call_soon_threadsafe(self._thread_done, variables, result, error)
        except RuntimeError:
            # The loop was closed meanwhile. Like a crash, that is no outcome: the step runs again.
            return

    def _thread_done(self, variables: contextvars.Context, result: Any, error: BaseException | None) -> None:
        if isinstance(error, asyncio.CancelledError) or (error is not None and not isinstance(error, Exception)):
            error = RuntimeError(f"{self.what} raised {type(error).__name__} in its thread: {error}")
        if error is None and self.is_live and inspect.isawaitable(result):
            # A plain function that returned a coroutine, as a lambda around an async one does.
            self._watch_task(self.loop.create_task(_await(result), context=variables))
        else:
            self._finish(result, error)


def _nobody(result: Any, error: BaseException | None) -> None:
    raise AssertionError("an attempt ends once")


async def _await(awaitable: Any) -> Any:
    return await awaitable
