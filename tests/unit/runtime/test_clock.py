"""The clock tells the machine's time, in microseconds."""

from time import time

from agnt5.runtime.clock import SystemClock


def test_the_clock_counts_microseconds_since_the_epoch():
    """The same as everybody else's on this machine."""
    before = time()

    now = SystemClock().now_us()

    assert before - 1 <= now / 1_000_000 <= time() + 1
