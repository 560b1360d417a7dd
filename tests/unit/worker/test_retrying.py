"""Whether a failed attempt is followed by another, and when."""

from datetime import timedelta
from random import Random

import pytest

from agnt5 import (
    EffectOutsideStep,
    InvalidInput,
    NonRetryableError,
    PayloadTooLarge,
    RetryAfter,
    RetryPolicy,
    StepTimeoutError,
    UnknownComponent,
    UnserializableValue,
)
from agnt5.worker.retrying import retry_at

NOW = 1_700_000_000_000_000
POLICY = RetryPolicy(max_attempts=3, initial_interval=1.0, jitter=0.0)


def delay(error: BaseException, attempt: int = 1, policy: RetryPolicy = POLICY) -> int | None:
    """Microseconds until the next attempt."""
    at = retry_at(policy, attempt, error, Random(1), NOW)
    return None if at is None else at - NOW


def test_delays_follow_the_policy():
    """One second, two, and then it was the last attempt."""
    assert [delay(ValueError(), attempt) for attempt in (1, 2, 3, 4)] == [1_000_000, 2_000_000, None, None]


class Stolen(NonRetryableError):
    pass


@pytest.mark.parametrize(
    "error",
    [
        NonRetryableError("a"),
        Stolen("a"),
        InvalidInput("a"),
        PayloadTooLarge("a"),
        UnserializableValue("a"),
        EffectOutsideStep("a"),
        UnknownComponent("a"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_would_come_out_the_same_isnt_tried_again(error: Exception):
    """Whatever the policy says."""
    assert delay(error, policy=RetryPolicy(10, retry_on=(Exception,))) is None


@pytest.mark.parametrize("seconds", [0, 2.5, timedelta(seconds=2.5)])
def test_retry_after_overrides_the_backoff(seconds: float | timedelta):
    """Also where the policy wouldn't retry such an error, but never beyond its attempts."""
    error = RetryAfter(seconds)
    expected = 0 if seconds == 0 else 2_500_000

    assert delay(error) == expected
    assert delay(error, policy=RetryPolicy(3, retry_on=(OSError,))) == expected
    assert delay(error, attempt=3) is None


def test_a_timeout_is_an_error_like_any_other():
    """`StepTimeoutError` is retried, and can be excluded as a `TimeoutError`."""
    assert delay(StepTimeoutError("a")) == 1_000_000
    assert delay(StepTimeoutError("a"), policy=RetryPolicy(3, no_retry_on=(TimeoutError,))) is None


def test_chance_moves_the_delay():
    """So that a crowd that failed together doesn't come back together."""
    policy = RetryPolicy(3, jitter=0.5)
    random = Random(1)

    delays = {retry_at(policy, 1, ValueError(), random, 0) for _ in range(50)}

    assert len(delays) > 40
    assert all(delay is not None and 500_000 <= delay <= 1_500_000 for delay in delays)
