"""What is over is removed when its time has come, and nothing that something still needs: the same for every store."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import pytest
from msgspec import Raw

from agnt5.core.engine.commands import Waiter
from agnt5.core.engine.state import Event, KeyUse
from agnt5.core.model.errors import InvalidInput, StoreError, StoreFull
from agnt5.core.model.ids import OperationKey, RunId
from agnt5.core.model.run import Link, Run, Status
from agnt5.runtime.retention import DAY, ENTRIES_MAX, ENTRIES_MIN, FOREVER, NEVER, PAGE, RESTS, Keeper, Retention
from agnt5.store.memory import MemoryStore
from agnt5.store.port import Batch, Heartbeat, RunFilter, Store

from .making import batch, journal, outcome, run, run_id, started
from .shelf import Shelf

SECOND: Final = 1_000_000  # Microseconds.
NOW: Final = 400 * 86_400 * SECOND
WEEK: Final = 7 * 86_400 * SECOND
MONTH: Final = 30 * 86_400 * SECOND
DEFAULT: Final = Retention()
LONG_AGO: Final = NOW - 300 * 86_400 * SECOND
OVER: Final = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
LIVE: Final = (Status.QUEUED, Status.RUNNING, Status.SUSPENDED, Status.BLOCKED)


class Hand:
    """A clock that goes on by so much each time somebody looks at it."""

    def __init__(self, step_us: int = 0) -> None:
        self.now = NOW
        self._step_us = step_us

    def now_us(self) -> int:
        self.now += self._step_us
        return self.now


async def add(store: Store, number: int, status: Status, at: int, *, entries: int = 2, **facts: Any) -> Run:
    """A run whose journal begins, and which ended if it has, at this time."""
    made = run(number, status=status, created_at=at, ended_at=at if status.is_terminal else 0, **facts)
    bodies = [started(), *(outcome(op) for op in range(entries - 1))]
    await store.commit(batch(created=[made], entries=journal(number, *bodies, at=at)))
    return made


async def one_pass(keeper: Keeper) -> int:
    """Let it work until it wants to rest for longer than after a bite; returns the number of bites."""
    bites = 0
    while True:
        await keeper.work()
        bites += 1
        if not keeper._phases:
            return bites
        assert bites < 10_000, "a pass ends"
        keeper.next_at = 0


async def trim(store: Store, retention: Retention = DEFAULT) -> None:
    """Make one pass through the store."""
    await one_pass(Keeper(store, retention, Hand()))


async def left(store: Store) -> list[int]:
    """The numbers of the runs that are there."""
    return sorted(int(found.id, 16) for found in await store.runs(RunFilter(limit=10_000)))


def child_of(number: int) -> Link:
    """What links a child to this parent."""
    return Link(run_id(number), 0, OperationKey("child"), 1, called=False)


# How long


@pytest.mark.parametrize("status", OVER)
@pytest.mark.parametrize(("days", "is_there"), [(-1, True), (0, False), (1, False)])
async def test_a_run_is_kept_for_the_time_of_its_status(store: Store, status: Status, days: int, is_there: bool):
    """Completed runs a week, failed and cancelled ones thirty days, to the microsecond."""
    kept = WEEK if status is Status.COMPLETED else MONTH
    await add(store, 1, status, NOW - kept + (1 if days < 0 else -days * 86_400 * SECOND))

    await trim(store)

    assert await left(store) == ([1] if is_there else [])


@pytest.mark.parametrize("status", LIVE)
async def test_a_run_that_has_not_ended_is_kept(store: Store, status: Status):
    """However old it is."""
    await add(store, 1, status, LONG_AGO)

    await trim(store, Retention(completed=0, failed=0, cancelled=0, events=0))

    assert await left(store) == [1]


@pytest.mark.parametrize("kept", OVER)
async def test_each_status_can_be_kept_for_ever(store: Store, kept: Status):
    """None is no time; the others go all the same."""
    for number, status in enumerate(OVER):
        await add(store, number, status, LONG_AGO)

    await trim(store, Retention(**{kept.value: None}))

    assert await left(store) == [OVER.index(kept)]


async def test_everything_can_be_kept_for_ever(store: Store):
    """Then there is never anything to do."""
    await add(store, 1, Status.COMPLETED, LONG_AGO)
    keeper = Keeper(store, FOREVER, Hand())

    await keeper.work()

    assert keeper.next_at == NEVER
    assert await left(store) == [1]


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "7d", True])
def test_a_time_that_is_none_is_refused(value: Any):
    """With the name of the setting."""
    with pytest.raises(InvalidInput, match="failed"):
        Retention(failed=value)


# What goes with a run


async def test_all_of_a_run_goes(shelf: Shelf):
    """Its record, its journal, its key and its heartbeats; a run that isn't there has none of them."""
    made = await add(shelf.store, 1, Status.COMPLETED, LONG_AGO, idempotency_key="order-1")
    beat = Heartbeat(made.id, OperationKey("step"), 1, Raw(b"1"))
    await shelf.store.commit(batch(keys=[KeyUse("checkout", "order-1", made.id, "digest")], heartbeats=[beat]))

    await trim(shelf.store)
    await shelf.reopen()

    store = shelf.store
    assert await store.run(made.id) is None
    assert await store.journal(made.id) == []
    assert await store.heartbeats(made.id) == []
    assert await store.key_use("checkout", "order-1") is None
    assert await store.remains() is None


