"""What every store promises of commits and journals, whatever it is made of."""

import msgspec
import pytest
from msgspec import Raw

from agnt5.core.engine.commands import Waiter
from agnt5.core.engine.state import Event, KeyUse
from agnt5.core.journal.entry import Begun, Kind, Started
from agnt5.core.model.errors import StoreError
from agnt5.core.model.ids import OperationKey
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.run import Failure, Link, Origin, Run, Status, Timer, Wait, Waiting
from agnt5.store.port import Heartbeat, RunFilter, Store

from .making import batch, journal, outcome, run, run_id, started
from .shelf import Shelf

# A store with rules of its own says so in an error; memory asserts them.
REFUSED = (StoreError, AssertionError)


def full_run() -> Run:
    """A run of which every stored field differs from its default."""
    return run(
        7,
        status=Status.SUSPENDED,
        epoch=3,
        attempt=2,
        generation=4,
        life=5,
        created_at=10,
        started_at=20,
        ended_at=30,
        wake_at=40,
        link=Link(run_id(1), 2, OperationKey("k"), 3, True, "scope"),
        origin=Origin("retry", run_id(2)),
        awaited=True,
        tags=("blue", 'a "quoted" one', "ünïcode"),
        idempotency_key="order-42",
        code="abc",
        idempotent=False,
        crashes=6,
        is_cancel_requested=True,
        waiting=Waiting((Timer(40, 1, "sleep", "a.py:3"),), (Wait("event", "paid", "a.py:4"),), 39, True, Failure("x")),
        is_stored_suspended=True,
    )


async def test_a_run_comes_back_as_it_was_written(store: Store):
    """Every field of the record that is to be kept is kept."""
    written = full_run()

    await store.commit(batch(created=[written]))

    assert await store.run(written.id) == written


async def test_a_changed_run_replaces_what_was_there(store: Store):
    """The record is as the last commit wrote it, back to its defaults too."""
    await store.commit(batch(created=[full_run()]))

    changed = run(7, status=Status.QUEUED)
    await store.commit(batch(changed=[changed]))

    assert await store.run(run_id(7)) == changed


async def test_what_was_read_is_not_what_is_stored(store: Store):
    """No object is shared: changing a record that was read or written changes nothing in the store."""
    written = run(1)
    await store.commit(batch(created=[written]))

    written.status = Status.FAILED
    read = await store.run(run_id(1))
    assert read is not None
    read.status = Status.BLOCKED

    again = await store.run(run_id(1))
    assert again is not None
    assert again.status is Status.QUEUED


async def test_an_unknown_run_is_none(store: Store):
    """Asking for what isn't there is no error."""
    assert await store.run(run_id(1)) is None
    assert await store.journal(run_id(1)) == []
    assert await store.children(run_id(1)) == []
    assert await store.live_children(run_id(1)) == []
    assert await store.heartbeats(run_id(1)) == []
    assert await store.waiters("event:x") == []
    assert await store.event("x") is None
    assert await store.key_use("checkout", "x") is None


# Journals


async def test_a_journal_is_read_in_the_order_of_positions(store: Store):
    """Entries of several commits, and more than one statement holds, come in one order."""
    written = journal(1, started(), *(outcome(op) for op in range(600)))

    await store.commit(batch(created=[run(1)], entries=written[:1]))
    await store.commit(batch(entries=written[1:350]))
    await store.commit(batch(entries=written[350:]))

    assert await store.journal(run_id(1)) == [entry for _, entry in written]
    assert await store.last_entry(run_id(1)) == written[-1][1]


async def test_journals_of_a_batch_keep_apart(store: Store):
    """Entries of many runs, mixed in one commit, are each found with their own run."""
    runs = range(1, 41)
    entries = [line for place in range(5) for n in runs for line in journal(n, outcome(place, str(n)), first=place)]

    await store.commit(batch(created=[run(n) for n in runs], entries=entries))

    for n in runs:
        found = await store.journal(run_id(n))
        assert [entry.index for entry in found] == [0, 1, 2, 3, 4]
        assert {bytes(entry.body.result) for entry in found} == {str(n).encode()}


