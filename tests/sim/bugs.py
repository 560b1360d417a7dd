"""Bugs to be planted in the product, each to be found by the simulator within a few seeds.

A bug is a handful of patches: what a careless change would make of the code. Where one would be
masked by a second defence, it is planted behind both.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import Struct, structs

from agnt5.core.engine import engine, events, operator, queue, report, run
from agnt5.core.engine.commands import Submit
from agnt5.core.engine.effects import Claimed, Reply
from agnt5.core.engine.state import Turn
from agnt5.core.journal.entry import Kind, Outcome, Signal
from agnt5.core.model.errors import StoreError
from agnt5.core.protocol.messages import AwaitEvent, Send
from agnt5.core.replay.recall import Recall
from agnt5.runtime import lane
from agnt5.runtime.timers import Timers
from agnt5.store.memory import MemoryStore
from agnt5.worker.step import Step
from agnt5.worker.workflow import WorkflowRun

from .patching import Patch
from .store import SimStore

EARLY_US = 200_000


class Bug(Struct):
    """A bug.

    Attributes:
        what: What is wrong with it.
        patches: Plants it.
        seeds_max: Within so many seeds it is found.
    """

    what: str
    patches: Callable[[], list[Patch]]
    seeds_max: int = 60


BUGS: dict[str, Bug] = {}


def bug(what: str, seeds_max: int = 60) -> Callable[[Callable[[], list[Patch]]], Callable[[], list[Patch]]]:
    """Add a bug under the name of the function that makes its patches."""

    def add(patches: Callable[[], list[Patch]]) -> Callable[[], list[Patch]]:
        BUGS[patches.__name__] = Bug(what, patches, seeds_max)
        return patches

    return add


# Acknowledging


@bug("callers are answered before the commit")
def ack_first() -> list[Patch]:
    original = lane.Lane._advance

    async def advance(self: lane.Lane, turn: Turn, *rest: Any) -> None:
        await original(self, turn, *rest)
        for effect in [effect for effect in turn.effects if isinstance(effect, Reply)]:
            turn.effects.remove(effect)
            self._dispatcher.answer(effect.token, effect.answer)
        self._dispatcher.flush()

    return [(lane.Lane, "_advance", advance)]


@bug("the worker is given entries, and callers outcomes, before the commit")
def release_first() -> list[Patch]:
    async def commit(self: SimStore, batch: Any) -> None:
        asyncio.get_running_loop().create_task(original(self, batch))

    original = SimStore.commit
    return [(SimStore, "commit", commit)]


@bug("a commit of which nobody knows is taken for one that failed", seeds_max=120)
def unknown_is_failure() -> list[Patch]:
    return [(StoreError, "is_aborted", True), *_store_stays_usable()]


@bug("a commit of which nobody knows is taken for one that succeeded")
def unknown_is_success() -> list[Patch]:
    original = SimStore.commit

    async def commit(self: SimStore, batch: Any) -> None:
        try:
            await original(self, batch)
        except StoreError as error:
            if error.is_aborted:
                raise

    return [(SimStore, "commit", commit), *_store_stays_usable()]


def _store_stays_usable() -> list[Patch]:
    original = SimStore._unsure

    def unsure(self: SimStore) -> None:
        try:
            original(self)
        finally:
            self._is_unsure = False

    return [(SimStore, "_unsure", unsure)]


# Identity and fencing


@bug("an idempotency key is not looked at")
def no_dedup() -> list[Patch]:
    def submit(state: Any, turn: Turn, command: Submit) -> Any:
        return queue.submit(state, turn, structs.replace(command, idempotency_key=""))

    return [(engine._CASES, Submit, submit)]


@bug("a report of an earlier claim is taken")
def stale_epoch() -> list[Patch]:
    original = report.report

    def accept(state: Any, turn: Turn, message: Any) -> Any:
        held = state.runs.get(message.run_id)
        if held is not None and held.worker == message.worker:
            message = structs.replace(message, epoch=held.epoch)
        return original(state, turn, message)

    return [(engine._CASES, report.Report, accept)]


@bug("a claim doesn't raise the epoch")
def epoch_not_bumped() -> list[Patch]:
    original = run.claim

    def claim(state: Any, turn: Turn, claimed: Any, *rest: Any) -> None:
        original(state, turn, claimed, *rest)
        if claimed.epoch > 1:
            claimed.epoch -= 1
            turn.effects[-1] = structs.replace(turn.effects[-1], epoch=claimed.epoch)
            assert isinstance(turn.effects[-1], Claimed), "a claim ends with its effect"

    return [(run, "claim", claim), (queue, "claim", claim)]


# The journal


@bug("what is asked for again after a crash is answered again")
def overwritten_outcome() -> list[Patch]:
    def is_answered(*args: Any) -> Any:
        return False
        yield

    return [(report, "_is_answered", is_answered)]


@bug("an entry's index is used up and not written", seeds_max=20)
def journal_gap() -> list[Patch]:
    original = run._write

    def write(state: Any, turn: Turn, of: Any, body: Any, stamp: int) -> Any:
        of.next_index += isinstance(body, Signal)
        return original(state, turn, of, body, stamp)

    return [(run, "_write", write)]


@bug("a run ends twice, and its outcome changes")
def outcome_changes() -> list[Patch]:
    original = MemoryStore._write

    def write(self: MemoryStore, batch: Any) -> None:
        original(self, batch)
        for ended in batch.changed:
            if ended.status.is_terminal and ended.epoch % 2 == 0:
                self._rows[ended.id]["status"] = "running"

    return [(MemoryStore, "_write", write)]


# Time


@bug("the engine fires timers early")
def timer_early() -> list[Patch]:
    def due(state: Any, turn: Turn, command: Any) -> Any:
        turn.now += EARLY_US
        return queue.due(state, turn, command)

    return [(engine._CASES, queue.Due, due), (Timers, "pop_due", _early(Timers.pop_due))]


def _early(pop_due: Any) -> Any:
    return lambda self, now, limit: pop_due(self, now + EARLY_US, limit)


@bug("the worker fires timers early")
def worker_timer_early() -> list[Patch]:
    original = WorkflowRun._fire_due

    def fire_due(self: WorkflowRun) -> bool:
        clock, self.clock_us = self.clock_us, lambda: clock() + EARLY_US  # type: ignore[method-assign]
        try:
            return original(self)
        finally:
            self.clock_us = clock  # type: ignore[method-assign]

    return [(WorkflowRun, "_fire_due", fire_due)]


@bug("timers that are in the store are not read at a start")
def timer_lost_on_restart() -> list[Patch]:
    original = Timers.load
    return [(Timers, "load", lambda self, found, until: original(self, [], until))]


@bug("a step's next attempt is put off by a restart")
def retry_resets_deadline() -> list[Patch]:
    original = Step.start

    def start(self: Step) -> None:
        failed = self.request.failures
        if failed:
            later = structs.replace(failed[-1], retry_at=self.owner.clock_us() + EARLY_US)
            self.request.failures = (*failed[:-1], later)
        original(self)

    return [(Step, "start", start)]


# Waiting


@bug("an event that came before the wait is not seen")
def event_dropped() -> list[Patch]:
    def await_event(state: Any, turn: Turn, of: Any, ask: AwaitEvent, message: Any) -> None:
        turn.waiters.append(
            report.Waiter(f"event:{ask.event_id}", of.id, of.life, ask.op, ask.key, ask.scope, ask.site)
        )

    return [(report._CASES, AwaitEvent, await_event)]


@bug("who waits for an event is forgotten when another waits too")
def waiter_lost() -> list[Patch]:
    original = events._waiters

    def waiters(turn: Turn, target: str) -> Any:
        found = yield from original(turn, target)
        return found[:1] if target.startswith("run:") or len(found) > 1 else found[: len(found) * (len(target) % 2)]

    return [(events, "_waiters", waiters)]


@bug("a signal wakes nobody")
def signal_wakes_nobody() -> list[Patch]:
    return [(events, "wake", _unless_signal(events.wake))]


def _unless_signal(wake: Any) -> Any:
    def maybe_wake(state: Any, turn: Turn, waiting: Any) -> None:
        if not isinstance(turn.entries[-1][1].body, Signal):
            wake(state, turn, waiting)

    return maybe_wake


@bug("a signal that is acknowledged is dropped where the run is cold")
def signal_dropped() -> list[Patch]:
    original = events.append

    def append(state: Any, turn: Turn, of: Any, body: Any, at: int | None = None) -> Any:
        if isinstance(body, Signal) and of.worker is None:
            return None
        return original(state, turn, of, body, at)

    return [(events, "append", append)]


# Starting again


@bug("a restart leaves out the last run of those that were running")
def recover_skips_a_run() -> list[Patch]:
    original = MemoryStore.running

    async def running(self: MemoryStore, *args: Any) -> Any:
        return (await original(self, *args))[1:]

    return [(MemoryStore, "running", running)]


@bug("a body that is run again does what is on record once more")
def replay_executes() -> list[Patch]:
    original = Recall.outcome_of

    def outcome_of(self: Recall, key: Any, kind: Kind) -> Outcome | None:
        return original(self, key, kind) if kind is not Kind.STEP else None

    return [(Recall, "outcome_of", outcome_of)]


@bug("a journal is given away without its last outcome")
def journal_cut_short() -> list[Patch]:
    original = MemoryStore.journal

    async def journal(self: MemoryStore, run_id: Any) -> Any:
        entries = await original(self, run_id)
        return entries[:-1] if len(entries) > 1 and isinstance(entries[-1].body, Outcome) else entries

    return [(MemoryStore, "journal", journal)]


@bug("a run that waits is stored as waiting for nothing")
def wait_not_written() -> list[Patch]:
    original = run.suspend

    def suspend(turn: Turn, waiting: Any) -> None:
        waiting.wake_at = 0
        waiting.waiting = structs.replace(waiting.waiting, timers=())
        original(turn, waiting)

    return [(module, "suspend", suspend) for module in (run, queue)]


# People


@bug("a cancel doesn't reach the children", seeds_max=120)
def cancel_stops_at_the_parent() -> list[Patch]:
    def children(turn: Turn, of: Any) -> Any:
        return []
        yield

    return [(operator, "_children", children)]


@bug("a run that may not run twice is run again")
def runs_twice() -> list[Patch]:
    return [(module, "block", _requeue(module.block)) for module in (run, queue)]


def _requeue(block: Any) -> Any:
    def maybe_block(state: Any, turn: Turn, of: Any, error: Any) -> None:
        if "may not run again" in error.message:
            of.worker = None
            run.requeue(state, turn, of)
        else:
            block(state, turn, of, error)

    return maybe_block


@bug("what a body sends is sent twice where it is asked for twice")
def sent_twice() -> list[Patch]:
    original = report._send

    def send(state: Any, turn: Turn, of: Any, ask: Send, message: Any) -> Any:
        yield from original(state, turn, of, ask, message)
        if ask.what == "signal":
            yield from events.signal(state, turn, report.RunId(ask.target), ask.name, ask.payload)

    return [(report._CASES, Send, send)]


@bug("memory isn't thrown away when a commit is refused")
def memory_ahead() -> list[Patch]:
    original = lane.Lane._not_written

    async def not_written(self: lane.Lane, error: Any, tokens: Any, queries: Any) -> None:
        if isinstance(error, StoreError) and error.is_aborted:
            self._dispatcher.fail_commands(tokens, error)
            self._dispatcher.flush()
        else:
            await original(self, error, tokens, queries)

    return [(lane.Lane, "_not_written", not_written)]
