"""`crash_everywhere`: a workflow is killed at every place, and has to come out the same.

    undisturbed     one run, whose appends are counted
    killed          for each append in turn: a run that dies right before it (what the step did is
                    done, and not recorded), one that dies right after it, and two whose disk
                    fails there, with it written and with it lost; a new runtime goes on each time
    forgotten       a run whose body is thrown away at every wait and replayed
    rehearsed       the recorded journal, cut at every length, played to the body again
    elsewhere       likewise in fresh processes, in which sets of strings have another order
"""

import asyncio
import warnings
from collections.abc import Coroutine
from typing import Any, Final, NoReturn, TypeVar

from msgspec import Struct

from agnt5.core.journal.entry import Kind, Outcome
from agnt5.core.model.errors import Agnt5Error, InvalidInput, NonDeterminismError
from agnt5.sdk import failures
from agnt5.sdk.function import Submittable
from agnt5.sdk.registry import REGISTRY
from agnt5.testing.clock import TurnedClock
from agnt5.testing.elsewhere import replay_elsewhere, why_not_importable
from agnt5.testing.lives import Ending, NoEnd, Plan, Same, bare_backend, carry_through, is_same
from agnt5.testing.outside import Outside
from agnt5.testing.rehearsal import SHIFTS, Recording, rehearse
from agnt5.testing.tape import Fault, How
from agnt5.worker.settings import WorkerSettings

T = TypeVar("T")
HASH_SEEDS: Final = 4  # Two strings in a set come in the same order in all of them once in sixteen times.
TURNS_MAX: Final = 1_000
PATIENCE_SECONDS: Final = 30.0
FORGETFUL: Final = WorkerSettings(max_cached_runs=0)
KEEPING: Final = WorkerSettings()


class CrashTestFailed(AssertionError):
    """A workflow didn't come out the same.

    Attributes:
        place: Where it was disturbed: the kind of crash, and what was being written.
        what: What was different.
    """

    def __init__(self, place: str, what: str, fix: str) -> None:
        super().__init__(f"{place}: {what}\n  Fix: {fix}")
        self.place = place
        self.what = what


class CrashReport(Struct):
    """What `crash_everywhere` has seen.

    Attributes:
        result: What the workflow returned.
        error: What it raised instead.
        appends: How often its journal, and those of its children, were written.
        crashes: How often it was killed.
        rehearsals: How often it was replayed from a part of its journal.
        processes: In how many fresh processes it was replayed.
        repeated: Steps that a crash cut short and that ran again, with how often over all crashes.
        steps: The names of all steps, in the order of completion.
    """

    result: Any
    error: BaseException | None
    appends: int
    crashes: int = 0
    rehearsals: int = 0
    processes: int = 0
    repeated: dict[str, int] = {}
    steps: list[str] = []

    def __str__(self) -> str:
        again = ", ".join(f"{name} ({count})" for name, count in self.repeated.items()) or "none"
        return (
            f"{self.crashes} crashes at {self.appends} appends, {self.rehearsals} rehearsals, "
            f"{self.processes} other processes; steps that were cut short and ran again: {again}"
        )


async def crash_everywhere(
    workflow: Submittable[Any, Any],
    *args: Any,
    outside: Outside | None = None,
    same: Same | None = None,
    hash_seeds: int | None = None,
    turns_max: int = TURNS_MAX,
    patience: float = PATIENCE_SECONDS,
    **kwargs: Any,
) -> CrashReport:
    """Show that a workflow comes out the same wherever it is killed, and that no completed step runs twice.

    It is run many times, each in a world of its own, in memory. Steps run for real, so let them do
    nothing that can't be done often. Time is turned by itself. Every run starts at the same moment
    of the clock and has the same id.

    Args:
        workflow: What to run. Its arguments follow; one that has the name of an option is passed by position.
        outside: Who sends what the workflow waits for: payloads by the event's id or the signal's
            name, with `*` for any text; or a function that is given each `Waiting`. It is looked at
            whenever nothing else can happen, before time is turned.
        same: Whether two results are the same; `==` when absent.
        hash_seeds: In how many fresh processes to replay, to find bodies that depend on the order of
            a set of strings; 4 where the workflow can be imported. 0 for none.
        turns_max: How many timers, events and signals it may take.
        patience: Seconds of real time that a step may take.

    Returns:
        What was seen.

    Raises:
        CrashTestFailed: Something differs: which, and where it was disturbed. An `AssertionError`.

    Example:
        >>> import asyncio
        >>> from agnt5 import WorkflowContext, workflow
        >>> from agnt5.testing import crash_everywhere
        >>> async def charge(order_id: str) -> str:
        ...     return f"charged {order_id}"
        >>> @workflow
        ... async def order(ctx: WorkflowContext, order_id: str) -> str:
        ...     charged = await ctx.step(charge, order_id)
        ...     await ctx.sleep(3_600)
        ...     return charged
        >>> report = asyncio.run(crash_everywhere(order, "order-42", hash_seeds=0))
        >>> report.result, report.repeated
        ('charged order-42', {'charge': 2})
    """
    plan = Plan(workflow, args, kwargs, outside, turns_max, patience, TurnedClock())
    trial = _Trial(plan, same or _equal)
    await trial.run_undisturbed()
    await trial.rehearse()
    await trial.run_forgotten()
    await trial.crash()
    await trial.replay_elsewhere(hash_seeds)
    return trial.report