async def test_a_key_stays_as_long_as_its_run(store: Store):
    """Within the retention a key gives the run it stands for."""
    made = await add(store, 1, Status.COMPLETED, NOW - WEEK + 1, idempotency_key="order-1")
    await store.commit(batch(keys=[KeyUse("checkout", "order-1", made.id, "digest")]))

    await trim(store)

    assert await store.key_use("checkout", "order-1") == KeyUse("checkout", "order-1", made.id, "digest")


async def test_a_key_that_another_run_took_over_stays(store: Store):
    """A retry with `take_key=True` has it; that the first run goes is nothing to it."""
    first = await add(store, 1, Status.FAILED, LONG_AGO, idempotency_key="order-1")
    second = await add(store, 2, Status.COMPLETED, NOW, idempotency_key="order-1")
    await store.commit(batch(keys=[KeyUse("checkout", "order-1", first.id, "digest")]))
    await store.commit(batch(retaken=[("checkout", "order-1", second.id)]))

    await trim(store)

    assert await left(store) == [2]
    assert await store.key_use("checkout", "order-1") == KeyUse("checkout", "order-1", second.id, "digest")


async def test_neighbours_are_left_alone(store: Store):
    """Of runs between those that go nothing is missing."""
    for number in range(1, 6):
        await add(store, number, Status.COMPLETED, LONG_AGO if number % 2 else NOW, entries=5)

    await trim(store)

    assert await left(store) == [2, 4]
    assert [len(await store.journal(run_id(number))) for number in range(1, 6)] == [0, 5, 0, 5, 0]


# What something still needs


@pytest.mark.parametrize("status", [*LIVE, Status.FAILED, Status.CANCELLED])
async def test_a_child_is_kept_while_its_parent_is_there(store: Store, status: Status):
    """The parent may be replayed, retried or forked, and ask for it; one that is over is kept for its own time."""
    await add(store, 1, status, NOW - MONTH + 1)
    await add(store, 2, Status.COMPLETED, NOW - MONTH + 2, link=child_of(1))

    await trim(store)

    assert await left(store) == [1, 2]


async def test_a_child_goes_with_its_parent(store: Store):
    """A family that is over goes, the parents first."""
    await add(store, 1, Status.COMPLETED, LONG_AGO)
    await add(store, 2, Status.COMPLETED, LONG_AGO + 1, link=child_of(1))
    await add(store, 3, Status.COMPLETED, LONG_AGO + 2, link=child_of(2))
    keeper = Keeper(store, DEFAULT, Hand())

    for _ in range(3):
        keeper.next_at = 0
        await one_pass(keeper)

    assert await left(store) == []


async def test_a_child_of_an_earlier_generation_is_not_kept(store: Store):
    """A run that goes on for ever through `continue_as` doesn't keep all that it ever started."""
    await add(store, 1, Status.SUSPENDED, LONG_AGO, entries=4)
    await add(store, 2, Status.COMPLETED, LONG_AGO + 1, link=child_of(1))
    await add(store, 3, Status.COMPLETED, LONG_AGO + 3, link=child_of(1))
    # The generation that is there now began with the third entry.
    await store.commit(batch(trimmed=[(run_id(1), 2)]))

    await trim(store)

    assert await left(store) == [1, 3]


async def test_a_run_that_another_waits_for_is_kept(store: Store):
    """Whoever is written down as waiting for it will be told."""
    await add(store, 1, Status.COMPLETED, LONG_AGO)
    await add(store, 2, Status.SUSPENDED, LONG_AGO)
    await store.commit(batch(waiters=[Waiter(f"run:{run_id(1)}", run_id(2), 1, 0, OperationKey("k"))]))

    await trim(store)

    assert await left(store) == [1, 2]


# Events


async def resolved(store: Store, **times: int) -> None:
    """Resolve events at these times."""
    await store.commit(batch(events=[Event(name, Raw(b"1"), at) for name, at in times.items()]))


async def events_left(store: Store) -> list[str]:
    """The events that are there."""
    return [name for name, _ in await store.event_times("", 10_000)]


