"""What must hold of every commit, every turn and every message, whatever the faults were.

`written` looks at each batch as it gets into the store, `decided` at the engine's memory after each
turn, `sent` at each message before it leaves the runtime. The numbers are those of the invariants
that the simulator promises to watch; they are named in `__main__`.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from agnt5.core.engine import run as run_module
from agnt5.core.engine.commands import Cancel, ForkRun, Resume, RetryRun, SendEvent, SendSignal, Submit
from agnt5.core.engine.effects import Blocked
from agnt5.core.engine.invariants import check, check_turn
from agnt5.core.engine.state import State, Turn
from agnt5.core.journal.entry import (
    AttemptBegan,
    AttemptEnded,
    Begun,
    CancelRequested,
    Ended,
    Entry,
    Fired,
    Kind,
    Outcome,
    Resumed,
    Retrying,
    Signal,
    Started,
)
from agnt5.core.model.errors import OutcomeUnknown
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import WAKE, Run, Status
from agnt5.core.protocol.messages import Deliver, Dispatch, Refuse
from agnt5.runtime.requests import Answer, Failed, SubmitAndWatch
from agnt5.store.memory import MemoryStore
from agnt5.store.port import Batch
from agnt5.store.records import row_of

from .effects import SUCCEEDED, Ledger
from .process import SimClock

T = TypeVar("T")
# Why a run may wait for a human: it may not run twice, or is suspected of killing its process.
PARDONED = ("lost its worker while it ran, and may not run again", "was alone when its process died")


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits, as those of the memory store are."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("the memory store waits for nothing")


class Past(msgspec.Struct):
    """What one run's journal has said so far."""

    next_index: int = -1
    stamp: int = 0
    life: int = 0
    is_over: bool = False
    epoch: int = 0  # Of the last dispatch.
    fired: set[int] = set()
    finished: set[int] = set()
    due: dict[str, int] = {}
    retry_ats: set[int] = set()
    attempt_due: int = 0
    signals: list[bytes] = []
    greetings: int = 0  # Signals that the run's parent sends, once.
    outcome: Any = None  # What the first who asked was told.


