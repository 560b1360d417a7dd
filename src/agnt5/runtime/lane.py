"""One way in: everything that changes a run passes here, and nothing else writes.

    inbox ─▶ drain ─▶ engine.advance for each ─▶ ONE commit ─▶ effects to workers and callers
               ▲                                                  │
               └────────── meanwhile the next batch gathers ──────┘

A lane is all partitions that one node owns in one database, with one transaction in flight. While
it is, commands gather: one run alone pays a commit for each durable point, a thousand share it.
Nothing leaves before the commit: if that is refused, the memory that was ahead of it is thrown away
and everything is taken up again from the store; if its outcome is unknown, the lane stops, because
only opening the store again can tell.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from agnt5.core.engine.commands import ClientCommand, Command, Due, Recover, Refill, Sweep, Token
from agnt5.core.engine.engine import advance, forget, settle
from agnt5.core.engine.queue import starving
from agnt5.core.engine.state import READY_MAX, Need, State, Steps, Turn
from agnt5.core.model.errors import InternalError, OutcomeUnknown, StoreCorrupt, StoreError, Unavailable
from agnt5.core.model.ids import RunId, WorkerId
from agnt5.core.model.run import Run
from agnt5.core.protocol.messages import FromWorker, Goodbye, Hello, LookAgain, Register, Report, Reset
from agnt5.runtime.clock import Clock
from agnt5.runtime.commit import batch_of
from agnt5.runtime.dispatch import Dispatcher
from agnt5.runtime.loading import load, load_readable
from agnt5.runtime.port import Port
from agnt5.runtime.queries import answer_query
from agnt5.runtime.requests import Follow, GetExplanation, GetState, GetStatus, Query, SubmitAndWatch, Unwatch, Watch
from agnt5.runtime.retention import FOREVER, Keeper, Retention
from agnt5.runtime.timers import LOADED_MAX, WINDOW_US, Timers
from agnt5.store.port import Store

LOGGER = logging.getLogger("agnt5.runtime")
TURN_MAX: Final = 2_000  # Commands in one batch: what comes later waits some tens of milliseconds at most.
DUE_MAX: Final = 500  # Timers in one batch, so that a flood of them leaves room for others.
SWEEP_US: Final = 500_000  # How long a warm run waits before the store is told.
RETRY_SECONDS: Final = 0.5  # Between two tries to write while the store is full or locked.
LAST_TURNS_MAX: Final = 10  # After a stop, for what has been said by then.
PAGE: Final = 2_000  # Runs read at a time when the store is taken up.
Load = Callable[[Store, Need], Awaitable[Any]]  # Finds in the store what a command needs.
_QUERIES: Final = (Watch, Unwatch, Follow, GetStatus, GetState, GetExplanation)
_FROM_WORKERS: Final = (Report, Hello, Register, Goodbye)


class Lane:
    """Drives the engine over one store, on one event loop.

    Args:
        store: Open it before, close it after.
        clock: The time.
        sweep_us: How long a warm run waits before the store is told.
        retention: How long what is over is kept.
    """

    def __init__(
        self, store: Store, clock: Clock, sweep_us: int = SWEEP_US, retention: Retention = FOREVER
    ) -> None:
        self._store = store
        self._clock = clock
        self._sweep_us = sweep_us
        self._keeper = Keeper(store, retention, clock)
        self._state = State()
        self._timers = Timers()
        self._dispatcher = Dispatcher(store, self._timers)
        self._inbox: deque[tuple[Port, Any]] = deque()
        self._internal: deque[Command | FromWorker] = deque()
        self._hellos: dict[WorkerId, Hello] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_signalled = False
        self._wakeup: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0
        self._is_turning = False
        self._is_stopping = False
        self._is_over = False
        self.failure: StoreError | InternalError | None = None

    # From any thread

    def post(self, port: Port, messages: "list[Any]") -> None:
        """Take messages and requests of a session; returns at once.

        Raises:
            RuntimeError: The lane serves no more.
        """
        self._inbox.extend([(port, message) for message in messages])
        if self._is_over:
            # Looked at after they were put there: what `refuse` no longer saw is refused here.
            raise RuntimeError("the lane serves no more")
        if not self._is_signalled:
            self._is_signalled = True
            assert self._loop is not None, "a lane is started before it is used"
            self._loop.call_soon_threadsafe(self._wake)

    @property
    def backlog(self) -> int:
        """How many messages wait to be taken."""
        return len(self._inbox)

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    # On the loop

    async def start(self, is_crash: bool) -> None:
        """Take up what the store holds.

        Args:
            is_crash: Its last owner died.
        """
        self._loop = asyncio.get_running_loop()
        await self._take_up(is_crash)

    async def _take_up(self, is_crash: bool) -> None:
        first = await self._store.running(None, PAGE)
        is_suspect = is_crash and len(first) == 1
        self._internal.append(Recover(tuple(first), is_suspect, tuple(await self._store.queued_components())))
        page = first
        while len(page) == PAGE:
            page = await self._store.running(page[-1].id, PAGE)
            self._internal.append(Recover(tuple(page)))

    async def run(self) -> None:
        """Serve until `stop`."""
        while not self._is_stopping:
            if not self._inbox and not self._internal:
                await self._wait()
            self._is_signalled = False
            await self._turn_or_fail()
        for _ in range(LAST_TURNS_MAX):
            # What workers have reported by now need not be done again by the next runtime.
            if not self._inbox or self.failure is not None:
                break
            await self._turn_or_fail()

    def stop(self) -> None:
        """Finish the turn that is under way, and serve no more."""
        self._is_stopping = True
        self._wake()

    async def _wait(self) -> None:
        assert self._loop is not None, "a lane is started before it runs"
        if self.failure is None:
            self._set_alarm()
        if self._inbox or self._is_stopping:
            return
        self._wakeup = self._loop.create_future()
        await self._wakeup
        self._wakeup = None

    def _set_alarm(self) -> None:
        """Be woken when a timer is due, or when somebody has waited long enough to be written down."""
        at = self._next_look
        if self._alarm is not None:
            if self._alarm_at == at:
                return
            self._alarm.cancel()
        assert self._loop is not None, "a lane is started before it runs"
        self._alarm_at = at
        self._alarm = self._loop.call_later(max(at - self._clock.now_us(), 0) / 1_000_000, self._ring)

    @property
    def _next_look(self) -> int:
        at = min(self._timers.next_at, self._keeper.next_at)
        if self._state.parked:
            at = min(at, next(iter(self._state.parked.values())) + self._sweep_us)
        return at

    def _ring(self) -> None:
        self._alarm = None
        self._wake()

    def clock_was_set(self) -> None:
        """The time has jumped: what was to be looked at after so and so long is looked at now."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._dispatcher.tell_everybody(LookAgain())
        self._dispatcher.flush()
        self._wake()

    def active(self, run_id: RunId) -> Run | None:
        """The run, if it is at work, about to be, or warm in a worker."""
        return self._state.runs.get(run_id)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, nothing has come in and nothing is due."""
        is_at_work = self._is_turning or bool(self._inbox) or bool(self._internal)
        return not is_at_work and self._next_look > self._clock.now_us()

    # A turn

    async def _turn_or_fail(self) -> None:
        self._is_turning = True
        try:
            await self._turn()
            if self.failure is None and not self._is_stopping:
                # Its own commit, and a short one: nobody's answer waits for what is being removed.
                await self._keeper.work()
        except StoreError as error:
            # What is committed can't be read back: nothing more can be decided.
            self._fail(error)
        except Exception as error:  # A broken rule of ours, after a commit: memory and store may differ.
            LOGGER.exception("the runtime stops, since it can't carry out what it has committed")
            self._fail(_internal(error))
        finally:
            self._is_turning = False

    async def _turn(self) -> None:
        # Only what has come by then: nothing is stamped with a time before it was asked.
        taken = min(len(self._inbox), TURN_MAX)
        turn = Turn(self._clock.now_us())
        queries: list[Query] = []
        tokens: list[Token] = []
        await self._load_timers(turn.now)
        self._internal.extend(Due(run_id) for run_id in self._timers.pop_due(turn.now, DUE_MAX))
        if self._state.parked and next(iter(self._state.parked.values())) + self._sweep_us <= turn.now:
            self._internal.append(Sweep(turn.now - self._sweep_us))
        try:
            while self._internal:
                await self._advance(turn, self._internal.popleft())
            for _ in range(taken):
                port, message = self._inbox.popleft()
                await self._take(turn, port, message, queries, tokens)
            settle(self._state, turn)
            if not turn.is_empty:
                await self._store.commit(batch_of(turn))
        except StoreError as error:
            await self._not_written(error, tokens, queries)
            return
        except Exception as error:  # A broken invariant of ours: no caller may be left waiting for ever.
            LOGGER.exception("a batch failed, and is thrown away")
            await self._not_written(_internal(error), tokens, queries)
            return
        forget(self._state, turn)
        await self._after_commit(turn, queries)

    async def _take(self, turn: Turn, port: Port, message: Any, queries: list[Query], tokens: list[Token]) -> None:
        kind = type(message)
        if kind in _FROM_WORKERS:
            if kind is not Report:
                self._note_session(port, message)
            await self._advance(turn, message)
            return
        self._dispatcher.count_taken(port)
        if kind is SubmitAndWatch:
            submit = message.submit
            self._dispatcher.expect(submit.token, port, wants_outcome=True)
            tokens.append(submit.token)
            await self._advance(turn, submit)
        elif kind in _QUERIES:
            if kind is not Unwatch:
                self._dispatcher.expect(message.token, port)
            queries.append(message)
        else:
            self._dispatcher.expect(message.token, port)
            tokens.append(message.token)
            await self._carry_out(turn, message)

    def _note_session(self, port: Port, message: Hello | Register | Goodbye) -> None:
        if isinstance(message, Hello):
            self._hellos[message.worker] = message
            self._dispatcher.ports[message.worker] = port
        elif isinstance(message, Goodbye):
            self._hellos.pop(message.worker, None)
            self._dispatcher.forget_port(message.worker)
        elif message.worker in self._hellos:
            known = self._hellos[message.worker]
            self._hellos[message.worker] = Hello(known.worker, (*known.components, *message.components), known.capacity)

    async def _carry_out(self, turn: Turn, command: ClientCommand) -> None:
        """Take what a caller asks; that its run is damaged is his answer, and nobody else's."""
        try:
            await self._advance(turn, command, load)
        except StoreCorrupt as error:
            # Callers' commands look at their run before they change anything.
            if command.token is not None:
                self._dispatcher.fail(command.token, error)

    async def _advance(self, turn: Turn, command: Command | FromWorker, load: Load = load_readable) -> None:
        steps = advance(self._state, turn, command)
        if steps is not None:
            await self._feed(steps, load)
        while turn.told:
            steps = advance(self._state, turn, turn.told.popleft())
            if steps is not None:
                await self._feed(steps, load_readable)

    async def _feed(self, steps: Steps, load: Load) -> None:
        """Give a command what it needs from the store."""
        try:
            need = next(steps)
            while True:
                need = steps.send(await load(self._store, need))
        except StopIteration:
            return

    async def _load_timers(self, now: int) -> None:
        while self._timers.wants_more(now):
            until = now + WINDOW_US
            self._timers.load(await self._store.due(until, LOADED_MAX), until)

    async def _after_commit(self, turn: Turn, queries: list[Query]) -> None:
        dispatcher = self._dispatcher
        await dispatcher.carry_out(self._state, turn)
        for query in queries:
            await answer_query(query, self._state, self._store, dispatcher, turn.now)
        dispatcher.flush()
        if dispatcher.lost:
            lost, dispatcher.lost = dispatcher.lost, []
            self._internal.extend(Goodbye(worker) for worker in lost)
            for worker in lost:
                self._hellos.pop(worker, None)
                dispatcher.forget_port(worker)
        if dispatcher.unreadable:
            self._internal.extend(dispatcher.unreadable)
            dispatcher.unreadable = []
        if self._state.overflowing:
            await self._refill()

    async def _refill(self) -> None:
        for component in starving(self._state):
            limit = READY_MAX // 2
            found = await self._store.queued(component, limit)
            self._internal.append(Refill(component, tuple(found), is_last=len(found) < limit))

    # When a commit fails

    async def _not_written(
        self, error: StoreError | InternalError, tokens: list[Token], queries: list[Query]
    ) -> None:
        """A batch was not committed: throw away what was ahead of the store, or stop."""
        if isinstance(error, StoreError) and not error.is_aborted:
            self._fail(error)
            return
        LOGGER.error("a batch was not written: %s", error.what)
        self._dispatcher.fail_commands(tokens, error)
        self._state = State()
        self._timers = Timers()
        self._dispatcher.restart(self._timers)
        self._internal.clear()
        self._dispatcher.tell_everybody(Reset())
        self._dispatcher.flush()
        self._internal.extend(self._hellos.values())
        await self._take_up(is_crash=False)
        # Whoever asked in the same breath wants to know what is there, and that can be read.
        for query in queries:
            await answer_query(query, self._state, self._store, self._dispatcher, self._clock.now_us())
        self._dispatcher.flush()
        if isinstance(error, StoreError):
            await asyncio.sleep(RETRY_SECONDS)

    def _fail(self, error: StoreError | InternalError) -> None:
        """Nobody knows what was written: release nothing more, and let everybody know."""
        LOGGER.critical("the runtime stops, and its calls have no known outcome: %s", error.what)
        self.failure = error
        unknown = OutcomeUnknown(
            f"whether it took place is unknown: {error.what}",
            why="the runtime failed while it was under way",
            fix="start again, and ask under the same idempotency key",
        )
        self._dispatcher.fail_all(unknown)
        self._dispatcher.tell_everybody(Reset())
        self._dispatcher.flush()
        self._is_stopping = True

    def refuse(self) -> None:
        """Answer whoever still asks, after the end, that nobody serves any more."""
        self._is_over = True
        while self._inbox:
            port, message = self._inbox.popleft()
            token = getattr(message.submit if isinstance(message, SubmitAndWatch) else message, "token", None)
            if token is not None:
                self._dispatcher.expect(token, port)
                self._dispatcher.fail(token, self.failure or has_stopped())
        self._dispatcher.fail_all(self.failure or has_stopped())
        self._dispatcher.flush()


def _internal(error: Exception) -> InternalError:
    broken = InternalError(
        f"{type(error).__name__}: {error}",
        why="a rule of agnt5 itself was broken; nothing of this batch was written",
        fix="report it, with the traceback in the log of `agnt5.runtime`",
    )
    broken.__cause__ = error
    return broken


def has_stopped() -> Unavailable:
    """What callers are told when nobody serves any more."""
    return Unavailable(
        "the runtime has stopped",
        why="its `async with Runtime(...)` block is over, or the process is ending",
        fix="call it while it runs; what was acknowledged goes on when it is started again",
    )
