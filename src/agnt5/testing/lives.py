"""One run from its submission to its end, over as many lives of a runtime as crashes make of it."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from msgspec import Struct

from agnt5.core.model.errors import OutcomeUnknown, Unavailable
from agnt5.core.model.ids import RunId
from agnt5.embedded import Embedded
from agnt5.sdk import backend as sdk_backend
from agnt5.sdk.function import Submittable
from agnt5.store.memory import MemoryStore
from agnt5.store.port import RunFilter
from agnt5.testing.clock import TurnedClock
from agnt5.testing.memory import RUNS_MAX, MemoryRuntime, at_once
from agnt5.testing.outside import Outside, deal_with, waits
from agnt5.testing.rehearsal import Recording
from agnt5.testing.tape import Fault, Tape, is_no_plan
from agnt5.testing.watched import Calls
from agnt5.worker.settings import WorkerSettings

KEY: Final = "crash-everywhere"  # Submitted again by each life, the run is the same one.
FAR_US: Final = 1_000 * 365 * 86_400 * 1_000_000  # As far as time is turned at once: a thousand years.


class Plan(Struct, frozen=True):
    """What is run, and in which world.

    Attributes:
        turns_max: How often time is turned to the next timer before the run is taken for endless.
        patience: Seconds of real time that a step may take.
        start: What the clock shows at first, in every world the same.
    """

    component: Submittable[Any, Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outside: Outside | None
    turns_max: int
    patience: float
    start: TurnedClock


class NoEnd(Exception):
    """The run doesn't end, for the reason that it says."""


class Ending(Struct):
    """What a run came to.

    Attributes:
        store: With all that was written.
        tape: Which listened to it.
        lives: How many runtimes it took.
    """

    store: MemoryStore
    tape: Tape
    result: Any = None
    error: BaseException | None = None
    lives: int = 1

    @property
    def recordings(self) -> list[Recording]:
        """The journals of all runs."""
        runs = reversed(at_once(self.store.runs(RunFilter(limit=RUNS_MAX))))
        return [Recording(run.component, run.id, at_once(self.store.journal(RunId(run.id)))) for run in runs]

    def __str__(self) -> str:
        if self.error is not None:
            return f"it raised {type(self.error).__name__}({str(self.error)!r})"
        return f"it returned {self.result!r}"


async def carry_through(plan: Plan, fault: Fault | None, settings: WorkerSettings) -> Ending:
    """Run it in a world of its own, crashed into at one place.

    Raises:
        NoEnd: It doesn't come to an end.
    """
    store = MemoryStore()
    ending = Ending(store, Tape(store, fault))
    clock = TurnedClock(plan.start.now)
    while not await _live(plan, ending, clock, settings):
        ending.lives += 1
    return ending


async def _live(plan: Plan, ending: Ending, clock: TurnedClock, settings: WorkerSettings) -> bool:
    """One life; returns whether the run came to its end in it."""
    logger = logging.getLogger("agnt5.runtime")
    logger.addFilter(is_no_plan)
    runtime = MemoryRuntime(ending.store, settings, clock, Calls(ending.tape.on_call))
    token = sdk_backend.choose(runtime)
    is_crash = False
    try:
        runtime.attach()
        life = asyncio.create_task(_carry_on(plan, runtime, clock, ending))
        assert runtime.serving.over is not None, "it was started by the loop that attached"
        await asyncio.wait({life, runtime.serving.over}, return_when=asyncio.FIRST_COMPLETED)
        is_crash = ending.tape.has_struck and (runtime.serving.is_over or _is_unknown(life))
        if is_crash:
            life.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await life
            return False
        await life
        return True
    finally:
        sdk_backend.unchoose(token)
        await runtime.close(is_crash=is_crash)
        logger.removeFilter(is_no_plan)


def _is_unknown(life: "asyncio.Task[None]") -> bool:
    """Whether the life ended because its runtime did."""
    return life.done() and not life.cancelled() and isinstance(life.exception(), OutcomeUnknown | Unavailable)


async def _carry_on(plan: Plan, runtime: MemoryRuntime, clock: TurnedClock, ending: Ending) -> None:
    handle = await plan.component.submit(*plan.args, idempotency_key=KEY, **plan.kwargs)
    outcome = asyncio.create_task(handle.result())
    try:
        await _wait_for_end(plan, runtime, clock, outcome)
        # What it left running, a child that nobody awaits for instance, is part of it.
        await runtime.settle(plan.patience)
    finally:
        outcome.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await outcome
    error = outcome.exception()
    if isinstance(error, OutcomeUnknown | Unavailable) and ending.tape.has_struck and runtime.serving.lane.failure:
        raise error
    ending.error, ending.result = error, None if error is not None else outcome.result()


async def _wait_for_end(
    plan: Plan, runtime: MemoryRuntime, clock: TurnedClock, outcome: "asyncio.Task[Any]"
) -> None:
    for _ in range(plan.turns_max):
        await runtime.settle(plan.patience)
        if outcome.done():
            return
        if await deal_with(plan.outside, runtime):
            continue
        due = runtime.next_due(clock.now_us() + FAR_US)
        if due is None:
            raise NoEnd(_why_stuck(runtime))
        clock.turn_to(due)
        runtime.look_again()
    raise NoEnd(f"it was still going after {plan.turns_max} timers, events and signals")


def _why_stuck(runtime: MemoryRuntime) -> str:
    awaited = ", ".join(f"{waiting.kind} {waiting.name!r}" for waiting in waits(runtime))
    return f"it waits for {awaited or 'nothing that could come'}, which nobody sends"


Same = Callable[[Any, Any], bool]


def is_same(first: Ending, second: Ending, same: Same) -> bool:
    """Whether two endings are the same, as far as the caller of the run can tell."""
    if first.error is not None or second.error is not None:
        return type(first.error) is type(second.error) and str(first.error) == str(second.error)
    return same(first.result, second.result)


def bare_backend() -> Embedded:
    """A runtime that nobody calls, for replays without effects."""
    return Embedded(MemoryStore())
