"""Carries out what the engine decided, after the commit: tells workers, answers callers, sets timers."""

from collections import defaultdict
from typing import Any

from agnt5.core.engine.commands import Quarantine, Token
from agnt5.core.engine.effects import (
    Arm,
    Blocked,
    Claimed,
    Effect,
    Ended,
    Reject,
    Reply,
    Submitted,
    Tell,
)
from agnt5.core.engine.state import State, Turn
from agnt5.core.journal.entry import Ended as EndedEntry
from agnt5.core.journal.entry import Entry
from agnt5.core.model.errors import StoreCorrupt
from agnt5.core.model.failures import failure_of
from agnt5.core.model.ids import RunId, WorkerId
from agnt5.core.model.run import Run, Status
from agnt5.core.protocol.messages import Dispatch
from agnt5.runtime.port import Port
from agnt5.runtime.requests import Answer, Entries, Failed, Taken, ToSession
from agnt5.runtime.timers import Timers
from agnt5.sdk.backend import RunOutcome
from agnt5.store.port import Store


class Dispatcher:
    """Who is there, who waits for what, and what is on its way out.

    Attributes:
        ports: Sessions, by the worker's name.
        unreadable: Runs whose journal can't be read.
        lost: Sessions that turned out to be gone.
    """

    def __init__(self, store: Store, timers: Timers) -> None:
        self.ports: dict[WorkerId, Port] = {}
        self.unreadable: list[Quarantine] = []
        self.lost: list[WorkerId] = []
        self._store = store
        self._timers = timers
        self._callers: dict[Token, Port] = {}
        # Submissions whose caller wants the outcome.
        self._wanted: set[Token] = set()
        self._watchers: defaultdict[RunId, list[Token]] = defaultdict(list)
        self._followers: defaultdict[RunId, list[Token]] = defaultdict(list)
        self._watched: dict[Token, RunId] = {}
        self._outgoing: dict[Port, list[ToSession]] = {}
        self._taken: dict[Port, int] = {}

    def restart(self, timers: Timers) -> None:
        """The engine's memory was thrown away; callers and watchers wait on."""
        self._timers = timers
        self.unreadable.clear()

    # Callers

    def expect(self, token: Token, port: Port, *, wants_outcome: bool = False) -> None:
        """Somebody waits for the answer under this token."""
        self._callers[token] = port
        if wants_outcome:
            self._wanted.add(token)

    def count_taken(self, port: Port) -> None:
        """A request of this session is being dealt with."""
        self._taken[port] = self._taken.get(port, 0) + 1

    def answer(self, token: Token, value: Any) -> None:
        """Answer a request."""
        port = self._callers.pop(token, None)
        if port is not None:
            self._out(port).append(Answer(token, value))

    def fail(self, token: Token, error: Exception) -> None:
        """Answer a request with an error."""
        self._wanted.discard(token)
        port = self._callers.pop(token, None)
        if port is not None:
            self._out(port).append(Failed(token, error))

    def fail_all(self, error: Exception) -> None:
        """Answer everybody with an error."""
        for token in list(self._callers):
            self.fail(token, error)
        self._watchers.clear()
        self._followers.clear()
        self._watched.clear()

    def fail_commands(self, tokens: list[Token], error: Exception) -> None:
        """Answer the commands of a batch that was not written."""
        for token in tokens:
            self.fail(token, error)

    def forget_caller(self, token: Token) -> None:
        """Nobody waits for this answer any more."""
        self._callers.pop(token, None)
        run_id = self._watched.pop(token, None)
        for waiting in (self._watchers, self._followers):
            if run_id is not None and run_id in waiting:
                waiting[run_id] = [other for other in waiting[run_id] if other != token]
                if not waiting[run_id]:
                    del waiting[run_id]

    def forget_port(self, worker: WorkerId) -> None:
        """A session is gone, with all its callers."""
        port = self.ports.pop(worker, None)
        for token in [token for token, asked in self._callers.items() if asked is port]:
            self.forget_caller(token)
        if port is not None:
            self._outgoing.pop(port, None)
            self._taken.pop(port, None)

    async def watch(self, token: Token, run: Run) -> None:
        """Tell the outcome of this run, at once or when there is one."""
        if run.status.is_terminal:
            body = (await self._store.last_entry(run.id)).body
            assert isinstance(body, EndedEntry), "the journal of a run that is over ends with its outcome"
            self.answer(token, RunOutcome(run.id, run.component, run.status, body.result, body.error))
        elif run.status is Status.BLOCKED:
            self.answer(token, RunOutcome(run.id, run.component, run.status, error=run.waiting.blocked))
        else:
            self._watchers[run.id].append(token)
            self._watched[token] = run.id

    async def follow(self, token: Token, run: Run) -> None:
        """Tell the entries of this run, those that are there and those that come."""
        entries = await self._store.journal(run.id)
        is_last = run.status.is_terminal
        port = self._callers.get(token)
        if port is None:
            return
        self._out(port).append(Entries(token, entries, is_last))
        if is_last:
            self._callers.pop(token)
        else:
            self._followers[run.id].append(token)
            self._watched[token] = run.id

    # Effects

    async def carry_out(self, state: State, turn: Turn) -> None:
        """Do what a committed turn wants done."""
        for effect in turn.effects:
            kind = type(effect)
            if kind is Tell:
                self._tell(effect.worker, effect.message)  # type: ignore[union-attr]  # As just tested.
            elif kind is Claimed:
                await self._dispatch(effect)  # type: ignore[arg-type]  # As just tested.
            elif kind is Ended:
                self._ended(turn, effect)  # type: ignore[arg-type]  # As just tested.
            elif kind is Reply:
                await self._reply(state, effect)  # type: ignore[arg-type]  # As just tested.
            else:
                self._carry_out_rare(turn, effect)
        if self._followers:
            self._tell_followers(turn)

    def _carry_out_rare(self, turn: Turn, effect: Effect) -> None:
        if isinstance(effect, Arm):
            self._timers.arm(effect.due, effect.run_id)
        elif isinstance(effect, Reject):
            self.fail(effect.token, effect.error)
        elif isinstance(effect, Blocked):
            component = turn.touched[effect.run_id].component
            outcome = RunOutcome(effect.run_id, component, Status.BLOCKED, error=effect.error)
            for token in self._watchers.pop(effect.run_id, ()):
                self._watched.pop(token, None)
                self.answer(token, outcome)
        else:
            raise AssertionError(f"nobody carries out {effect!r}")

    def _tell(self, worker: WorkerId, message: ToSession) -> None:
        port = self.ports.get(worker)
        if port is not None:
            self._out(port).append(message)

    async def _dispatch(self, effect: Claimed) -> None:
        entries = effect.entries
        heartbeats: dict[Any, Any] = {}
        if entries is None:
            try:
                entries = await self._store.journal(effect.run_id)
            except StoreCorrupt as error:
                self.unreadable.append(Quarantine(effect.run_id, failure_of(error)))
                return
            beats = await self._store.heartbeats(effect.run_id)
            heartbeats = {beat.key: (beat.attempt, beat.details) for beat in beats}
        self._tell(effect.worker, Dispatch(effect.run_id, effect.epoch, effect.component, entries, heartbeats))

    def _ended(self, turn: Turn, effect: Ended) -> None:
        tokens = self._watchers.pop(effect.run_id, None)
        if tokens:
            # By now the run may be out of memory; the turn that ended it has it still.
            component = turn.touched[effect.run_id].component
            outcome = RunOutcome(effect.run_id, component, effect.status, effect.result, effect.error)
            for token in tokens:
                self._watched.pop(token, None)
                self.answer(token, outcome)

    async def _reply(self, state: State, effect: Reply) -> None:
        answer = effect.answer
        if effect.token not in self._wanted:
            self.answer(effect.token, answer)
            return
        assert isinstance(answer, Submitted), "only a submission is asked for its outcome"
        self._wanted.discard(effect.token)
        if answer.is_new:
            # Its end can't have been announced yet: effects are in the order of deciding.
            self._watchers[answer.run_id].append(effect.token)
            self._watched[effect.token] = answer.run_id
            return
        try:
            run = state.runs.get(answer.run_id) or await self._store.run(answer.run_id)
            assert run is not None, "an idempotency key stands for a run that is there"
            await self.watch(effect.token, run)
        except StoreCorrupt as error:
            # It is damaged, and this caller alone has asked for it.
            self.fail(effect.token, error)

    def _tell_followers(self, turn: Turn) -> None:
        told: dict[RunId, list[Entry]] = {}
        for run_id, entry in turn.entries:
            if run_id in self._followers:
                told.setdefault(run_id, []).append(entry)
        for run_id, entries in told.items():
            is_last = isinstance(entries[-1].body, EndedEntry)
            for token in self._followers[run_id]:
                port = self._callers.get(token)
                if port is not None:
                    self._out(port).append(Entries(token, entries, is_last))
                if is_last:
                    self._callers.pop(token, None)
                    self._watched.pop(token, None)
            if is_last:
                del self._followers[run_id]

    # On its way out

    def _out(self, port: Port) -> list[ToSession]:
        out = self._outgoing.get(port)
        if out is None:
            out = self._outgoing[port] = []
        return out

    def tell_everybody(self, message: ToSession) -> None:
        """Tell every worker the same."""
        for port in self.ports.values():
            self._out(port).append(message)

    def flush(self) -> None:
        """Send what has gathered, one message to each session."""
        taken, self._taken = self._taken, {}
        for port, count in taken.items():
            self._out(port).append(Taken(count))
        outgoing, self._outgoing = self._outgoing, {}
        for port, messages in outgoing.items():
            if not port.send(messages):
                self.lost.append(port.id)