class Oracle:
    """Watches a store and a runtime.

    Args:
        violate: Takes the name of an invariant, and what is wrong.
    """

    def __init__(
        self, rows: MemoryStore, clock: SimClock, ledger: Ledger, violate: Callable[[str, str], None]
    ) -> None:
        self.rows = rows
        self.pasts: dict[RunId, Past] = {}
        self.requests: dict[int, Any] = {}
        self._created: set[RunId] = set()  # By the batch that is written.
        self._has_copies = False  # Of runs, by retry or fork: these may send what their source has sent.
        self._clock = clock
        self._ledger = ledger
        self._violate = violate

    def run(self, run_id: str) -> Run | None:
        """As the store has it."""
        return at_once(self.rows.run(RunId(run_id)))

    def past(self, run_id: RunId) -> Past:
        """What is known of a journal."""
        past = self.pasts.get(run_id)
        if past is None:
            past = self.pasts[run_id] = Past()
        return past

    # The store

    def committing(self, batch: Batch) -> None:
        """A commit begins: what is terminal stays as it is, and no fencing number goes back."""
        for run in batch.changed:
            stored = self.run(run.id)
            if stored is None:
                self._violate("I3", f"run {run.id} is changed and was never created")
                continue
            if stored.status.is_terminal and row_of(run) != row_of(stored):
                self._violate("I9", f"run {run.id} is {stored.status.value}, and changes")
            before = (stored.epoch, stored.life, stored.generation)
            after = (run.epoch, run.life, run.generation)
            if any(new < old for new, old in zip(after, before, strict=True)):
                self._violate("I6", f"epoch, life, generation of {run.id} go back from {before} to {after}")

    def written(self, batch: Batch) -> None:
        """A batch is in the store."""
        created = self._created = {run.id for run in batch.created}
        for run in batch.created:
            self._has_copies |= run.origin is not None
            if run.component == "sim_checkpointed":
                self._ledger.relaxed.add(run.id)
        for run_id, entry in batch.entries:
            self._entry(run_id, entry, is_copy=run_id in created)
        for run in (*batch.created, *batch.changed):
            self._record(run)

    def _entry(self, run_id: RunId, entry: Entry, *, is_copy: bool) -> None:
        past, body = self.past(run_id), entry.body
        if past.next_index >= 0 and entry.index != past.next_index:
            self._violate("I3", f"entry {entry.index} of {run_id} follows entry {past.next_index - 1}")
        if past.is_over:
            self._violate("I9", f"entry {entry.index} of {run_id} follows its end")
        if entry.at < past.stamp:
            self._violate("I3", f"entry {entry.index} of {run_id} goes back in time")
        if entry.at > self._clock.latest:
            self._violate("I11", f"entry {entry.index} of {run_id}, a {type(body).__name__}, is stamped ahead of time")
        past.next_index, past.stamp = entry.index + 1, entry.at
        if isinstance(body, Outcome):
            self._outcome(run_id, past, entry, body, is_copy=is_copy)
        elif isinstance(body, Fired):
            if body.due > self._clock.latest_at(entry.at):
                self._violate("I11", f"timer {body.n} of {run_id} fires {body.due - entry.at} us early")
            if body.n in past.fired:
                self._violate("I11", f"timer {body.n} of {run_id} fires twice in one life")
            past.fired.add(body.n)
        elif isinstance(body, Begun):
            past.due[body.key] = body.due
            if body.op >= 0 and not body.scope and body.kind is not Kind.STEP and body.op in past.finished:
                self._violate("I4", f"operation {body.op} of {run_id} begins after its outcome")
        else:
            self._rare(run_id, past, entry, is_copy=is_copy)

    def _rare(self, run_id: RunId, past: Past, entry: Entry, *, is_copy: bool) -> None:
        body = entry.body
        if isinstance(body, Started | AttemptBegan):
            if isinstance(body, AttemptBegan) and entry.at < past.attempt_due and not is_copy:
                early = past.attempt_due - entry.at
                self._violate("I11", f"attempt {body.attempt} of {run_id} begins {early} us early")
            past.life += 1
            past.fired.clear()
            past.finished.clear()
        elif isinstance(body, Retrying):
            past.retry_ats.add(body.retry_at)
        elif isinstance(body, AttemptEnded):
            past.attempt_due = body.retry_at
        elif isinstance(body, Signal):
            past.signals.append(bytes(body.payload))
            past.greetings += body.name == "hello"
            if past.greetings > 1 and not self._has_copies:
                self._violate("I18", f"{run_id} is signalled twice by a body that does it once")
        elif isinstance(body, Resumed):
            self._ledger.resumed[run_id] = self._ledger.resumed.get(run_id, 0) + 1
        elif isinstance(body, CancelRequested):
            self._children_cancelled(run_id)
        elif isinstance(body, Ended):
            past.is_over = True

    def _outcome(self, run_id: RunId, past: Past, entry: Entry, body: Outcome, *, is_copy: bool) -> None:
        if body.op >= 0 and not body.scope:
            if body.op in past.finished:
                self._violate("I4", f"operation {body.op} of {run_id} has two outcomes, lastly at entry {entry.index}")
            past.finished.add(body.op)
        if body.kind is Kind.SLEEP and past.due.get(body.key, 0) > self._clock.latest_at(entry.at):
            self._violate("I11", f"a sleep of {run_id} ends {past.due[body.key] - entry.at} us early")
        if body.kind is Kind.EVENT and body.is_success:
            event = at_once(self.rows.event(body.name))
            if event is None or bytes(event.payload) != bytes(body.result):
                self._violate("I12", f"{run_id} gets {bytes(body.result)!r} from event {body.name}, which has {event}")
        if body.kind is Kind.STEP and body.is_success:
            place = (run_id, body.key)
            if place in self._ledger.completed:
                self._violate("I4", f"step {place} is completed twice")
            self._ledger.completed.add(place)
            self._result(body, place, is_copy=is_copy)

    def _result(self, body: Outcome, place: tuple[str, str], *, is_copy: bool) -> None:
        """What is recorded as a step's result was returned by an execution of that step."""
        value = msgspec.json.decode(body.result)
        nonce = value[1] if isinstance(value, list) and len(value) == 2 else None
        if not isinstance(nonce, str) or not nonce.startswith("n-"):
            return
        execution = self._ledger.by_nonce.get(nonce)
        if execution is None or execution.state != SUCCEEDED or (execution.place != place and not is_copy):
            self._violate("I4", f"{place} is recorded to have returned {nonce}, which is {execution}")
        self._ledger.recorded.add(nonce)

    def _children_cancelled(self, run_id: RunId) -> None:
        for child in at_once(self.rows.live_children(run_id)):
            run = self.run(child)
            # A child may have been on its way to the runtime when the cancel came; the body gives that one up.
            if run is not None and not run.is_cancel_requested and child not in self._created:
                self._violate("I20", f"run {run_id} is cancelled, and its child {child} is not")

    def _record(self, run: Run) -> None:
        past = self.past(run.id)
        if run.waiting.retry and run.wake_at != max(past.attempt_due, 1):
            self._violate("I23", f"the next attempt of {run.id} was due at {past.attempt_due}, and is at {run.wake_at}")
        for timer in run.waiting.timers:
            if timer.n == WAKE and timer.due not in past.retry_ats:
                self._violate("I23", f"a step of {run.id} is to be tried at {timer.due}, and that is recorded nowhere")
        if run.status is Status.SUSPENDED and run.is_stored_suspended and not (run.wake_at or run.waiting.on):
            # Whoever waits for nothing that could come is the program's own doing; ours don't.
            self._violate("I10", f"run {run.id} is suspended, and nothing would wake it")

    # The engine's memory

    def decided(self, state: State, turn: Turn) -> None:
        """A turn is committed."""
        try:
            check(state)
            check_turn(turn)
        except AssertionError as error:
            # Those that began to wait before the clock was put back seem to be younger than they are.
            if not (self._clock.was_put_back and "oldest first" in str(error)):
                self._violate("I10", str(error))
        for run in turn.touched.values():
            self._compare(run)
        for effect in turn.effects:
            if isinstance(effect, Blocked) and not any(reason in effect.error.message for reason in PARDONED):
                self._violate("I26", f"run {effect.run_id} is blocked: {effect.error.type}: {effect.error.message}")
        for component, queue in state.ready.items():
            if len(queue) > run_module.READY_MAX:
                self._violate("I22", f"{len(queue)} runs of {component} are queued in memory")

    def _compare(self, run: Run) -> None:
        """Memory has of a run what a restart would find."""
        stored = self.run(run.id)
        if stored is not None and stored.status is Status.RUNNING and run.status is Status.QUEUED:
            # Taken up after a restart, and not given away yet: another one would take it up again.
            stored.status = Status.QUEUED
        if stored is None or row_of(stored) != row_of(run) or stored.next_index != run.next_index:
            self._violate("I17", f"memory has {run}, and the store {stored}")

    # What goes in and out

    def posted(self, port: Any, messages: list[Any]) -> None:
        """Messages of a session came in."""
        for message in messages:
            asked = message.submit if isinstance(message, SubmitAndWatch) else message
            token = getattr(asked, "token", None)
            if token is not None:
                self.requests[token] = message

    def sent(self, messages: list[Any]) -> None:
        """Messages are on their way to a session."""
        given: dict[RunId, int] = {}
        for message in messages:
            if isinstance(message, Dispatch):
                self._dispatched(message)
                given[message.run_id] = message.entries[-1].index
            elif isinstance(message, Deliver) and message.entries:
                last = message.entries[-1].index
                if last >= self.past(message.run_id).next_index:
                    self._violate("I1", f"entries of {message.run_id} are delivered before they are committed")
                if message.run_id in given:
                    given[message.run_id] = last
            elif isinstance(message, Refuse):
                if message.epoch == self.past(message.run_id).epoch:
                    # The body was ahead of its journal (`checkpoint_interval`), and is run again.
                    self._ledger.lose(message.run_id)
            elif isinstance(message, Answer):
                self._answered(self.requests.pop(message.token, None), message.value)
            elif isinstance(message, Failed):
                self._failed(self.requests.pop(message.token, None), message.error)
        for run_id, last in given.items():
            if last != self.past(run_id).next_index - 1:
                self._violate("I17", f"run {run_id} is given away without the end of its journal")

    def _dispatched(self, message: Dispatch) -> None:
        past, stored = self.past(message.run_id), self.run(message.run_id)
        if message.epoch <= past.epoch:
            self._violate("I6", f"run {message.run_id} is claimed under epoch {message.epoch} after {past.epoch}")
        past.epoch = message.epoch
        if stored is None or stored.epoch != message.epoch:
            self._violate("I1", f"run {message.run_id} is given away before its claim is committed")

    def _answered(self, request: Any, value: Any) -> None:
        asked = request.submit if isinstance(request, SubmitAndWatch) else request
        if asked is not None and self.took_place(asked) is False:
            self._violate("I1", f"{type(asked).__name__} is acknowledged and not in the store")
        if hasattr(value, "run_id") and hasattr(value, "status"):
            past = self.past(value.run_id)
            if value.status.is_terminal:
                told = (value.status, bytes(value.result))
                if not past.is_over or (past.outcome is not None and past.outcome != told):
                    self._violate("I9", f"{value.run_id} was told to be {past.outcome}, and now {told}")
                past.outcome = told

    def _failed(self, request: Any, error: Exception) -> None:
        if isinstance(error, OutcomeUnknown) or request is None or isinstance(request, SubmitAndWatch):
            return
        if isinstance(request, Submit | SendEvent | SendSignal | RetryRun | ForkRun) and self._is_of_it(request):
            self._violate("I25", f"{type(request).__name__} is in the store, and its caller is told {error!r}")

    def took_place(self, asked: Any) -> bool | None:
        """Whether what a command asks for is in the store; None where that can't be said."""
        if isinstance(asked, Submit):
            use = at_once(self.rows.key_use(asked.component, asked.idempotency_key)) if asked.idempotency_key else None
            return self.run(asked.run_id) is not None or use is not None
        if isinstance(asked, SendEvent):
            return at_once(self.rows.event(asked.event_id)) is not None
        if isinstance(asked, SendSignal):
            return bytes(asked.payload) in self.past(asked.run_id).signals
        if isinstance(asked, Cancel):
            run = self.run(asked.run_id)
            return run is not None and (run.is_cancel_requested or run.status.is_terminal or run.generation > 1)
        if isinstance(asked, RetryRun | ForkRun):
            return self.run(asked.new_id) is not None
        if isinstance(asked, Resume):
            return asked.run_id in self._ledger.resumed
        return None

    def _is_of_it(self, asked: Any) -> bool:
        """Whether the store holds what this very command, and no other like it, would have written."""
        if isinstance(asked, Submit):
            return self.run(asked.run_id) is not None
        if isinstance(asked, SendEvent):
            event = at_once(self.rows.event(asked.event_id))
            # Only of these events is there but one sender of each payload.
            is_spare = asked.event_id.startswith("spare/")
            return is_spare and event is not None and bytes(event.payload) == bytes(asked.payload)
        return bool(self.took_place(asked))