async def test_the_record_tells_where_its_journal_ends(store: Store):
    """A run that is loaded can be appended to at once: next position and time follow from its journal."""
    await store.commit(batch(created=[run(1), run(2)], entries=journal(1, started(), outcome(), at=5_000)))

    with_entries, without = await store.run(run_id(1)), await store.run(run_id(2))

    assert with_entries is not None
    assert without is not None
    assert (with_entries.next_index, with_entries.stamp) == (2, 5_001)
    assert (without.next_index, without.stamp) == (0, 0)


async def test_trimming_drops_what_lies_before(store: Store):
    """A new generation leaves only its own entries; positions go on."""
    await store.commit(batch(created=[run(1)], entries=journal(1, started(), outcome(0), outcome(1))))

    fresh = journal(1, Started("checkout", Raw(b"2"), generation=2), first=3)
    await store.commit(batch(entries=fresh, trimmed=[(run_id(1), 3)]))

    assert await store.journal(run_id(1)) == [fresh[0][1]]
    found = await store.run(run_id(1))
    assert found is not None
    assert found.next_index == 4


@pytest.mark.parametrize("text", ['"\\u0000 \\ud83d\\ude00"', '"ünï"', "[1,{}]", '{"$set":[1]}', "1e300", '""'])
async def test_payloads_are_kept_byte_for_byte(store: Store, text: str):
    """The store doesn't look into payloads, and gives back the very text."""
    await store.commit(batch(created=[run(1)], entries=journal(1, started(text), outcome(0, text))))

    first, second = await store.journal(run_id(1))

    assert bytes(first.body.input).decode() == text
    assert bytes(second.body.result).decode() == text


async def test_absent_payloads_stay_absent(store: Store):
    """No payload is not the payload null."""
    body = Begun(0, OperationKey("k"), Kind.CALL, "child", "target")

    await store.commit(batch(created=[run(1)], entries=journal(1, started(), body, outcome(1, "null"))))

    _, begun, done = await store.journal(run_id(1))
    assert begun.body.args == NOTHING
    assert bytes(done.body.result) == b"null"


async def test_a_payload_of_two_megabytes_fits(store: Store):
    """The largest payload that the SDK lets through is stored."""
    text = '"' + "x" * (2 * 1024 * 1024) + '"'

    await store.commit(batch(created=[run(1)], entries=journal(1, started(text))))

    [entry] = await store.journal(run_id(1))
    assert bytes(entry.body.input).decode() == text


# All or nothing


def broken_batches() -> dict[str, dict[str, object]]:
    """Batches that break a rule, next to something that doesn't."""
    return {
        "a run is created twice": {"created": [run(1)]},
        "an entry has a position that is taken": {"entries": journal(1, outcome(9))},
        "an entry in the middle is written again": {"entries": journal(1, outcome(9), first=1)},
        "a position occurs twice in the batch": {"entries": journal(1, outcome(9), first=3) * 2},
        "an event is resolved again": {"events": [Event("paid", Raw(b"2"), 2)]},
        "an idempotency key is used again": {"keys": [KeyUse("checkout", "k", run_id(2), "other")]},
    }


