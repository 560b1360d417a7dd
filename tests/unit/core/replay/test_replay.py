"""One life of a body: what it asks for, what it is given, and when it disagrees with its journal."""

import asyncio
from typing import Any

import pytest

from agnt5.core.journal.entry import CancelRequested, Kind, Patched, Resumed
from agnt5.core.model.errors import NonDeterminismError
from agnt5.core.model.ids import OperationKey
from agnt5.core.replay.closing import Evicted

from .journals import STEP_US, Life, begun, failed, fired, outcome, retrying, signal


async def two_steps(life: Life) -> Any:
    return [await life.step("a"), await life.step("b")]


def test_a_body_asks_and_goes_on_with_each_outcome() -> None:
    """Nothing runs ahead of its outcome."""
    life = Life(two_steps)

    first = life.asked
    life.deliver(outcome(0, "a", 1))
    second = life.asked
    life.deliver(outcome(1, "b", 2))

    assert (first, second) == (["a"], ["b"])
    assert life.result == [1, 2]


def test_a_recorded_past_is_not_asked_for_again() -> None:
    """Of all that it asks, only what has no outcome waits to be done."""
    life = Life(two_steps, outcome(0, "a", 1))

    assert [request.name for request in life.replay.waiting_for] == ["b"]
    assert not life.replay.is_replaying


def test_a_recorded_failure_is_raised_where_the_operation_is_awaited() -> None:
    """Exceptions replay like results."""

    async def body(life: Life) -> str:
        try:
            return await life.step("a")  # type: ignore[no-any-return]  # A str, here.
        except ValueError as error:
            return f"caught {error}"

    life = Life(body, failed(0, "a", "no"))

    assert life.result == "caught no"


def test_branches_go_on_in_the_order_of_the_journal() -> None:
    """Not in the order of asking."""
    order: list[str] = []

    async def branch(life: Life, name: str) -> None:
        order.append(await life.step(name))

    async def body(life: Life) -> None:
        await asyncio.gather(*(branch(life, name) for name in "abc"))

    life = Life(body, outcome(2, "c", "c"), outcome(0, "a", "a"))
    life.deliver(outcome(1, "b", "b"))

    assert order == ["c", "a", "b"]
    assert life.replay.is_over


def test_the_time_is_that_of_the_last_entry_seen() -> None:
    """However late the body is replayed."""
    times: list[int] = []

    async def body(life: Life) -> None:
        for name in "ab":
            times.append(life.replay.loop.now_us)
            await life.step(name)

    Life(body, outcome(0, "a"))

    assert times[1] - times[0] == STEP_US


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        (outcome(0, "x"), ["step 'x'", "old.py:0", "step 'a'", "new.py:a", "entry 1"]),
        (outcome(0, "a", kind=Kind.STATE), ["state 'a'", "step 'a'"]),
        (begun(0, "a"), ["call 'a'", "step 'a'"]),
        (retrying(0, "x", 1), ["step 'x'", "step 'a'"]),
        (outcome(5, "z"), ["step 'z'", "the code now asks for step 'a'"]),
        (fired(0), ["sleep (old.py:9)", "step 'a'"]),
    ],
)
def test_another_operation_than_the_recorded_one_stops_the_body(recorded: Any, words: list[str]) -> None:
    """The error has both sides, with their lines, and the body runs no further."""
    life = Life(two_steps, recorded, outcome(1, "b"))

    error = life.replay.divergence
    assert isinstance(error, NonDeterminismError)
    assert [word for word in words if word not in error.what] == []
    assert not life.replay.is_over


def test_a_chosen_run_must_be_the_same() -> None:
    """Whose result is awaited, and to whom something is sent, is part of the operation."""

    async def body(life: Life) -> None:
        await life.step("", kind=Kind.RESULT, target="run-2")

    same = Life(body, outcome(0, "child", kind=Kind.RESULT, target="run-2"))
    other = Life(body, outcome(0, "child", kind=Kind.RESULT, target="run-1"))

    assert same.replay.divergence is None
    assert other.replay.divergence is not None
    assert "run-1" in other.replay.divergence.what
    assert "run-2" in other.replay.divergence.what


def test_an_early_end_stops_the_run() -> None:
    """A body that ends before it asks for what is recorded disagrees."""

    async def body(life: Life) -> None:
        await life.step("a")

    life = Life(body, outcome(0, "a"), signal("s", 1), outcome(1, "b"))

    assert life.replay.divergence is not None
    assert "ends before" in life.replay.divergence.what


def test_what_is_left_unread_at_the_end_is_fine() -> None:
    """Outcomes of operations that were asked for, signals, timers and a cancel."""

    async def body(life: Life) -> str:
        asyncio.ensure_future(life.step("a"))  # noqa: RUF006  The loop keeps it.
        asyncio.get_running_loop().call_later(1, print)
        await asyncio.sleep(0)
        return "done"

    life = Life(body, outcome(0, "a"), signal("s", 1), fired(0), CancelRequested(), Resumed())

    assert life.replay.divergence is None
    assert life.result == "done"


def test_other_arguments_are_only_told() -> None:
    """The recorded outcome is used."""

    async def body(life: Life) -> Any:
        return await life.step("a", args="other")

    life = Life(body, outcome(0, "a", 7))

    assert life.result == 7
    assert "other arguments" in life.logged[0]
    assert "new.py:a" in life.logged[0]


