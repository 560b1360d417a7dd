"""An event loop on which a workflow body always takes the same path.

It has a queue of ready callbacks and nothing else: no selector, no threads, no clock. Tasks,
futures, `gather`, `TaskGroup`, `timeout` and `Queue` need no more than that and work unchanged.
Its time is the journal's; a timer fires when the journal says that it did. Whatever would let the
outside in (a socket, a thread, a signal handler) is refused with an error that names the fix.

The order in which asyncio walks a set of tasks follows from their hashes, which are addresses in
memory. Here tasks and futures hash by the order in which they were first put into a set, which
is the same whenever the body is run.
"""

import asyncio
import asyncio.tasks
import contextvars
import sys
from asyncio import events
from collections import deque
from collections.abc import Callable
from inspect import iscoroutinefunction
from math import ceil
from types import CoroutineType, FrameType, GeneratorType
from typing import Any, Final, NoReturn

from agnt5.core.model.errors import BusyWorkflowError, EffectOutsideStep, InvalidInput
from agnt5.core.replay.closing import Evicted, Generators, close_quietly
from agnt5.core.replay.foreign import forget, order_scopes

TURNS_MAX: Final = 10_000  # Turns in a row without waiting for anything; a body that works never gets near.
TASKS_KEPT: Final = 64  # References to tasks before those that are gone are dropped.
MICROSECONDS: Final = 1_000_000
FOREVER: Final = 1e12  # Seconds since the epoch, 31,000 years on: no clock gets there.
NEVER_US: Final = 1 << 62
_HASH_STEP: Final = 0x9E3779B97F4A7C15  # The golden ratio of 64 bits spreads consecutive numbers.
_HASH_MASK: Final = (1 << 61) - 1


class ReplayFuture(asyncio.Future[Any]):
    """A future that hashes by the order of first use."""

    __slots__ = ("_number",)

    def __hash__(self) -> int:
        return _number(self)


class ReplayTask(asyncio.Task[Any]):
    """A task that hashes by the order of creation.

    Attributes:
        handling: The exception that was being handled where the task was made, if any.
    """

    __slots__ = ("_number", "handling")

    handling: BaseException | None

    def __hash__(self) -> int:
        return _number(self)


def _number(future: Any) -> int:
    try:
        number: int = future._number
    except AttributeError:
        number = future._number = future.get_loop().next_hash()
    return number


def _hash_gathering(future: Any) -> int:
    return _number(future) if isinstance(future.get_loop(), ReplayLoop) else object.__hash__(future)


# The future that `gather` returns is made without asking the loop. On other loops nothing changes.
asyncio.tasks._GatheringFuture.__hash__ = _hash_gathering  # type: ignore[attr-defined]  # Private, in all of 3.11 to 3.14.