@pytest.mark.parametrize("what", list(broken_batches()))
async def test_a_batch_that_breaks_a_rule_writes_nothing(store: Store, what: str):
    """Conflicts are found where the write lands, and whatever else was in the batch isn't written either."""
    await store.commit(
        batch(
            created=[run(1)],
            entries=journal(1, started(), outcome(0), outcome(1)),
            events=[Event("paid", Raw(b"1"), 1)],
            keys=[KeyUse("checkout", "k", run_id(1), "digest")],
        )
    )
    before = await dump(store)
    broken = broken_batches()[what]
    others = {
        "created": [run(50), *broken.get("created", [])],
        "changed": [run(1, status=Status.FAILED)] if "created" not in broken else [],
        "entries": [*journal(50, started()), *broken.get("entries", [])],
        "events": [Event("other", Raw(b"1"), 1), *broken.get("events", [])],
        "keys": [KeyUse("checkout", "l", run_id(50), ""), *broken.get("keys", [])],
        "waiters": [Waiter("event:z", run_id(1), 1, 0, OperationKey("k"))],
        "heartbeats": [Heartbeat(run_id(1), OperationKey("k"), 1, Raw(b"1"))],
    }

    with pytest.raises(REFUSED):
        await store.commit(batch(**others))

    assert await dump(store) == before
    assert await store.run(run_id(50)) is None


async def dump(store: Store) -> list[object]:
    """All that the broken batches could have left."""
    return [
        await store.runs(RunFilter(limit=100)),
        await store.journal(run_id(1)),
        await store.journal(run_id(50)),
        [await store.event(name) for name in ("paid", "other")],
        [await store.key_use("checkout", key) for key in ("k", "l")],
        await store.waiters("event:z"),
        await store.heartbeats(run_id(1)),
    ]


async def test_a_refused_batch_leaves_the_store_usable(store: Store):
    """A conflict is certain not to have been written, so work goes on."""
    await store.commit(batch(created=[run(1)]))
    with pytest.raises(REFUSED) as refused:
        await store.commit(batch(created=[run(1)]))

    await store.commit(batch(created=[run(2)]))

    assert await store.run(run_id(2)) is not None
    assert getattr(refused.value, "is_aborted", True), "nothing was written, and the error says so"


async def test_an_empty_batch_is_written_too(store: Store):
    """Nothing to write is no error."""
    await store.commit(batch())

    assert await store.runs(RunFilter()) == []


# Opening again


async def test_what_was_committed_is_there_after_reopening(shelf: Shelf):
    """The next process finds all of it."""
    await shelf.store.commit(
        batch(
            created=[full_run()],
            entries=journal(7, started(), outcome(0, '"txn"')),
            events=[Event("paid", Raw(b'{"amount":1}'), 12)],
            keys=[KeyUse("checkout", "order-42", run_id(7), "digest")],
            waiters=[Waiter("event:sent", run_id(7), 5, 1, OperationKey("w"), "scope")],
            heartbeats=[Heartbeat(run_id(7), OperationKey("s"), 2, Raw(b'"half"'))],
        )
    )

    await shelf.reopen()

    store = shelf.store
    found = await store.run(run_id(7))
    assert found == msgspec.structs.replace(full_run(), next_index=2, stamp=1_001)
    assert [entry.body for entry in await store.journal(run_id(7))] == [started(), outcome(0, '"txn"')]
    assert await store.event("paid") == Event("paid", Raw(b'{"amount":1}'), 12)
    assert await store.key_use("checkout", "order-42") == KeyUse("checkout", "order-42", run_id(7), "digest")
    assert await store.waiters("event:sent") == [Waiter("event:sent", run_id(7), 5, 1, OperationKey("w"), "scope")]
    assert await store.heartbeats(run_id(7)) == [Heartbeat(run_id(7), OperationKey("s"), 2, Raw(b'"half"'))]


async def test_opening_tells_whether_the_last_owner_died(shelf: Shelf):
    """Who lets go on purpose says so; who doesn't has crashed. The first owner has none before it."""
    assert not (await shelf.reopen()).is_crash
    assert (await shelf.reopen(on_purpose=False)).is_crash
    assert not (await shelf.reopen()).is_crash


async def test_a_store_keeps_its_id(shelf: Shelf):
    """The id is made once, with the data."""
    first = await shelf.reopen()

    assert first.id
    assert (await shelf.reopen()).id == first.id
