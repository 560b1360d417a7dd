"""Drives the engine over a memory store, a batch at a time, and checks its invariants after each."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from msgspec import Raw

from agnt5.core.engine.commands import (
    Cancel,
    Command,
    Due,
    ForkRun,
    Recover,
    Refill,
    Resume,
    RetryRun,
    SendEvent,
    SendSignal,
    Submit,
    Token,
)
from agnt5.core.engine.effects import Arm, Blocked, Claimed, Effect, Ended, Reject, Reply, Tell
from agnt5.core.engine.engine import advance, forget, settle
from agnt5.core.engine.invariants import check, check_journal, check_turn
from agnt5.core.engine.queue import starving
from agnt5.core.engine.state import State, Steps, Turn
from agnt5.core.journal.entry import Body, Entry
from agnt5.core.model.ids import RunId, WorkerId
from agnt5.core.model.run import Run, Status
from agnt5.core.protocol.messages import Ask, ComponentInfo, FromWorker, Goodbye, Hello, Report, ToWorker
from agnt5.runtime.commit import batch_of
from agnt5.runtime.loading import load
from agnt5.store.memory import MemoryStore

T = TypeVar("T")
START = 1_700_000_000_000_000  # Microseconds since the epoch; any time will do.
SECOND = 1_000_000
ONE = Raw(b"1")


def now_or_never(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits, as those of the memory store are."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("the memory store waits for nothing")


class Driver:
    """The engine, its store and its clock.

    Attributes:
        now: The time; a test turns it.
        answers: What each command with a token was answered: a value, or an error.
        inbox: What each worker was sent.
        held: Who has each run by the last claim, with its epoch.
        ends: The outcome of each run that ended; never a second one.
        blocked: Runs that were said to be blocked.
    """

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.state = State()
        self.now = START
        self.answers: dict[Token, Any] = {}
        self.inbox: dict[WorkerId, list[ToWorker]] = {}
        self.held: dict[RunId, tuple[WorkerId, int]] = {}
        self.ends: dict[RunId, Ended] = {}
        self.blocked: list[Blocked] = []
        self.armed: dict[RunId, int] = {}
        self._tokens = 0
        self._runs = 0

    # Driving

    def turn(self, *commands: Command | FromWorker) -> list[Effect]:
        """Take these commands in one batch, commit it, and carry out its effects."""
        turn = Turn(self.now)
        for command in commands:
            self._take(turn, command)
            while turn.told:
                self._take(turn, turn.told.popleft())
        settle(self.state, turn)
        check(self.state)
        check_turn(turn)
        if not turn.is_empty:
            now_or_never(self.store.commit(batch_of(turn)))
        for run_id in {run_id for run_id, _ in turn.entries}:
            check_journal(self.journal(run_id))
        forget(self.state, turn)
        for effect in turn.effects:
            self._carry_out(effect)
        return turn.effects

    def _take(self, turn: Turn, command: Command | FromWorker) -> None:
        steps = advance(self.state, turn, command)
        if steps is not None:
            self._feed(steps)

    def _feed(self, steps: Steps) -> None:
        try:
            need = next(steps)
            while True:
                need = steps.send(now_or_never(load(self.store, need)))
        except StopIteration:
            return

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Reply | Reject):
            assert effect.token not in self.answers, "a command is answered once"
            self.answers[effect.token] = effect.answer if isinstance(effect, Reply) else effect.error
        elif isinstance(effect, Tell):
            self.inbox.setdefault(effect.worker, []).append(effect.message)
        elif isinstance(effect, Claimed):
            before = self.held.get(effect.run_id, ("", 0))[1]
            assert effect.epoch > before, "every claim raises the epoch"
            self.held[effect.run_id] = effect.worker, effect.epoch
        elif isinstance(effect, Ended):
            assert effect.run_id not in self.ends, "an outcome once given never changes"
            self.ends[effect.run_id] = effect
        elif isinstance(effect, Blocked):
            self.blocked.append(effect)
        elif isinstance(effect, Arm):
            self.armed[effect.run_id] = min(effect.due, self.armed.get(effect.run_id, effect.due))

    def pass_time(self, seconds: float) -> None:
        """Turn the clock, and look at whatever comes due on the way, in its order."""
        until = self.now + round(seconds * SECOND)
        while due := [(when, run_id) for run_id, when in self.armed.items() if when <= until]:
            when, run_id = min(due)
            del self.armed[run_id]
            self.now = max(self.now, when)
            self.turn(Due(run_id))
        self.now = until

    def refill(self) -> None:
        """Read on in the store where the queue in memory has run dry."""
        for component in starving(self.state):
            found = now_or_never(self.store.queued(component, 100))
            self.turn(Refill(component, tuple(found), is_last=len(found) < 100))

    def restart(self, *, is_suspect: bool = False) -> None:
        """The runtime dies and comes up again over the same store; all workers are gone."""
        self.state = State()
        runs = now_or_never(self.store.running(None, 1_000))
        queued = now_or_never(self.store.queued_components())
        self.turn(Recover(tuple(runs), is_suspect, tuple(queued)))

    # Saying the usual things

    def token(self) -> Token:
        self._tokens += 1
        return self._tokens

    def new_id(self) -> RunId:
        self._runs += 1
        return RunId(f"{self._runs:032x}")

    def ask(self, command: Command) -> Any:
        """Give one command of a caller, and return its answer."""
        self.turn(command)
        return self.answers[command.token]  # type: ignore[union-attr, index]

    def hello(self, worker: str, *components: str, capacity: int = 10, code: str = "v1") -> WorkerId:
        infos = tuple(ComponentInfo(name, "workflow", code) for name in components)
        self.turn(Hello(WorkerId(worker), infos, capacity))
        return WorkerId(worker)

    def goodbye(self, worker: str) -> None:
        self.turn(Goodbye(WorkerId(worker)))

    def submission(self, component: str = "checkout", **options: Any) -> Submit:
        return Submit(self.token(), self.new_id(), component, options.pop("input", ONE), **options)

    def submit(self, component: str = "checkout", **options: Any) -> RunId:
        """Submit a run, and return its id."""
        answer = self.ask(self.submission(component, **options))
        if isinstance(answer, Exception):
            raise answer
        return RunId(answer.run_id)

    def message(self, run_id: RunId, *asks: Ask, **changed: Any) -> Report:
        """What the worker that holds a run says of it, having seen all of its journal."""
        worker, epoch = self.held[run_id]
        seen = self.journal(run_id)[-1].index
        said: dict[str, Any] = {"worker": worker, "epoch": epoch, "seen": seen, **changed}
        return Report(said.pop("worker"), run_id, said.pop("epoch"), said.pop("seen"), list(asks), **said)

    def report(self, run_id: RunId, *asks: Ask, **changed: Any) -> list[Effect]:
        return self.turn(self.message(run_id, *asks, **changed))

    def send_event(self, event_id: str, payload: Raw = ONE) -> Any:
        return self.ask(SendEvent(self.token(), event_id, payload))

    def signal(self, run_id: RunId, name: str, payload: Raw = ONE) -> Any:
        return self.ask(SendSignal(self.token(), run_id, name, payload))

    def cancel(self, run_id: RunId) -> Any:
        return self.ask(Cancel(self.token(), run_id))

    def resume(self, run_id: RunId) -> Any:
        return self.ask(Resume(self.token(), run_id))

    def retry(self, run_id: RunId, *, take_key: bool = False) -> Any:
        return self.ask(RetryRun(self.token(), run_id, self.new_id(), take_key))

    def fork(self, run_id: RunId, at: int) -> Any:
        return self.ask(ForkRun(self.token(), run_id, self.new_id(), at))

    # Looking

    def run(self, run_id: RunId) -> Run:
        """The run, as memory has it, or else the store."""
        return self.state.runs.get(run_id) or self.stored(run_id)

    def stored(self, run_id: RunId) -> Run:
        """The run as a restart would find it."""
        run = now_or_never(self.store.run(run_id))
        assert run is not None, f"run {run_id} is stored"
        return run

    def stored_ids(self) -> list[RunId]:
        """Every run there is."""
        return now_or_never(self.store.run_ids("", 100_000))

    def status(self, run_id: RunId) -> Status:
        return self.run(run_id).status

    def journal(self, run_id: RunId) -> list[Entry]:
        return now_or_never(self.store.journal(run_id))

    def bodies(self, run_id: RunId, *kinds: type) -> list[Body]:
        """The bodies of a run's entries, or of those of some kinds."""
        return [entry.body for entry in self.journal(run_id) if not kinds or isinstance(entry.body, kinds)]
