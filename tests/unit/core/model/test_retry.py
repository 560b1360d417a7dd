"""A policy says whether, how often and how soon a failed attempt is made again."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5 import InvalidInput, RetryPolicy
from agnt5.core.model.retry import RetrySpec, name_of_type, seconds_of


def test_the_default_is_three_attempts_from_a_second():
    """Three in all, one second, then two; ten percent of chance."""
    policy = RetryPolicy()

    assert policy.max_attempts == 3
    assert [policy.delay(attempt, chance=0.5) for attempt in (1, 2, 3)] == [1.0, 2.0, 4.0]
    assert policy.delay(1, chance=0.0) == pytest.approx(0.9)
    assert policy.delay(1, chance=1.0) == pytest.approx(1.1)


@given(
    st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1, 1e3), st.floats(0, 1), st.integers(1, 10**9), st.floats(0, 1)
)
def test_a_delay_stays_within_its_bounds(
    initial: float, most: float, multiplier: float, jitter: float, attempt: int, chance: float
):
    """Never negative, never above the maximum but for the jitter, however many attempts there were."""
    policy = RetryPolicy(3, initial, most, multiplier, jitter)

    delay = policy.delay(attempt, chance)

    plain = min(initial * multiplier ** min(attempt - 1, 60), most)
    assert plain * (1 - jitter) * 0.999 <= delay <= most * (1 + jitter) * 1.001


@given(st.floats(0.001, 1e3), st.floats(1, 10), st.integers(1, 100))
def test_delays_never_shrink(initial: float, multiplier: float, attempt: int):
    """Each is at least as long as the one before, jitter aside."""
    policy = RetryPolicy(3, initial, 1e9, multiplier, 0)

    assert policy.delay(attempt + 1, 0.5) >= policy.delay(attempt, 0.5)


class Declined(Exception):
    pass


class Stolen(Declined):
    pass


@pytest.mark.parametrize(
    ("retry_on", "no_retry_on", "error", "expected"),
    [
        ((Exception,), (), ValueError(), True),
        ((Exception,), (), KeyboardInterrupt(), False),
        ((OSError,), (), ConnectionError(), True),
        ((OSError,), (), ValueError(), False),
        ((Exception,), (Declined,), Stolen(), False),
        ((Exception,), (Stolen,), Declined(), True),
        ((Declined,), (Declined,), Declined(), False),
        ((), (), ValueError(), False),
    ],
)
def test_which_errors_are_retried(
    retry_on: tuple[type[BaseException], ...],
    no_retry_on: tuple[type[BaseException], ...],
    error: BaseException,
    expected: bool,
):
    """Those in `retry_on` and their subclasses, unless `no_retry_on` has them."""
    assert RetryPolicy(retry_on=retry_on, no_retry_on=no_retry_on).retries(error) is expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": -1},
        {"max_attempts": 1.5},
        {"max_attempts": True},
        {"max_attempts": "3"},
        {"initial_interval": -1},
        {"initial_interval": "1s"},
        {"initial_interval": float("nan")},
        {"initial_interval": True},
        {"max_interval": float("inf")},
        {"max_interval": timedelta(seconds=-1)},
        {"multiplier": 0.5},
        {"multiplier": float("nan")},
        {"multiplier": float("inf")},
        {"multiplier": "2"},
        {"jitter": 1.1},
        {"jitter": -0.1},
        {"jitter": None},
        {"retry_on": (1,)},
        {"retry_on": "ValueError"},
        {"no_retry_on": (object,)},
    ],
    ids=str,
)
def test_a_value_out_of_its_range_is_refused(wrong: dict[str, Any]):
    """With what it is, why that can't be, and what to pass instead."""
    with pytest.raises(InvalidInput) as caught:
        RetryPolicy(**wrong)

    [name] = wrong
    assert name in caught.value.what
    assert caught.value.why
    assert caught.value.fix


def test_intervals_may_be_timedeltas():
    """All durations are seconds or a timedelta."""
    policy = RetryPolicy(initial_interval=timedelta(milliseconds=500), max_interval=timedelta(minutes=1))

    assert (policy.initial_interval, policy.max_interval) == (0.5, 60.0)


def test_one_exception_type_needs_no_tuple():
    """`retry_on=OSError` means what it says."""
    assert RetryPolicy(retry_on=OSError).retry_on == (OSError,)  # type: ignore[arg-type]


def test_a_policy_survives_being_written_down():
    """In a journal its exceptions stand by name; those that can't be found any more are left out."""
    policy = RetryPolicy(5, 0.25, 9, 1.5, 0.2, (OSError, Declined), (Stolen,))

    spec = RetrySpec.of(policy)

    types = {name_of_type(cls): cls for cls in (OSError, Declined, Stolen)}
    assert spec.policy(types) == policy
    assert spec.policy({"builtins:OSError": OSError}).retry_on == (OSError,)


def test_equal_policies_are_equal():
    """By value, and as members of a set."""
    assert RetryPolicy(max_attempts=5) == RetryPolicy(5)
    assert RetryPolicy(max_attempts=5) != RetryPolicy(4)
    assert len({RetryPolicy(), RetryPolicy()}) == 1
    assert "max_attempts=5" in repr(RetryPolicy(5))


@pytest.mark.parametrize(("duration", "seconds"), [(0, 0.0), (1, 1.0), (1.5, 1.5), (timedelta(minutes=2), 120.0)])
def test_a_duration_is_seconds(duration: float | timedelta, seconds: float):
    """However it was written."""
    result = seconds_of(duration, "timeout")

    assert result == seconds
    assert type(result) is float
