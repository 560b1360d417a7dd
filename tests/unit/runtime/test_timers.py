"""What is due is found in time: the near future in memory, the rest in the store, nothing twice or never."""

from random import Random

import pytest

from agnt5.core.model.ids import RunId
from agnt5.runtime.timers import LEAD_US, LOADED_MAX, WINDOW_US, Timers

A, B, C = (RunId(letter * 32) for letter in "abc")


@pytest.fixture
def timers() -> Timers:
    """Timers that know of a window from 0."""
    timers = Timers()
    timers.load([], WINDOW_US)
    return timers


def test_what_is_due_comes_soonest_first(timers: Timers):
    """And is gone from then on."""
    for due, run_id in ((30, C), (10, A), (20, B)):
        timers.arm(due, run_id)

    assert timers.pop_due(20, 10) == [A, B]
    assert timers.pop_due(20, 10) == []
    assert timers.pop_due(30, 10) == [C]


def test_a_run_comes_once_at_its_soonest(timers: Timers):
    """However often it is armed."""
    for due in (30, 10, 20, 10):
        timers.arm(due, A)

    assert timers.pop_due(10, 10) == [A]
    assert timers.pop_due(100, 10) == []


def test_a_flood_leaves_room(timers: Timers):
    """At most so many at a time; the others with the next."""
    for number in range(10):
        timers.arm(number, RunId(f"{number:032x}"))

    assert [len(timers.pop_due(100, 4)) for _ in range(4)] == [4, 4, 2, 0]


def test_what_is_far_off_is_left_to_the_store(timers: Timers):
    """Memory holds a window alone."""
    timers.arm(WINDOW_US + 1, A)

    assert timers.pop_due(2 * WINDOW_US, 10) == []


def test_the_next_window_is_read_before_this_one_ends(timers: Timers):
    """With a lead that leaves time for what is being written."""
    assert not timers.wants_more(WINDOW_US - LEAD_US - 1)
    assert timers.wants_more(WINDOW_US - LEAD_US)
    assert timers.next_at == WINDOW_US - LEAD_US


def test_the_alarm_is_set_for_whatever_comes_first(timers: Timers):
    """A timer, or reading on."""
    timers.arm(50, A)
    assert timers.next_at == 50

    timers.pop_due(50, 1)
    assert timers.next_at == WINDOW_US - LEAD_US


def test_a_crowded_window_is_read_in_parts():
    """As many as are read at a time; the rest when these are through, and none is passed over."""
    timers = Timers()
    found = [(number, RunId(f"{number:032x}")) for number in range(LOADED_MAX)]
    timers.load(found, WINDOW_US)
    assert not timers.wants_more(0)

    assert len(timers.pop_due(LOADED_MAX, LOADED_MAX)) == LOADED_MAX
    assert timers.wants_more(0)
    timers.load([(LOADED_MAX, A)], WINDOW_US)

    assert timers.pop_due(LOADED_MAX, 10) == [A]


def test_nothing_is_lost_between_memory_and_store():
    """Runs armed at any time, near or far, come due once each, at their time or the reading after it."""
    random = Random(1)
    store: dict[RunId, int] = {}
    timers = Timers()
    now, due_seen = 0, {}
    for number in range(400):
        run_id = RunId(f"{number:032x}")
        store[run_id] = now + random.randrange(3 * WINDOW_US)
        timers.arm(store[run_id], run_id)
        now += random.randrange(WINDOW_US // 50)
        while timers.wants_more(now):
            found = sorted((due, run_id) for run_id, due in store.items() if due <= now + WINDOW_US)
            timers.load(found[:LOADED_MAX], now + WINDOW_US)
        for run_id in timers.pop_due(now, 1_000):
            assert run_id not in due_seen
            due_seen[run_id] = now
            assert store.pop(run_id) <= now

    assert not [run_id for run_id, due in store.items() if due <= now]
    assert len(due_seen) > 100
