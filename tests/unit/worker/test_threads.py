"""Threads for plain functions: as many as are needed, never more than allowed, and each call once."""

import threading
from queue import SimpleQueue

from agnt5.worker.threads import Threads

DEADLINE = 10.0  # Seconds; nothing here takes more than some milliseconds.


def test_calls_run_side_by_side_up_to_the_bound():
    """One more than there are threads waits until one is through."""
    threads = Threads(2)
    started: SimpleQueue[int] = SimpleQueue()
    gate = threading.Event()

    def work(number: int) -> None:
        started.put(number)
        gate.wait(DEADLINE)

    for number in range(3):
        threads.submit(work, number)
    first = {started.get(timeout=DEADLINE), started.get(timeout=DEADLINE)}

    assert first == {0, 1}
    assert started.empty()
    gate.set()
    assert started.get(timeout=DEADLINE) == 2


def test_every_call_is_made_once():
    """However many there are, and from wherever they come."""
    threads = Threads(4)
    done: SimpleQueue[int] = SimpleQueue()

    for number in range(200):
        threads.submit(done.put, number)

    assert sorted(done.get(timeout=DEADLINE) for _ in range(200)) == list(range(200))
    assert done.empty()


def test_no_thread_keeps_the_process_alive():
    """A program that was told to stop doesn't hang in a step that sleeps."""
    found: SimpleQueue[bool] = SimpleQueue()

    Threads(1).submit(lambda: found.put(threading.current_thread().daemon))

    assert found.get(timeout=DEADLINE) is True
