"""The awaitable that stands for an operation."""

import asyncio
import gc
import warnings
from typing import Any

import pytest

from agnt5.core.journal.entry import Kind
from agnt5.core.replay.operations import Operation, Request

from .journals import Life, outcome


def made(begin: Any = None) -> Operation[Any]:
    """An operation that nobody has begun."""
    request = Request(Kind.STEP, "charge", b"1", "shop.py:7", bytes)
    return Operation(begin or (lambda request: asyncio.sleep(0)), request, iter(range(100)).__next__)


def test_it_begins_when_it_is_first_awaited() -> None:
    """Not when it is made: the order of asking is that of awaiting."""

    async def body(life: Life) -> None:
        second, first = life.step("second"), life.step("first")
        await first
        await second

    life = Life(body, outcome(0, "first"))

    assert [request.name for request in life.replay.waiting_for] == ["second"]


def test_it_can_be_gathered_and_made_a_task() -> None:
    """It is a coroutine to asyncio."""

    async def body(life: Life) -> Any:
        task = asyncio.create_task(life.step("a"))  # type: ignore[arg-type]  # A coroutine indeed.
        return await asyncio.gather(life.step("b"), task)

    life = Life(body, outcome(0, "a", 1), outcome(1, "b", 2))

    assert life.result == [2, 1]


def test_it_hashes_by_first_use_and_equals_only_itself() -> None:
    """A set of operations is walked alike in every life."""
    first, second = made(), made()

    assert hash(first) == hash(first) == 0
    assert first != second
    first.close()
    second.close()


def test_one_that_is_never_awaited_is_reported_with_its_line() -> None:
    """It did not happen, and somebody should know."""
    operation: Any = made()

    with pytest.warns(RuntimeWarning, match=r"step 'charge' \(shop.py:7\) was never awaited"):
        del operation


@pytest.mark.parametrize("end", ["close", "throw", "refused"])
def test_one_that_was_ended_is_not_reported(end: str) -> None:
    """Closed, cancelled before it began, or refused: it is not forgotten."""

    def refuse(request: Request) -> Any:
        raise LookupError("refused")

    operation: Any = made(refuse)

    if end == "close":
        operation.close()
    else:
        with pytest.raises(LookupError):
            operation.send(None) if end == "refused" else operation.throw(LookupError("thrown"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del operation


def test_what_is_thrown_into_it_leaves_no_cycle() -> None:
    """The exception's traceback doesn't come to hold itself."""
    operation = made()
    gc.collect()
    gc.disable()
    try:
        error = LookupError("thrown")
        with pytest.raises(LookupError):
            operation.throw(error)
        holders = [each for each in gc.get_referrers(error) if isinstance(each, tuple)]

        assert holders == []
    finally:
        gc.enable()