async def test_an_event_is_kept_for_its_time_after_every_run_that_could_ask(store: Store):
    """Thirty days before the first of the runs that are there began; young runs count as a week old."""
    await resolved(store, old=NOW - WEEK - MONTH - 1, young=NOW - WEEK - MONTH)

    await trim(store)

    assert await events_left(store) == ["young"]


@pytest.mark.parametrize("status", [Status.SUSPENDED, Status.FAILED])
async def test_a_run_that_is_there_keeps_the_events_it_could_ask_for(store: Store, status: Status):
    """What was acknowledged doesn't vanish while a run lives that began within the event's time, or is kept."""
    began = NOW - MONTH + 1
    await add(store, 1, status, began)
    await resolved(store, before=began - MONTH - 1, within=began - MONTH, after=began + 1)

    await trim(store, Retention(events=30 * DAY, completed=DAY))

    assert await events_left(store) == ["after", "within"]


async def test_a_new_generation_asks_as_a_new_run_does(store: Store):
    """A run that goes on for ever through `continue_as` doesn't keep every event there ever was."""
    await add(store, 1, Status.SUSPENDED, LONG_AGO, entries=2)
    await store.commit(batch(entries=journal(1, started(), first=2, at=NOW), trimmed=[(run_id(1), 2)]))
    await resolved(store, long_ago=LONG_AGO)

    await trim(store)

    assert await events_left(store) == []


async def test_events_can_be_kept_for_ever(store: Store):
    """While runs are not."""
    await add(store, 1, Status.COMPLETED, LONG_AGO)
    await resolved(store, long_ago=LONG_AGO)

    await trim(store, Retention(events=None))

    assert (await left(store), await events_left(store)) == ([], ["long_ago"])


async def test_waits_of_runs_that_are_over_go(store: Store):
    """An approval that nobody gives leaves nothing behind when its run has ended or is gone."""
    await add(store, 1, Status.SUSPENDED, LONG_AGO)
    await add(store, 2, Status.CANCELLED, NOW)
    waiters = [Waiter("event:paid", run_id(number), 1, 0, OperationKey("k")) for number in (1, 2, 3)]
    await store.commit(batch(waiters=waiters))

    await trim(store)

    assert [waiter.run_id for waiter in await store.waiters("event:paid")] == [run_id(1)]


# In small bites


class Watching:
    """Lets every commit of a keeper through, and notes what it is; or fails instead."""

    def __init__(self, store: Store) -> None:
        self.batches: list[Batch] = []
        self.fail: Callable[[], None] = lambda: None
        self._store = store
        self._commit = store.commit
        store.commit = self._noted  # type: ignore[method-assign]  # The store stays the one that it is.

    async def _noted(self, written: Batch) -> None:
        self.fail()
        await self._commit(written)
        self.batches.append(written)


async def test_many_runs_go_in_many_commits(store: Store):
    """A bite has so many runs and so many entries, at the most."""
    for number in range(3 * PAGE):
        await add(store, number, Status.COMPLETED, LONG_AGO, entries=3)
    watching = Watching(store)

    await trim(store)

    sizes = [len(written.removed) for written in watching.batches]
    assert sum(sizes) == 3 * PAGE
    assert max(sizes) <= PAGE
    assert await left(store) == []


async def test_a_long_journal_goes_in_pieces(shelf: Shelf):
    """The run is gone with the first of them, and what is left of it is found after a restart too."""
    await add(shelf.store, 1, Status.COMPLETED, LONG_AGO, entries=ENTRIES_MAX)
    await add(shelf.store, 2, Status.COMPLETED, LONG_AGO, entries=3)
    keeper = Keeper(shelf.store, DEFAULT, Hand())

    await keeper.work()  # What an earlier keeper has left: nothing.
    keeper.next_at = 0
    await keeper.work()

    assert await left(shelf.store) == [2]
    assert await shelf.store.children(run_id(1)) == []
    remains = await shelf.store.remains()
    assert remains is not None
    assert (remains.id, remains.next_index) == (run_id(1), ENTRIES_MAX)
    assert 0 < remains.first < ENTRIES_MAX

    await shelf.reopen(on_purpose=False)
    await trim(shelf.store)

    assert await shelf.store.remains() is None
    assert await shelf.store.journal(run_id(1)) == []
    assert await left(shelf.store) == []


async def test_remains_are_no_run(store: Store):
    """Nobody finds what is left of a run that is gone, by whatever he looks."""
    await add(store, 1, Status.COMPLETED, LONG_AGO, entries=ENTRIES_MAX)
    keeper = Keeper(store, DEFAULT, Hand())
    await keeper.work()
    keeper.next_at = 0
    await keeper.work()

    assert await store.run(run_id(1)) is None
    assert await store.run_ids("", 10) == []
    assert await store.running(None, 10) == []


