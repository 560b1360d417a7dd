"""Plays a recorded journal to a workflow body again, and notes what the body asks for on the way.

This is the real host of a workflow. Only its surroundings are missing: nothing that the body asks
for is carried out, so a rehearsal stops where the journal does.
"""

import asyncio
import gc
import random
from typing import Any

from msgspec import Struct

from agnt5.core.journal.entry import Entry, Kind, Outcome
from agnt5.core.model.ids import OperationKey, RunId, WorkerId
from agnt5.core.protocol.messages import Again, Block, Dispatch, End
from agnt5.core.replay.operations import Request
from agnt5.core.replay.replay import Replay
from agnt5.embedded import Embedded
from agnt5.sdk import failures
from agnt5.sdk.backend import Backend
from agnt5.store.memory import MemoryStore
from agnt5.worker.run import RunHost
from agnt5.worker.settings import WorkerSettings
from agnt5.worker.step import Step
from agnt5.worker.threads import Threads
from agnt5.worker.workflow import FEED_MAX, WorkflowRun

from .recording import Recording


class Asked(Struct, frozen=True):
    """An operation, as the body asked for it."""

    op: int
    kind: Kind
    name: str
    target: str
    args: bytes
    key: OperationKey
    site: str


class Moment(Struct, frozen=True):
    """How far a body is.

    Attributes:
        asked: How many operations it has asked for.
        timers: How many timers it has set.
        pending: Those that have not fired.
        end: What it came to, if it is through.
    """

    asked: int
    timers: int
    pending: tuple[tuple[int, int, str, str], ...]
    signals: tuple[tuple[str, str], ...]
    end: tuple[str, bytes]


class Bench:
    """A workbench without tools: the time stands where the journal ends."""

    id = WorkerId("rehearsal")

    def __init__(self, now_us: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.backend: Backend = Embedded(MemoryStore())
        self.threads = Threads(1)
        self.chance = random.Random(0)
        self.settings = WorkerSettings()
        self.orphans: dict[tuple[RunId, OperationKey], Step] = {}
        self.now_us = now_us

    def clock_us(self) -> int:
        return self.now_us

    def flush_soon(self, run: RunHost) -> None:
        """Nobody listens."""

    def driving(self, run: RunHost | None) -> None:
        """Nobody watches."""

    def give_up(self, run: RunHost) -> None:
        """Whoever rehearses lets go of it."""

    def has_parked(self, run: RunHost) -> None:
        """It stays in memory."""

    def orphan_over(self, step: Step, outcome: Outcome) -> None:
        raise AssertionError("a rehearsal starts no steps")


class NotedReplay(Replay):
    """A replay that notes in `noted` what is asked for."""

    def __init__(self, run_id: RunId, entries: list[Entry], read: Any, log: Any, noted: list[Asked]) -> None:
        super().__init__(run_id, entries, read, log)
        self._noted = noted

    def begin(self, request: Request) -> Any:
        future = super().begin(request)
        op, kind, name, args = request.op, request.kind, request.name, request.args
        self._noted.append(Asked(op, kind, name, request.target, args, request.key, _line(request.site)))
        return future


class Rehearsal(WorkflowRun):
    """A life of a body that follows a recording.

    Args:
        length: How many entries are there when the life begins.
    """

    def __init__(self, bench: Bench, recording: Recording, length: int) -> None:
        self.asked: list[Asked] = []
        dispatch = Dispatch(recording.run_id, 1, recording.component.name, recording.entries[:length], {})
        super().__init__(bench, dispatch, recording.component)
        self.replay = NotedReplay(recording.run_id, dispatch.entries, failures.read, self._log, self.asked)
        self.history = self.replay.history
        self.state = self.history.state

    def start_step(self, request: Request, scope: str) -> None:
        """A step is asked for, and not run."""

    @property
    def moment(self) -> Moment:
        """How far the body is."""
        loop = self.replay.loop
        pending = tuple(sorted((timer.n, timer.due, timer.label, _line(timer.site)) for timer in loop.timers.values()))
        signals = tuple((name, _line(site)) for name, site in self.replay.awaited_signals)
        return Moment(len(self.asked), loop.timers_set, pending, signals, self._end())

    def _end(self) -> tuple[str, bytes]:
        for ask in self.asks:
            if isinstance(ask, End):
                return ask.status.value, bytes(ask.result) + (ask.error.message.encode() if ask.error else b"")
            if isinstance(ask, Again):
                return "again", ask.error.message.encode()
            if isinstance(ask, Block):
                raise AssertionError(f"the body left its journal: {ask.error}")
        return "", b""

def _line(site: str) -> str:
    """A place in the code, without the directory, which differs between checkouts."""
    return site.rpartition("/")[2]


Heard = tuple[tuple[Asked, ...], list[Moment]]


async def rehearse(recording: Recording, length: int, then: int | None = None) -> Heard:
    """Begin a life with so many entries, then give it the next ones one by one.

    Returns:
        What it asked for, and how far it was at the beginning and after each further entry.
    """
    entries = recording.entries
    bench = Bench(entries[length - 1].at)
    life = Rehearsal(bench, recording, length)
    try:
        life.begin_life()
        for _ in range(len(entries) // FEED_MAX):
            # Long journals are fed in portions, with a turn of the loop in between.
            await asyncio.sleep(0)
        assert life.is_over or not life.replay.is_replaying, "the past has been fed in full"
        moments = [life.moment]
        for entry in entries[length:then]:
            bench.now_us = entry.at
            if not life.is_over:
                life.take([entry])
            moments.append(life.moment)
        return tuple(life.asked), moments
    finally:
        life.forget()


def check_against_journal(recording: Recording, asked: tuple[Asked, ...]) -> None:
    """Each outcome in the journal is of the operation that the body asked for under that number."""
    for entry in recording.entries:
        body = entry.body
        if isinstance(body, Outcome) and body.op >= 0 and not body.scope:
            request = asked[body.op]
            assert (request.op, request.kind, request.key) == (body.op, body.kind, body.key), f"{request} isn't {body}"


def end_of(recording: Recording) -> tuple[str, bytes]:
    """What the recorded run came to."""
    ended = recording.ended
    return ended.status.value, bytes(ended.result) + (ended.error.message.encode() if ended.error else b"")


class Commotion:
    """Changes where objects come to lie in memory and when they are collected."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._kept: list[Any] = []

    def stir(self) -> None:
        """Allocate, free and collect at random."""
        chance = self._chance
        self._kept += [bytearray(chance.randrange(1, 700)) for _ in range(chance.randrange(30))]
        self._kept += [object() for _ in range(chance.randrange(30))]
        self._kept += [{n: [n]} for n in range(chance.randrange(10))]
        chance.shuffle(self._kept)
        del self._kept[: len(self._kept) // 2]
        gc.set_threshold(chance.choice([1, 7, 50, 700]), 5, 5)
        if chance.random() < 0.05:
            gc.collect(chance.randrange(2))
