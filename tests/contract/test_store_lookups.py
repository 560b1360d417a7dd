"""What every store finds: runs by status and family, timers, keys, events and those who wait."""

import pytest
from msgspec import Raw

from agnt5.core.engine.commands import Waiter
from agnt5.core.engine.state import Event, KeyUse
from agnt5.core.model.ids import OperationKey
from agnt5.core.model.run import Link, Status
from agnt5.store.port import Heartbeat, RunFilter, Store

from .making import batch, journal, run, run_id, started


def numbers(runs: list) -> list[int]:
    """Runs as the numbers they were made from."""
    return [int(found.id, 16) for found in runs]


def child(number: int, parent: int, **facts):
    """A run that another one has started."""
    return run(number, link=Link(run_id(parent), 0, OperationKey(f"k{number}"), 1, True), **facts)


# Runs by filter


@pytest.fixture
async def many(store: Store) -> Store:
    """A store with six runs of two components."""
    await store.commit(
        batch(
            created=[
                run(1, status=Status.QUEUED, tags=("red", "big")),
                run(2, status=Status.RUNNING, component="refund"),
                run(3, status=Status.COMPLETED, tags=("red",)),
                run(4, status=Status.COMPLETED, component="refund", tags=("redder",)),
                run(5, status=Status.BLOCKED),
                run(6, status=Status.COMPLETED, tags=('"red"',)),
            ]
        )
    )
    return store


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (RunFilter(), [6, 5, 4, 3, 2, 1]),
        (RunFilter(limit=2), [6, 5]),
        (RunFilter(before=run_id(4)), [3, 2, 1]),
        (RunFilter(before=run_id(4), limit=1), [3]),
        (RunFilter(status=Status.COMPLETED), [6, 4, 3]),
        (RunFilter(component="refund"), [4, 2]),
        (RunFilter(status=Status.COMPLETED, component="refund"), [4]),
        (RunFilter(tag="red"), [3, 1]),
        (RunFilter(tag='"red"'), [6]),
        (RunFilter(tag="red", status=Status.QUEUED), [1]),
        (RunFilter(tag="green"), []),
        (RunFilter(component="nobody"), []),
    ],
)
async def test_runs_are_listed_by_filter_newest_first(many: Store, wanted: RunFilter, found: list[int]):
    """Conditions add up, the limit holds, and a page goes on before the last of the one before."""
    assert numbers(await many.runs(wanted)) == found


async def test_ids_are_found_by_their_beginning(store: Store):
    """A shortened id is enough where it is unambiguous; the limit shows where it isn't."""
    await store.commit(batch(created=[run(0xAB << 120 | 1), run(0xAB << 120 | 2), run(0xAC << 120)]))

    assert await store.run_ids("ab", 10) == [run_id(0xAB << 120 | 1), run_id(0xAB << 120 | 2)]
    assert await store.run_ids("ab", 1) == [run_id(0xAB << 120 | 1)]
    assert await store.run_ids(run_id(0xAC << 120), 10) == [run_id(0xAC << 120)]
    assert len(await store.run_ids("", 10)) == 3
    assert await store.run_ids("ad", 10) == []


# Unfinished runs


async def test_running_runs_come_in_pages_by_id(many: Store):
    """A restart takes up what is stored as running, page by page, and nothing else."""
    await many.commit(batch(created=[run(n, status=Status.RUNNING) for n in range(10, 15)]))

    first = await many.running(None, 3)
    rest = await many.running(first[-1].id, 10)

    assert numbers(first) == [2, 10, 11]
    assert numbers(rest) == [12, 13, 14]


async def test_queued_runs_are_those_that_may_start_now(store: Store):
    """One that was submitted for later stands in no queue before its time."""
    await store.commit(
        batch(
            created=[
                run(3, status=Status.QUEUED),
                run(1, status=Status.QUEUED),
                run(2, status=Status.QUEUED, wake_at=99),
                run(4, status=Status.RUNNING),
                run(5, status=Status.QUEUED, component="refund"),
                run(6, status=Status.QUEUED, component="later", wake_at=99),
            ]
        )
    )

    assert numbers(await store.queued("checkout", 10)) == [1, 3]
    assert numbers(await store.queued("checkout", 1)) == [1]
    assert sorted(await store.queued_components()) == ["checkout", "refund"]


async def test_blocked_runs_are_found_by_component(many: Store):
    """They are tried again when other code for their component comes."""
    await many.commit(batch(created=[run(9, status=Status.BLOCKED), run(8, status=Status.BLOCKED)]))

    assert numbers(await many.blocked("checkout", 10)) == [5, 8, 9]
    assert numbers(await many.blocked("checkout", 2)) == [5, 8]
    assert await many.blocked("refund", 10) == []


async def test_a_run_that_changes_its_status_changes_its_list(store: Store):
    """A run is in one list at a time."""
    await store.commit(batch(created=[run(1, status=Status.QUEUED)]))

    await store.commit(batch(changed=[run(1, status=Status.RUNNING)]))
    assert numbers(await store.running(None, 10)) == [1]
    assert await store.queued("checkout", 10) == []
    assert await store.queued_components() == []

    await store.commit(batch(changed=[run(1, status=Status.COMPLETED)]))
    assert await store.running(None, 10) == []


# Timers


async def test_due_runs_come_soonest_first(store: Store):
    """Up to a time, whatever their status; those that wait for nothing never."""
    await store.commit(
        batch(
            created=[
                run(1, wake_at=300, status=Status.SUSPENDED),
                run(2, wake_at=100, status=Status.SUSPENDED),
                run(3, wake_at=200, status=Status.QUEUED),
                run(4, wake_at=301, status=Status.SUSPENDED),
                run(5, status=Status.SUSPENDED),
            ]
        )
    )

    assert await store.due(300, 10) == [(100, run_id(2)), (200, run_id(3)), (300, run_id(1))]
    assert await store.due(300, 2) == [(100, run_id(2)), (200, run_id(3))]
    assert await store.due(99, 10) == []