@pytest.mark.parametrize("look_us", [1_000, 20_000])
async def test_it_rests_nineteen_times_as_long_as_it_works(look_us: int):
    """At most a twentieth of the runtime's time goes to it."""
    store, clock = MemoryStore(), Hand(look_us)
    for number in range(2 * PAGE):
        await add(store, number, Status.COMPLETED, LONG_AGO)
    keeper = Keeper(store, DEFAULT, clock)

    while keeper.removed < 2 * PAGE:
        began = max(clock.now, keeper.next_at)
        clock.now = began
        await keeper.work()

        assert clock.now - began >= look_us
        assert keeper.next_at - clock.now >= RESTS * look_us


@pytest.mark.parametrize(
    ("commit_us", "entry_us", "last"), [(0, 0, ENTRIES_MAX), (50_000, 0, ENTRIES_MAX), (1_000, 10_000, ENTRIES_MIN)]
)
async def test_a_bite_is_as_large_as_the_disk_is_quick(commit_us: int, entry_us: int, last: int):
    """What it may hold follows from what its entries take, and not from what any commit does."""
    store, clock = MemoryStore(), Hand()
    await add(store, 1, Status.COMPLETED, LONG_AGO, entries=3 * ENTRIES_MAX)
    watching = Watching(store)
    ends = [0]

    def take() -> None:
        new = [removal.until for written in watching.batches[len(ends) - 1 :] for removal in written.removed]
        clock.now += commit_us + entry_us * (new[0] - ends[-1] if new else 0)
        ends.extend(new)

    watching.fail = take
    await one_pass(Keeper(store, DEFAULT, clock))
    take()

    sizes = [end - start for start, end in pairwise(ends)]
    assert sum(sizes) == 3 * ENTRIES_MAX
    assert sizes[-2] == last


async def test_it_comes_back_before_the_shortest_time_is_over():
    """Ten times within it, but not more often than each second nor more rarely than each hour."""
    rests = {}
    for seconds in (0, 100, 7 * DAY):
        clock = Hand()
        keeper = Keeper(MemoryStore(), Retention(completed=seconds), clock)
        await one_pass(keeper)
        rests[seconds] = (keeper.next_at - clock.now) / SECOND

    assert rests == {0: 1, 100: 10, 7 * DAY: 3_600}


async def test_it_does_nothing_before_its_time(store: Store):
    """Being asked costs nothing."""
    keeper = Keeper(store, DEFAULT, Hand())
    await one_pass(keeper)
    await add(store, 1, Status.COMPLETED, LONG_AGO)

    await keeper.work()

    assert await left(store) == [1]


@pytest.mark.parametrize("jump", [3_600 * SECOND, -3_600 * SECOND, -NOW // 2])
async def test_a_clock_that_jumps_does_not_stop_it(store: Store, jump: int):
    """It waits no longer than an hour by the clock as it is now."""
    clock = Hand()
    keeper = Keeper(store, DEFAULT, clock)
    await one_pass(keeper)
    clock.now += jump
    assert clock.now > 0

    bites = 0
    while bites < 3 and clock.now < NOW + jump + 2 * 3_600 * SECOND + 10 * SECOND:
        clock.now += 60 * SECOND
        before = keeper.next_at
        await keeper.work()
        bites += keeper.next_at != before

    assert bites == 3


async def test_a_store_that_is_full_is_tried_again(store: Store):
    """Nothing is lost by that, and nobody is told but the log."""
    await add(store, 1, Status.COMPLETED, LONG_AGO)
    watching = Watching(store)
    clock = Hand()
    keeper = Keeper(store, DEFAULT, clock)

    def full() -> None:
        raise StoreFull("no space")

    watching.fail = full
    await one_pass(keeper)
    assert await left(store) == [1]
    clock.now = keeper.next_at
    watching.fail = lambda: None
    await one_pass(keeper)

    assert await left(store) == []


async def test_a_commit_of_unknown_outcome_stops_the_runtime(store: Store):
    """As it does where a run is written: nobody goes on with a store of which he doesn't know what is in it."""
    await add(store, 1, Status.COMPLETED, LONG_AGO)

    def fail() -> None:
        raise StoreError("the disk failed")

    Watching(store).fail = fail

    with pytest.raises(StoreError, match="the disk failed"):
        await trim(store)


async def test_any_page_of_ids_is_looked_at(store: Store):
    """Runs that are kept don't hide those behind them, however many there are."""
    for number in range(2 * PAGE + 1):
        await add(store, number, Status.SUSPENDED if number < 2 * PAGE else Status.COMPLETED, LONG_AGO, entries=1)

    await trim(store)

    assert await left(store) == list(range(2 * PAGE))


async def test_a_store_of_nothing_is_trimmed_too(store: Store):
    """A pass over nothing ends."""
    await trim(store)

    assert await store.aged(None, RunId("f" * 32), 10) == []
    assert await store.waits(None, 10) == []
