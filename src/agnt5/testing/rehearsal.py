"""Plays the journal of a run to its workflow again, without effects, to see whether the body follows it.

This is the real host of a workflow without its surroundings: nothing that the body asks for is
carried out. Meanwhile the clock, for the body alone, shows another time in each rehearsal, so that
a branch on the time of day is found out too, and not only once it matters.
"""

import asyncio
import itertools
import time
from asyncio import events
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, Final

from msgspec import Struct

from agnt5.core.journal.entry import Ended, Entry, Outcome
from agnt5.core.model.errors import NonDeterminismError
from agnt5.core.model.ids import OperationKey, RunId, WorkerId
from agnt5.core.model.run import Failure, Status
from agnt5.core.protocol.messages import Again, Block, Dispatch, End
from agnt5.core.replay.loop import ReplayLoop
from agnt5.core.replay.operations import Request
from agnt5.sdk import failures
from agnt5.sdk.backend import Backend
from agnt5.sdk.component import Component
from agnt5.worker.run import RunHost
from agnt5.worker.settings import WorkerSettings
from agnt5.worker.step import Step
from agnt5.worker.threads import Threads
from agnt5.worker.workflow import FEED_MAX, WorkflowRun

_DAY: Final = 86_400.0
# What is added to the clock each time it is read, in seconds: a little, a day, half a year, years, forth and back.
SHIFTS: Final = (0.0, 0.37, 61.0, 3_607.0, _DAY + 11, 13 - _DAY, 180 * _DAY, -181 * _DAY, 1_097 * _DAY, -1_099 * _DAY)
_CLOCKS: Final = ("time", "monotonic", "perf_counter")


class Recording(Struct, frozen=True):
    """The journal of a run's last generation.

    Attributes:
        component: Name of the workflow.
    """

    component: str
    run_id: RunId
    entries: list[Entry]


class Bench:
    """A workbench without tools: the time stands where the journal ends."""

    id = WorkerId("rehearsal")

    def __init__(self, now_us: int, backend: Backend) -> None:
        self.loop = asyncio.get_running_loop()
        self.backend = backend
        self.threads = Threads(1)
        self.chance = Random(0)  # noqa: S311  Nothing is retried here.
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


class Life(WorkflowRun):
    """A life of a body along a recording."""

    def __init__(self, bench: Bench, dispatch: Dispatch, component: Component[Any, Any]) -> None:
        super().__init__(bench, dispatch, component)
        self.replay.is_strict = True

    def start_step(self, request: Request, scope: str) -> None:
        """A step is asked for, and not run."""


async def rehearse(
    recording: Recording, component: Component[Any, Any], backend: Backend, length: int, shift: float
) -> Failure | None:
    """Replay the first entries of a recording.

    Args:
        recording: What to follow.
        component: The workflow.
        backend: What calls from steps would go to; there are none.
        length: How many entries.
        shift: Seconds by which the body's clock differs.

    Returns:
        How the body left its journal, if it did.
    """
    entries = recording.entries
    ended = entries[-1].body if length == len(entries) else None
    upto = entries[: length - 1] if isinstance(ended, Ended) else entries[:length]
    life = Life(
        Bench(upto[-1].at, backend), Dispatch(recording.run_id, 1, recording.component, upto, {}), component
    )
    try:
        with _shifted(shift):
            life.begin_life()
            for _ in range(len(upto) // FEED_MAX):
                # Long journals are fed in portions, with a turn of the loop in between.
                await asyncio.sleep(0)
        return _verdict(life, ended)
    finally:
        life.forget()


def _verdict(life: Life, ended: Any) -> Failure | None:
    end: End | Again | None = None
    for ask in life.asks:
        if isinstance(ask, Block):
            return ask.error
        if isinstance(ask, End | Again):
            end = ask
    if not isinstance(ended, Ended) or isinstance(end, Again):
        return None
    if end is None and ended.status is Status.CANCELLED:
        return None  # It was cancelled before its body had a say.
    if end is None or not _is_same_end(end, ended):
        now = f"comes to {_end(end)}" if end is not None else f"goes on with {_asked(life)}"
        return failures.write(_other_end(f"{_end(ended)} was recorded as the end of the run, but the code now {now}"))
    return None


def _asked(life: Life) -> str:
    asked = [f"{request.kind.value} {request.name!r} ({request.site})" for request in life.replay.waiting_for]
    asked += [f"{timer.label or 'timer'} ({timer.site})" for timer in life.replay.loop.timers.values()]
    return ", ".join(asked) or "nothing that could come"


def _is_same_end(ask: End, ended: Ended) -> bool:
    return bytes(ask.result) == bytes(ended.result) and _end(ask) == _end(ended)


def _end(ended: End | Ended) -> str:
    if ended.error is not None:
        return f"{ended.error.type.rpartition(':')[2]}({ended.error.message!r})"
    return bytes(ended.result).decode() or ended.status.value


def _other_end(what: str) -> NonDeterminismError:
    return NonDeterminismError(
        what,
        why="it reads time, randomness or something that the body itself changed",
        fix="use ctx.now(), ctx.random or ctx.uuid4(), or read it in a step",
    )


@contextmanager
def _shifted(seconds: float) -> Iterator[None]:
    """Have the machine's clocks show another time to bodies of workflows."""
    originals = {name: getattr(time, name) for name in _CLOCKS}
    originals_ns = {f"{name}_ns": getattr(time, f"{name}_ns") for name in _CLOCKS}
    for name, clock in originals.items():
        setattr(time, name, _in_bodies(clock, seconds))
    for name, clock in originals_ns.items():
        setattr(time, name, _in_bodies(clock, round(seconds * 1e9)))
    try:
        yield
    finally:
        for name, clock in (originals | originals_ns).items():
            setattr(time, name, clock)


def _in_bodies(clock: Any, by: float) -> Any:
    reads = itertools.count(1)

    def shifted() -> Any:
        if type(events._get_running_loop()) is not ReplayLoop:
            return clock()
        # More each time: who measures how long something took comes to something else too.
        return clock() + by * next(reads)

    return shifted