def test_a_value_that_can_t_be_read_any_more_blocks_the_run() -> None:
    """A class that has changed is the code's fault, not the body's."""
    life = Life(two_steps)
    request = life.replay.waiting_for[0]
    request.read = lambda raw: 1 / 0

    life.deliver(outcome(0, "a", 1))

    assert life.replay.divergence is not None
    assert "can't be read" in life.replay.divergence.what


def test_signals_are_taken_in_order() -> None:
    """Those that came before the wait are kept."""
    got: list[Any] = []

    async def body(life: Life) -> None:
        await life.step("a")
        for _ in range(3):
            got.append(await life.replay.wait_signal("s", bytes, "here"))

    life = Life(body, signal("s", 1), signal("other", 9), signal("s", 2), outcome(0, "a"))
    waiting = life.replay.awaited_signals
    life.deliver(signal("s", 3))

    assert waiting == [("s", "here")]
    assert got == [b"1", b"2", b"3"]
    assert life.replay.consumed == {"s": 3}


def test_a_cancelled_wait_takes_no_signal() -> None:
    """The next one who waits gets it."""
    got: list[Any] = []

    async def take(life: Life) -> None:
        got.append(await life.replay.wait_signal("s", bytes, ""))

    async def body(life: Life) -> None:
        tasks = [asyncio.create_task(take(life)) for _ in range(2)]
        await life.step("a")
        tasks[0].cancel()
        await asyncio.wait(tasks)

    life = Life(body, outcome(0, "a"))
    life.deliver(signal("s", 1))

    assert got == [b"1"]
    assert life.replay.is_over


def test_a_cancel_interrupts_the_body_once() -> None:
    """What it does afterwards runs normally."""

    async def body(life: Life) -> str:
        try:
            await life.step("a")
        except asyncio.CancelledError:
            return f"undone {await life.step('undo')}"
        return "not cancelled"

    life = Life(body, CancelRequested(), outcome(1, "undo", 1))

    assert life.replay.is_cancel_requested
    assert [request.name for request in life.replay.dropped] == ["a"]
    assert life.result == "undone 1"


def test_a_dropped_operation_is_told_and_its_outcome_ignored() -> None:
    """A timeout around a step stops waiting for it."""

    async def body(life: Life) -> str:
        try:
            async with asyncio.timeout(1):
                await life.step("slow")
        except TimeoutError:
            return "late"
        return "in time"

    life = Life(body)
    life.deliver(fired(0))
    life.deliver(outcome(0, "slow", 1))

    assert [request.name for request in life.replay.dropped] == ["slow"]
    assert life.result == "late"


def test_chance_is_the_same_in_every_life() -> None:
    """Neither stream shifts the other."""

    async def one(life: Life) -> Any:
        return [life.replay.random.random(), life.replay.uuid4(), life.replay.random.random()]

    async def other(life: Life) -> Any:
        drawn = life.replay.uuid4()
        return [life.replay.random.random(), drawn, life.replay.random.random()]

    assert Life(one).result == Life(other).result


@pytest.mark.parametrize(
    ("journal", "answers"),
    [
        ([], [True, True]),
        ([signal("s", 1), CancelRequested(), Resumed()], [True, True]),
        ([outcome(0, "s0")], [False, False]),
        ([begun(0, "s0", Kind.STEP)], [False, False]),
        ([begun(-1, "nested", scope="k")], [False, False]),
        ([outcome(-1, "of an earlier attempt")], [True, True]),
        ([Patched("change"), outcome(0, "s0")], [True, True]),
        ([Patched("another"), outcome(0, "s0")], [False, False]),
    ],
)
def test_a_change_is_new_where_no_trace_of_the_body_lies_ahead(journal: list[Any], answers: list[bool]) -> None:
    """And the answer is one for the whole life."""

    async def body(life: Life) -> list[bool]:
        found = [life.replay.is_patched("change")[0]]
        with_cancel = asyncio.ensure_future(life.step("s0"))
        try:
            await with_cancel
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        found.append(life.replay.is_patched("change")[0])
        return found

    life = Life(body, *journal)
    if not life.replay.is_over:
        life.deliver(outcome(0, "s0"))

    assert life.result == answers


def test_what_a_closed_body_asks_for_is_refused() -> None:
    """In a `finally` that an eviction runs, nothing begins."""
    refused: list[str] = []

    async def body(life: Life) -> None:
        try:
            await life.step("a")
        finally:
            for what in (
                lambda: life.replay.begin(life.replay.asked[0]),
                lambda: life.replay.wait_signal("s", bytes, ""),
                lambda: life.replay.is_patched("change"),
            ):
                with pytest.raises(Evicted):
                    what()
                refused.append("yes")

    life = Life(body)
    life.replay.close()

    assert refused == ["yes"] * 3
    assert life.asked == ["a"]
    assert life.replay.dropped == []


def test_successes_of_earlier_attempts_are_found_by_key() -> None:
    """What came in for an earlier attempt is used when it is asked for again."""
    life = Life(two_steps)
    key = life.replay.waiting_for[0].key

    async def body(life: Life) -> Any:
        await life.step("first")
        return await life.step("a")

    again = Life(body, outcome(0, "first"), outcome(-1, "a", 5, key=OperationKey(key)))
    late = Life(body, outcome(-1, "a", 5, key=OperationKey(key)), outcome(0, "first"))

    assert not again.replay.is_over
    assert late.result == 5