class ReplayHandle:
    """A callback in the queue; as asyncio's, without what is for debugging."""

    __slots__ = ("args", "callback", "context", "is_cancelled")

    def __init__(
        self, callback: Callable[..., Any], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context if context is not None else contextvars.copy_context()
        self.is_cancelled = False

    def cancel(self) -> None:
        """Don't call it."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Whether it won't be called."""
        return self.is_cancelled

    def get_context(self) -> contextvars.Context:
        """What it is called in."""
        return self.context


class ReplayTimer(ReplayHandle):
    """A timer of the body, named by the order of setting.

    Attributes:
        n: That order, from 0; -1 for one that was due when it was set.
        due: Microseconds since the epoch.
        label: `sleep` or `timeout`, for people.
    """

    __slots__ = ("_timers", "_when", "due", "label", "n", "site")

    def __init__(
        self,
        when: float,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
        timers: "dict[int, ReplayTimer]",
    ) -> None:
        super().__init__(callback, args, context)
        self._when = when
        self._timers = timers
        # Up to the microsecond: a timer may fire late but never early.
        self.due = ceil(round(when * MICROSECONDS, 2)) if when < FOREVER else NEVER_US
        # A float of this size is a fourth of a microsecond off: who looks at the loop's time must find it reached.
        self.due += self.due / MICROSECONDS < when < FOREVER
        self.label = "sleep" if callback in _SLEEPS else "timeout"
        self.n = -1
        self.site = ""

    def cancel(self) -> None:
        """Don't fire it."""
        super().cancel()
        self._timers.pop(self.n, None)

    def when(self) -> float:
        """When it is due, by the loop's time."""
        return self._when


class ReplayLoop(asyncio.AbstractEventLoop):
    """The loop of one life of one body.

    Args:
        now_us: The journal's time in microseconds since the epoch.
        hash_seed: What the hashes of tasks start from; the same whenever the body is run.
        on_error: Takes the context of an exception that nobody awaits.

    Attributes:
        is_handling: Some task was made in the handling of an exception.
    """

    def __init__(self, now_us: int, hash_seed: int, on_error: Callable[[dict[str, Any]], None]) -> None:
        self.now_us = now_us
        self.timers: dict[int, ReplayTimer] = {}
        self.timers_set = 0
        self.is_stopped = False
        self.is_handling = False
        self._ready: deque[ReplayHandle] = deque()
        self._closed = False
        self._hash_seed = hash_seed
        self._hashes = 0
        self._tasks_made = 0
        # Strongly: a task that nobody refers to must not disappear whenever the collector runs.
        self._tasks: list[ReplayTask] = []
        self._prune_at = TASKS_KEPT
        self._generators = Generators(self, self._close_soon)
        self._on_error = on_error
        order_scopes(_is_replay_loop)

    def next_hash(self) -> int:
        """The hash of the next task or future that is put into a set."""
        self._hashes += 1
        return (self._hash_seed + self._hashes * _HASH_STEP) & _HASH_MASK

    # Running

    def run_until_idle(self) -> None:
        """Run what is ready, and what becomes ready by that, until everything waits.

        To be called from a plain callback of another loop, never from inside a task.

        Raises:
            BusyWorkflowError: It doesn't come to an end.
        """
        ready = self._ready
        outer = events._get_running_loop()
        hooks = sys.get_asyncgen_hooks()
        events._set_running_loop(self)
        sys.set_asyncgen_hooks(self._generators.begin, self._generators.drop)
        turns = left = 0
        try:
            while ready and not self.is_stopped:
                if not left:
                    # A turn is all that is ready at its start, as in asyncio: many branches are no busy wait.
                    left = len(ready)
                    turns += 1
                    if turns > TURNS_MAX:
                        raise self._busy(ready[0])
                left -= 1
                handle = ready.popleft()
                if not handle.is_cancelled:
                    try:
                        handle.context.run(handle.callback, *handle.args)
                    except Exception as error:  # A callback's, not a task's, which keeps its own.
                        self.call_exception_handler({"message": f"in {handle.callback!r}", "exception": error})
        finally:
            sys.set_asyncgen_hooks(*hooks)
            events._set_running_loop(outer)

    def _busy(self, handle: ReplayHandle) -> BusyWorkflowError:
        owner = getattr(handle.callback, "__self__", None)
        site = _site_of_task(owner) if isinstance(owner, asyncio.Task) else "an unknown line"
        return BusyWorkflowError(
            f"a workflow body went on for {TURNS_MAX:,} turns without waiting for anything, lastly at {site}",
            why="it polls in a loop, as with `while not done: await asyncio.sleep(0)`",
            fix="wait for what it polls (an asyncio.Event, a queue, a signal), or sleep a real time",
            site=site,
        )

    def fire(self, n: int) -> bool:
        """The journal says that this timer fired; returns whether the body ever set it."""
        timer = self.timers.pop(n, None)
        if timer is not None:
            self._ready.append(timer)
        return n < self.timers_set

    # The handles have what the standard library uses of its own, and aren't of its class.

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> ReplayHandle:
        handle = ReplayHandle(callback, args, context)
        if not self._closed:
            self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> ReplayTimer:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> ReplayTimer:
        if self._closed:
            raise Evicted
        if when != when:
            raise InvalidInput("a timer was set to NaN seconds", why="a computed delay is no number", fix="check it")
        timer = ReplayTimer(when, callback, args, context, self.timers)
        if timer.due <= self.now_us:
            self._ready.append(timer)
        else:
            timer.n = self.timers_set
            timer.site = site_of_caller()
            self.timers_set += 1
            self.timers[timer.n] = timer
        return timer

    def time(self) -> float:
        return self.now_us / MICROSECONDS

    # Tasks and futures

    def create_future(self) -> asyncio.Future[Any]:
        return ReplayFuture(loop=self)

    def create_task(
        self, coro: Any, *, name: object = None, context: contextvars.Context | None = None, **options: Any
    ) -> ReplayTask:
        if self._closed:
            close_quietly(coro)
            raise Evicted
        if _is_from_a_set(sys._getframe(1)) and isinstance(coro, CoroutineType | GeneratorType):
            close_quietly(coro)
            raise InvalidInput(
                "asyncio.as_completed was given bare coroutines in a workflow body",
                why="asyncio puts them into a set, whose order differs from one process to the next",
                fix="wrap each one: asyncio.as_completed([asyncio.create_task(c) for c in coroutines])",
            )
        if name is None:
            name = f"Task-{self._tasks_made}"
        handling = sys.exc_info()[1]
        if handling is None and self.is_handling:
            maker = asyncio.current_task(self)
            handling = maker.handling if isinstance(maker, ReplayTask) else None
        # Asyncio puts the task into a set as it is made, so its hash comes first.
        task: Any = ReplayTask.__new__(ReplayTask)
        task._number = self.next_hash()
        task.handling = handling
        task.__init__(coro, loop=self, name=str(name), context=context)
        if handling is not None:
            self.is_handling = True
        self._tasks_made += 1
        self._tasks.append(task)
        if len(self._tasks) > self._prune_at:
            self._tasks = [known for known in self._tasks if not known.done()]
            self._prune_at = 2 * len(self._tasks) + TASKS_KEPT
        made: ReplayTask = task
        return made

    def get_debug(self) -> bool:
        return False

    def get_task_factory(self) -> None:
        return None

    def get_exception_handler(self) -> None:
        return None

    def is_running(self) -> bool:
        return events._get_running_loop() is self

    def is_closed(self) -> bool:
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._closed:
            self._on_error(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    # The end

    def close(self) -> None:
        """Close every coroutine, children before parents, without letting any of them go on.

        Their `finally` blocks run, but whatever they ask for or wait for is refused.
        """
        if self._closed:
            return
        self._closed = True
        self._on_error = _ignore
        self._ready.clear()
        self.timers.clear()
        outer = events._get_running_loop()
        events._set_running_loop(self)
        self._generators.release()
        try:
            for task in reversed(self._tasks):
                if not task.done():
                    _close_task(self, task)
            self._tasks.clear()
            self._generators.close()
        finally:
            events._set_running_loop(outer)

    def _close_soon(self, generator: Any) -> None:
        self.call_soon(self.create_task, generator.aclose())

    async def shutdown_asyncgens(self) -> None:
        """Generators are closed with the loop."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""


def _is_replay_loop(loop: Any) -> bool:
    return type(loop) is ReplayLoop


def _ignore(context: dict[str, Any]) -> None:
    """What a loop that is closed still has to report."""


def _refuse(self: ReplayLoop, *args: Any, **kwargs: Any) -> NoReturn:
    raise effect_outside_step("reached outside through its event loop: the network, a process, a thread or a signal")


async def _refuse_async(self: ReplayLoop, *args: Any, **kwargs: Any) -> NoReturn:
    _refuse(self)


# Whatever the loop doesn't do itself, a workflow body may not do.
for _name, _method in vars(asyncio.AbstractEventLoop).items():
    if not _name.startswith("_") and _name not in vars(ReplayLoop):
        setattr(ReplayLoop, _name, _refuse_async if iscoroutinefunction(_method) else _refuse)


def effect_outside_step(what: str) -> EffectOutsideStep:
    """The error for a body that reaches outside."""
    return EffectOutsideStep(
        f"a workflow body {what}",
        why="the body is run again on replay, and what it does itself would be done again, with another outcome",
        fix="move it into a step: `await ctx.step(fn, ...)` runs fn once and journals what it returned",
    )


def _close_task(loop: ReplayLoop, task: ReplayTask) -> None:
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # Else its destruction is reported as a mistake.
    asyncio.tasks._enter_task(loop, task)  # Scopes check that they are left in their task.
    try:
        close_quietly(task.get_coro())
    finally:
        asyncio.tasks._leave_task(loop, task)
    # The task and what it waits for hold each other, and nobody will wake it any more: let go, so
    # that no cycle is left for the collector, which is most of what a sleeping run would cost.
    for future in (task, task._fut_waiter):  # type: ignore[attr-defined]  # What it waits for.
        for callback, _ in getattr(future, "_callbacks", None) or ():
            future.remove_done_callback(callback)
    forget(task)


# Where in the user's code something is asked for

_SLEEPS: Final = (asyncio.futures._set_result_unless_cancelled,)  # type: ignore[attr-defined]
_LIBRARY: Final = (asyncio.__path__[0], __file__.rpartition("/core/")[0] + "/")
_sites: dict[tuple[Any, int], str] = {}


def _codes(*functions: Any) -> frozenset[Any]:
    """The code of these functions, and of the comprehensions in them."""
    found = set()
    for function in functions:
        code = getattr(function, "__code__", None)
        if code is not None:
            found.add(code)
            found.update(constant for constant in code.co_consts if hasattr(constant, "co_code"))
    return frozenset(found)


_RUN: Final = ReplayLoop.run_until_idle.__code__
# Python 3.11 has the inner function, 3.13 the class.
_ENSURERS: Final = _codes(asyncio.ensure_future, getattr(asyncio.tasks, "_ensure_future", None))
_UNORDERED: Final = _codes(
    asyncio.as_completed, getattr(getattr(asyncio.tasks, "_AsCompletedIterator", None), "__init__", None)
)


def _is_from_a_set(frame: FrameType) -> bool:
    """Whether asyncio makes this task while it walks a set of what the user passed."""
    if frame.f_code not in _ENSURERS:
        return False
    maker: FrameType | None = frame
    while maker is not None and maker.f_code in _ENSURERS:
        maker = maker.f_back
    return maker is not None and maker.f_code in _UNORDERED


def site_of_caller() -> str:
    """File and line of the innermost frame that is the user's own."""
    return site_of_frames(sys._getframe(1))


def site_of_frames(frame: FrameType | None) -> str:
    """File and line of the innermost of these frames that is the user's own."""
    while frame is not None and (
        frame.f_code.co_filename.startswith(_LIBRARY) or frame.f_globals.get("__name__", "").startswith("anyio.")
    ):
        # Below the loop stands whoever drives it, which is not where the body asks.
        frame = frame.f_back if frame.f_code is not _RUN else None
    return site_of(frame) if frame is not None else ""


def site_of(frame: FrameType) -> str:
    """File and line at which this frame stands; remembered, since lines are slow to find."""
    place = (frame.f_code, frame.f_lasti)
    site = _sites.get(place)
    if site is None:
        if len(_sites) > 10_000:
            _sites.clear()
        site = _sites[place] = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return site


def _site_of_task(task: "asyncio.Task[Any]") -> str:
    awaitable: Any = task.get_coro()
    site = "an unknown line"
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None)
        if frame is None:
            break
        if not frame.f_code.co_filename.startswith(_LIBRARY):
            site = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        awaitable = awaitable.cr_await
    return site
