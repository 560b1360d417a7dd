"""The loop of a body: order, time, timers, hashes, the end."""

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from agnt5.core.model.errors import BusyWorkflowError, EffectOutsideStep, InvalidInput
from agnt5.core.replay.loop import MICROSECONDS, NEVER_US, TURNS_MAX, ReplayLoop, site_of_caller

from .journals import START_US, drive


@pytest.fixture
def loop() -> Iterator[ReplayLoop]:
    """A loop that reports what nobody awaits."""
    made = ReplayLoop(START_US, 12345, lambda context: None)  # type: ignore[abstract]  # Set one by one.
    yield made
    made.close()


def test_callbacks_run_in_the_order_of_asking(loop: ReplayLoop) -> None:
    """First come, first served; one that is cancelled isn't called."""
    order: list[int] = []
    handles = [loop.call_soon(order.append, n) for n in range(5)]
    handles[2].cancel()

    loop.run_until_idle()

    assert order == [0, 1, 3, 4]
    assert handles[2].cancelled()


def test_a_callback_that_raises_is_reported_and_the_others_run() -> None:
    """One broken callback doesn't stop the loop."""
    told: list[dict[str, Any]] = []
    loop = ReplayLoop(START_US, 1, told.append)  # type: ignore[abstract]  # Set one by one.
    order: list[int] = []
    loop.call_soon(int, "x")
    loop.call_soon(order.append, 1)

    loop.run_until_idle()

    assert order == [1]
    assert isinstance(told[0]["exception"], ValueError)


def test_a_timer_fires_only_when_the_journal_says_so(loop: ReplayLoop) -> None:
    """Time passing fires nothing."""
    order: list[str] = []
    loop.call_later(1, order.append, "first")
    loop.call_later(2, order.append, "second")
    loop.now_us += 10 * MICROSECONDS
    loop.run_until_idle()

    is_known = loop.fire(1)
    loop.run_until_idle()

    assert is_known
    assert order == ["second"]
    assert list(loop.timers) == [0]


def test_firing_a_timer_that_was_cancelled_does_nothing(loop: ReplayLoop) -> None:
    """The body had set it, so it is no disagreement; one it never set is."""
    order: list[str] = []
    loop.call_later(1, order.append, "no").cancel()

    assert loop.fire(0)
    assert not loop.fire(1)
    loop.run_until_idle()

    assert order == []


def test_a_timer_that_is_due_when_it_is_set_takes_no_number(loop: ReplayLoop) -> None:
    """It runs in the next turn, as if called soon."""
    order: list[str] = []

    timer = loop.call_later(0, order.append, "now")
    loop.call_later(-5, order.append, "before")
    loop.run_until_idle()

    assert timer.n == -1
    assert loop.timers_set == 0
    assert order == ["now", "before"]


def test_a_fired_timer_finds_its_time_reached() -> None:
    """Whoever compares the loop's time with what it asked for never finds it too early, however floats round."""
    chance = Random(5)

    for _ in range(2_000):
        loop = ReplayLoop(chance.randrange(10**15, 2 * 10**15), 1, lambda context: None)  # type: ignore[abstract]
        when = loop.time() + chance.choice([chance.random() * 100, chance.randrange(1, 10**6) / 1000])
        timer = loop.call_at(when, print)
        loop.now_us = timer.due

        assert loop.time() >= when
        assert (timer.due - 2) / MICROSECONDS < when


def test_a_timer_without_end_never_comes_due(loop: ReplayLoop) -> None:
    """Infinity is a time that no clock reaches, and not-a-number is none."""
    timer = loop.call_at(float("inf"), print)

    assert timer.due == NEVER_US
    with pytest.raises(InvalidInput, match="NaN"):
        loop.call_at(float("nan"), print)


def test_sets_of_tasks_and_futures_are_walked_alike() -> None:
    """The order depends on the order of creation and the seed, not on addresses."""
    orders = []
    for _ in range(20):
        kept = [bytearray(n) for n in range(Random(len(orders)).randrange(100))]
        loop = ReplayLoop(START_US, 99, lambda context: None)  # type: ignore[abstract]  # Set one by one.
        found: list[int] = []

        async def body(loop: ReplayLoop = loop, found: list[int] = found) -> None:
            tasks = [loop.create_task(asyncio.sleep(0)) for _ in range(17)]
            futures = [loop.create_future() for _ in range(9)]
            gathered = [asyncio.gather(each) for each in futures]
            everything: list[Any] = [*tasks, *futures, *gathered]
            found += [everything.index(each) for each in set(everything)]
            for each in futures:
                each.set_result(None)

        drive(loop, body)
        orders.append(found)
        del kept

    assert len(orders[0]) == 35
    assert all(order == orders[0] for order in orders)
    assert orders[0] != sorted(orders[0])


def test_a_busy_wait_is_an_error_with_its_line(loop: ReplayLoop) -> None:
    """Turns without a wait have a bound."""

    async def poll() -> None:
        while True:  # noqa: ASYNC110  That is what is tested.
            await asyncio.sleep(0)

    with pytest.raises(BusyWorkflowError) as caught:
        drive(loop, poll)

    assert f"{TURNS_MAX:,}" in caught.value.what
    assert f"{__file__}:{poll.__code__.co_firstlineno + 2}" in caught.value.what


def test_a_turn_is_all_that_is_ready(loop: ReplayLoop) -> None:
    """Many callbacks in a few turns are no busy wait."""
    count: list[int] = []

    for n in range(TURNS_MAX + 10):
        loop.call_soon(count.append, n)
    loop.run_until_idle()

    assert len(count) == TURNS_MAX + 10


@pytest.mark.parametrize("name", ["run_in_executor", "add_reader", "call_soon_threadsafe", "run_forever", "stop"])
def test_what_needs_more_than_a_queue_is_refused(name: str, loop: ReplayLoop) -> None:
    """The error says what to do."""
    with pytest.raises(EffectOutsideStep, match=r"ctx\.step"):
        getattr(loop, name)(None, print)


def test_every_method_of_a_loop_is_there() -> None:
    """Nothing of asyncio's interface is left abstract: it works or is refused."""
    missing = [name for name in vars(asyncio.AbstractEventLoop) if name not in vars(ReplayLoop) and name[0] != "_"]

    assert missing == []


def test_the_site_is_the_users_innermost_line() -> None:
    """Frames of asyncio and of agnt5 are passed over."""
    assert site_of_caller().startswith(__file__)


def test_a_callback_of_the_loops_own_has_no_site(loop: ReplayLoop) -> None:
    """Whoever drives the loop isn't the one who asks."""
    sites: list[str] = []
    loop.call_soon(lambda: None)
    loop.call_soon(loop.call_later, 5, print)

    loop.run_until_idle()
    sites += [timer.site for timer in loop.timers.values()]

    assert sites == [""]