def crash_everywhere_sync(workflow: Submittable[Any, Any], *args: Any, **options: Any) -> CrashReport:
    """As `crash_everywhere`, for tests without an event loop.

    Raises:
        CrashTestFailed: Something differs.
    """
    return asyncio.run(crash_everywhere(workflow, *args, **options))


def _equal(first: Any, second: Any) -> bool:
    return bool(first == second)


class _Trial:
    """All the disturbances of one workflow, compared with its undisturbed run."""

    def __init__(self, plan: Plan, same: Same) -> None:
        self._plan = plan
        self._same = same
        self._first: Ending
        self.report: CrashReport

    async def run_undisturbed(self) -> None:
        place = "undisturbed"
        self._first = await self._ending(place, carry_through(self._plan, None, KEEPING))
        if isinstance(self._first.error, NonDeterminismError):
            _fail(place, str(self._first.error), "look at the operations that it names")
        steps = [step for recording in self._first.recordings for step in _steps(recording)]
        first = self._first
        self.report = CrashReport(first.result, first.error, first.tape.appends, steps=steps)

    async def run_forgotten(self) -> None:
        place = "forgotten at every wait, and replayed"
        self._compare(place, await self._ending(place, carry_through(self._plan, None, FORGETFUL)))

    async def crash(self) -> None:
        for append in range(1, self._first.tape.appends + 1):
            for how in How:
                fault = Fault(how, append)
                # Up to the crash it goes as undisturbed, but for steps that race each other.
                place = f"{fault.how.value} append {append} ({self._first.tape.written[append - 1]})"
                ending = await self._ending(place, carry_through(self._plan, fault, KEEPING))
                self._compare(place, ending)
                self.report.crashes += 1
                for name, count in ending.tape.repeated.items():
                    self.report.repeated[name] = self.report.repeated.get(name, 0) + count

    async def _ending(self, place: str, running: Coroutine[Any, Any, Ending]) -> Ending:
        try:
            return await running
        except NoEnd as error:
            _fail(place, str(error), "pass outside={...} with what it waits for; see `turns_max` if it only takes long")
        except TimeoutError as error:
            _fail(place, str(error), "let steps end by themselves, or raise patience=")

    def _compare(self, place: str, ending: Ending) -> None:
        if ending.tape.violations:
            what = ", ".join(ending.tape.violations)
            _fail(place, f"{what} ran again, though completed", "report this: agnt5 promises that it can't be")
        if isinstance(ending.error, NonDeterminismError) and not is_same(self._first, ending, self._same):
            _fail(place, ending.error.what, ending.error.fix)
        if not is_same(self._first, ending, self._same):
            _fail(
                place,
                f"{ending}, but undisturbed {self._first}",
                "let the body do nothing but ask its ctx: time, chance and what is global differ from life to life",
            )

    async def rehearse(self) -> None:
        backend = bare_backend()
        for recording in self._first.recordings:
            component = REGISTRY.get(recording.component)
            if not component.is_deterministic:
                continue
            whole = len(recording.entries)
            # Cut at every length, then whole with the clocks put elsewhere.
            for length, shift in [*((n, 0.0) for n in range(1, whole)), *((whole, shift) for shift in SHIFTS)]:
                failure = await rehearse(recording, component, backend, length, shift)
                self.report.rehearsals += 1
                if failure is not None:
                    place = f"replayed from the first {length} of {whole} entries of {recording.component!r}"
                    error = failures.read(failure)
                    fix = error.fix if isinstance(error, Agnt5Error) else "let the body do nothing but ask its ctx"
                    _fail(place, failure.message.splitlines()[0], fix)

    async def replay_elsewhere(self, seeds: int | None) -> None:
        fn = self._plan.component.fn
        why_not = why_not_importable(fn)
        if seeds == 0 or (why_not and seeds is None):
            if why_not and seeds is None:
                warnings.warn(f"it was not replayed with other hash seeds: {why_not}", stacklevel=3)
            return
        if why_not:
            raise InvalidInput(why_not, why="hash_seeds= asks for that", fix="define it at the top of a module")
        recordings = [each for each in self._first.recordings if REGISTRY.get(each.component).is_deterministic]
        count = HASH_SEEDS if seeds is None else seeds
        answer = await replay_elsewhere(fn, recordings, count)
        if answer.unknown:
            raise InvalidInput(
                f"a fresh process that imports {fn.__module__!r} has no component {answer.unknown!r}",
                why="it is defined elsewhere, or only when this process runs",
                fix=f"import what defines it in {fn.__module__!r}, or pass hash_seeds=0",
            )
        if answer.said:
            place = f"replayed in a process with other hashes, {answer.component!r}"
            _fail(place, answer.said.splitlines()[0], "sort what is iterated over: `for name in sorted(names)`")
        self.report.processes = count


def _steps(recording: Recording) -> list[str]:
    outcomes = [entry.body for entry in recording.entries if isinstance(entry.body, Outcome)]
    return [outcome.name for outcome in outcomes if outcome.kind is Kind.STEP]


def _fail(place: str, what: str, fix: str) -> NoReturn:
    raise CrashTestFailed(place, what, fix)
