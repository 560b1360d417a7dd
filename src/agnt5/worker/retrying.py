"""Whether a failed attempt is followed by another, and when."""

from random import Random
from typing import Final

from agnt5.core.model.errors import (
    EffectOutsideStep,
    InvalidInput,
    NonRetryableError,
    RetryAfter,
    UnknownComponent,
    UnserializableValue,
)
from agnt5.core.model.retry import MICROSECONDS, RetryPolicy

# Made again, these would come out the same.
FINAL: Final = (NonRetryableError, UnserializableValue, InvalidInput, EffectOutsideStep, UnknownComponent)


def retry_at(policy: RetryPolicy, attempt: int, error: BaseException, random: Random, now_us: int) -> int | None:
    """When to try again, in microseconds since the epoch; None for not at all.

    Args:
        policy: What the component or step says.
        attempt: The one that failed, from 1.
        error: What it raised.
        random: Chance, for the jitter.
        now_us: The time.
    """
    if attempt >= policy.max_attempts or isinstance(error, FINAL):
        return None
    if isinstance(error, RetryAfter):
        return now_us + round(error.seconds * MICROSECONDS)
    if not policy.retries(error):
        return None
    return now_us + round(policy.delay(attempt, random.random()) * MICROSECONDS)