async def test_a_timer_that_was_set_anew_is_due_at_the_new_time(store: Store):
    """The record's wake time is the only one."""
    await store.commit(batch(created=[run(1, wake_at=100), run(2, wake_at=100)]))

    await store.commit(batch(changed=[run(1, wake_at=500), run(2)]))

    assert await store.due(1_000, 10) == [(500, run_id(1))]


# Families


async def test_children_are_found_by_their_parent(store: Store):
    """All of them, and those that have not ended."""
    statuses = [Status.QUEUED, Status.RUNNING, Status.SUSPENDED, Status.BLOCKED]
    ended = [Status.COMPLETED, Status.FAILED, Status.CANCELLED]
    await store.commit(
        batch(
            created=[
                run(1),
                *(child(10 + place, 1, status=status) for place, status in enumerate(statuses + ended)),
                child(30, 2),
            ]
        )
    )

    assert numbers(await store.children(run_id(1))) == [10, 11, 12, 13, 14, 15, 16]
    assert sorted(await store.live_children(run_id(1))) == [run_id(n) for n in (10, 11, 12, 13)]


# Events, waiters, keys, heartbeats


async def test_an_event_is_read_as_it_was_resolved(store: Store):
    """Payload and time; ids may be any text."""
    events = [Event(name, Raw(b'{"n":1}'), 5) for name in ("paid", "päid/2 'x'", "e" * 500)]

    await store.commit(batch(events=events))

    assert [await store.event(event.id) for event in events] == events


async def test_waiters_are_told_once(store: Store):
    """Those of a target that was served are gone; others wait on."""
    first, second = (Waiter("event:paid", run_id(n), 1, n, OperationKey(f"k{n}")) for n in (1, 2))
    other = Waiter("event:sent", run_id(1), 1, 3, OperationKey("k3"))
    await store.commit(batch(waiters=[first, second, other]))
    assert sorted(await store.waiters("event:paid"), key=lambda waiter: waiter.run_id) == [first, second]

    await store.commit(batch(served=["event:paid"]))

    assert await store.waiters("event:paid") == []
    assert await store.waiters("event:sent") == [other]


async def test_an_operation_waits_once_for_a_target(store: Store):
    """Asked again in a later life of its run, it waits where it asked last."""
    await store.commit(batch(waiters=[Waiter("event:paid", run_id(1), 1, 0, OperationKey("k"))]))

    again = Waiter("event:paid", run_id(1), 2, 4, OperationKey("k"))
    await store.commit(batch(waiters=[again]))

    assert await store.waiters("event:paid") == [again]


async def test_a_target_can_be_served_and_waited_for_in_one_batch(store: Store):
    """Who comes after the serving stays."""
    await store.commit(batch(waiters=[Waiter("run:1", run_id(1), 1, 0, OperationKey("k"))]))

    late = Waiter("run:1", run_id(2), 1, 0, OperationKey("k"))
    await store.commit(batch(served=["run:1"], waiters=[late]))

    assert await store.waiters("run:1") == [late]


async def test_an_idempotency_key_stands_for_one_run_of_a_component(store: Store):
    """The same key of another component is another key."""
    uses = [KeyUse("checkout", "k", run_id(1), "d1"), KeyUse("refund", "k", run_id(2), "d2")]

    await store.commit(batch(keys=uses))

    assert await store.key_use("checkout", "k") == uses[0]
    assert await store.key_use("refund", "k") == uses[1]
    assert await store.key_use("checkout", "other") is None


async def test_a_key_that_was_retaken_stands_for_the_new_run(store: Store):
    """What is compared stays as it was."""
    await store.commit(batch(keys=[KeyUse("checkout", "k", run_id(1), "digest")]))

    await store.commit(batch(retaken=[("checkout", "k", run_id(2))]))

    assert await store.key_use("checkout", "k") == KeyUse("checkout", "k", run_id(2), "digest")


async def test_the_last_heartbeat_of_each_step_counts(store: Store):
    """Also of several in one batch."""

    def beat(key: str, attempt: int, text: str) -> Heartbeat:
        return Heartbeat(run_id(1), OperationKey(key), attempt, Raw(text.encode()))

    await store.commit(batch(heartbeats=[beat("a", 1, "1"), beat("b", 1, "2"), beat("a", 1, "3")]))
    await store.commit(batch(heartbeats=[beat("b", 2, "4")]))

    found = {beat.key: (beat.attempt, bytes(beat.details)) for beat in await store.heartbeats(run_id(1))}
    assert found == {"a": (1, b"3"), "b": (2, b"4")}
    assert await store.heartbeats(run_id(2)) == []


async def test_a_big_batch_is_one_commit(store: Store):
    """More rows than any statement holds, of every kind, in one go."""
    count = 1_000

    await store.commit(
        batch(
            created=[run(n) for n in range(count)],
            entries=[line for n in range(count) for line in journal(n, started())],
            keys=[KeyUse("checkout", str(n), run_id(n), "") for n in range(count)],
            waiters=[Waiter("event:paid", run_id(n), 1, 0, OperationKey("k")) for n in range(count)],
        )
    )

    assert len(await store.runs(RunFilter(limit=count + 1))) == count
    assert len(await store.waiters("event:paid")) == count
    assert len(await store.queued("checkout", count + 1)) == count
    assert len(await store.journal(run_id(count - 1))) == 1
