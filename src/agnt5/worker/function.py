"""A run whose body is an ordinary function: it may do input and output, and runs on the worker's loop.

After a crash it runs again from the top; operations of its context that are recorded are not done
again. It can't be forgotten while it waits, since only replay could bring it back to where it is.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any
from uuid import UUID

from msgspec import Raw

from agnt5.core.journal.entry import Begun, CancelRequested, Entry, Kind, Outcome, Patched, Signal
from agnt5.core.model.ids import OperationKey, seed_of
from agnt5.core.model.retry import MICROSECONDS
from agnt5.core.model.run import Wait
from agnt5.core.protocol.messages import Dispatch, Heartbeat, Park
from agnt5.core.replay.determinism import has_compensated
from agnt5.core.replay.history import History, apply_state
from agnt5.core.replay.operations import Request
from agnt5.core.replay.recall import Recall
from agnt5.sdk import serde
from agnt5.sdk.component import Component
from agnt5.sdk.context import FunctionContext, WorkflowContext
from agnt5.worker.attempt import Attempt
from agnt5.worker.interruption import Interruption
from agnt5.worker.keyed import Keyed
from agnt5.worker.run import Bench, RunHost
from agnt5.worker.step import BEAT_SECONDS, Step

_BODY = OperationKey("body")  # The run's own heartbeat is kept under it, as those of its steps under theirs.
_WAITS = frozenset({Kind.CALL, Kind.RESULT, Kind.EVENT, Kind.SLEEP})


class FunctionRun(RunHost):
    """Carries on one run of a function, and is what its context stands on."""

    is_deterministic = False
    scope = ""

    def __init__(self, bench: Bench, dispatch: Dispatch, component: Component[Any, Any]) -> None:
        history = History(dispatch.entries)
        super().__init__(bench, dispatch, component, history)
        self.idempotency_key: str = dispatch.run_id
        self._next_index = history.next_index
        self._attempt_index = history.next_index - len(history.present)  # Of the first entry of this attempt.
        self._seed = seed_of(history.started.seed or dispatch.run_id) + history.generation
        self._random: Random | None = None
        self._uuids: Random | None = None
        self._steps_max: int | None = getattr(component, "max_concurrent_steps", None)
        self._queued_steps: deque[Request] = deque()
        self._own = Keyed(self, "", history.generation, Recall.of_run(history))
        self._body: Attempt | None = None
        self._unread: dict[str, deque[tuple[int, Raw]]] = {}
        self._taken: dict[str, int] = {}
        self._signal_waits: list[tuple[str, str, asyncio.Future[tuple[int, Raw]]]] = []
        self._cancelled_at: int | None = None  # Index of the cancel in the journal.
        self._beat: bytes | None = None
        self._is_beating = False
        attempt, details = self.heartbeats.get(_BODY, (-1, Raw(b"null")))
        self.last_heartbeat: Any = serde.decode(details) if attempt in (self.attempt, self.attempt - 1) else None
        for signal in history.signals:
            # They came before this attempt, and so before whatever it has recorded.
            self._unread.setdefault(signal.name, deque()).append((-1, signal.payload))
        for entry in history.present:
            self._note(entry)

    # Life

    def begin_life(self) -> None:
        component = self.component
        is_flow = component.kind == "workflow"
        context = WorkflowContext(self) if is_flow else FunctionContext(self)
        self._body = Attempt(self.loop, self.threads, f"{component.kind} {component.name!r}", self._body_done)
        text = self.history.started.input
        self._body.start(component.fn, component.schema, text, context, self.timeout, component.heartbeat_timeout)
        if self._cancelled_at is not None:
            before = self._own.recall.outcomes_before(self._cancelled_at)
            self._own.interruption = Interruption(self._cancelled_at, before, self._body, self.loop)

    def _body_done(self, result: Any, error: BaseException | None) -> None:
        self._say_beat()
        self.conclude(result, error)

    def take(self, entries: list[Entry]) -> None:
        self.is_parked = False
        for entry in entries:
            if entry.index < self._next_index:
                continue
            self._next_index = entry.index + 1
            if self.route(entry):
                self._apply_state(entry)
                continue
            self._note(entry)
            body = entry.body
            self._apply_state(entry)
            if isinstance(body, Begun) and body.kind is Kind.STEP:
                self._own.take(entry)
                self._step_is_on_record(body)
            elif isinstance(body, Begun | Outcome):
                self._own.take(entry)
            elif isinstance(body, CancelRequested) and self._body is not None:
                self._body.cancel()
        self.consider()

    def _apply_state(self, entry: Entry) -> None:
        if isinstance(entry.body, Outcome) and entry.body.kind is Kind.STATE:
            apply_state(self.state, entry.body)

    def found_on_record(self, outcome: Outcome) -> None:
        # The state is what it was when the attempt began: it changes again as the body gets on.
        if outcome.kind is Kind.STATE:
            apply_state(self.state, outcome)
        elif outcome.kind is Kind.STEP:
            for entry in self._scoped.get(outcome.key, ()):
                if entry.index >= self._attempt_index:
                    self._apply_state(entry)

    def _note(self, entry: Entry) -> None:
        body = entry.body
        if isinstance(body, Signal):
            self._give_signal(body.name, (entry.index, body.payload))
        elif isinstance(body, CancelRequested):
            self._cancelled_at = entry.index

    def _give_signal(self, name: str, signal: tuple[int, Raw]) -> None:
        self._signal_waits = [wait for wait in self._signal_waits if not wait[2].done()]
        for wait in self._signal_waits:
            if wait[0] == name:
                self._signal_waits.remove(wait)
                wait[2].set_result(signal)
                return
        self._unread.setdefault(name, deque()).append(signal)

    def _step_is_on_record(self, body: Begun) -> None:
        for request in self._own.waiting_for:
            if request.key == body.key:
                self.start_step(request, "")

    def _begin_step(self, request: Request, scope: str) -> None:
        # Steps within steps are not counted: the one that waits for them holds its place meanwhile.
        if not scope and self._steps_max is not None and len(self.steps) >= self._steps_max:
            self._queued_steps.append(request)
        else:
            super()._begin_step(request, scope)

    # Waiting

    def consider(self) -> None:
        if self.is_over or self._ending is not None:
            return
        while self._queued_steps and self._steps_max is not None and len(self.steps) < self._steps_max:
            request = self._queued_steps.popleft()
            if request.is_awaited:
                super()._begin_step(request, "")
        now = self.clock_us()
        for step in list(self.steps.values()):
            if 0 < step.retry_at <= now:
                step.execute()
            elif step.retry_at:
                self.loop.call_later((step.retry_at - now) / MICROSECONDS, self._wake_step, step)
        waits = [request for request in self._own.waiting_for if request.kind in _WAITS]
        if not self.steps and (waits or self._signal_waits) and not self.is_parked:
            # Whatever else the body does, it isn't work of ours; without this, callers that wait
            # for what they called could use up all the room there is.
            on = [Wait(request.kind.value, request.target or request.name, request.site) for request in waits]
            on += [Wait("signal", name, site) for name, site, _ in self._signal_waits]
            self.is_parked = True
            self.ask(Park((), tuple(on), is_open=True))

    def _wake_step(self, step: Step) -> None:
        if self.is_over or not step.retry_at or step.request.key not in self.steps:
            return
        left = step.retry_at - self.clock_us()
        if left <= 0:
            step.execute()
        else:
            # The loop's clock and the wall's drift apart, and the wall's may be set back.
            self.loop.call_later(left / MICROSECONDS, self._wake_step, step)

    def look_again(self) -> None:
        super().look_again()
        self._own.look_again()
        self.consider()

    def note_waiting(self) -> None:
        # Not at once: the body may be asking for more.
        self.loop.call_soon(self.consider)

    # What a run is asked by others

    @property
    def seen(self) -> int:
        return self._next_index - 1

    @property
    def consumed(self) -> dict[str, int]:
        spent = dict(self.history.spent)
        for name, number in self._taken.items():
            spent[name] = spent.get(name, 0) + number
        return spent

    @property
    def is_cancel_requested(self) -> bool:
        return self._cancelled_at is not None

    def open_calls(self) -> list[Request]:
        return [request for request in self._own.waiting_for if request.kind is Kind.CALL]

    def has_compensated(self, error: BaseException) -> bool:
        return has_compensated(error, self._own.handled)

    def close_body(self) -> None:
        if self._body is not None:
            self._body.forget()
        self._own.close()

    # What its context stands on

    @property
    def is_replaying(self) -> bool:
        return False

    def now_us(self) -> int:
        return self.clock_us()

    @property
    def random(self) -> Random:
        if self._random is None:
            self._random = Random(self._seed)  # noqa: S311  That it can be repeated is the point.
        return self._random

    def uuid4(self) -> UUID:
        if self._uuids is None:
            self._uuids = Random(self._seed + 1)  # noqa: S311  A stream of its own.
        return UUID(int=self._uuids.getrandbits(128), version=4)

    def begin(self, request: Request) -> Awaitable[Any]:
        future = self._own.begin(request)
        self.note_waiting()
        return future

    def next_hash(self) -> int:
        return self._own.next_hash()

    def sleep(self, seconds: float, site: str) -> Awaitable[None]:
        return self._own.sleep(seconds, site)

    def wait_event(self, request: Request, timeout: float | None) -> Awaitable[Any]:
        return self._own.wait_event(request, timeout)

    async def wait_signal(self, name: str, read: Callable[[Raw], Any], timeout: float | None, site: str) -> Any:
        future: asyncio.Future[tuple[int, Raw]] = self.loop.create_future()
        interruption = self._own.interruption
        if interruption is not None and not interruption.is_over and not self._has_come(name, interruption.index):
            await self._own.held()
        if self._unread.get(name):
            future.set_result(self._unread[name].popleft())
        else:
            self._signal_waits.append((name, site, future))
            self.note_waiting()
        try:
            said = f"signal {name!r} didn't come"
            _, payload = await self._own.first(future, timeout, said, site, lambda: future.result()[0])
        except BaseException:
            if future.done() and not future.cancelled():
                # It came, but after the time was over: the next who asks gets it.
                self._unread.setdefault(name, deque()).appendleft(future.result())
            raise
        self._taken[name] = self._taken.get(name, 0) + 1
        return read(payload)

    def _has_come(self, name: str, index: int) -> bool:
        """Whether a signal of this name is unread that came before that entry."""
        unread = self._unread.get(name)
        return unread is not None and len(unread) > 0 and unread[0][0] < index

    def patched(self, change_id: str) -> bool:
        if change_id in self.history.patches:
            return True
        if self.history.present:
            return False
        self.history.patches.add(change_id)
        self.ask(Patched(change_id))
        return True

    def heartbeat(self, details: bytes) -> None:
        if self._body is not None:
            self._body.beat()
        self._beat = details
        if not self._is_beating:
            self._is_beating = True
            self.loop.call_soon_threadsafe(self._commit_beat)

    def _commit_beat(self) -> None:
        self._is_beating = self._beat is not None and not self.is_over
        if self._is_beating:
            self._say_beat()
            self.loop.call_later(BEAT_SECONDS, self._commit_beat)

    def _say_beat(self) -> None:
        if self._beat is not None:
            self.ask(Heartbeat(_BODY, self.attempt, Raw(self._beat)))
            self._beat = None
