"""When a failed attempt is tried again: the policy, and the arithmetic of its delays."""

from collections.abc import Mapping
from datetime import timedelta

from msgspec import Struct

from agnt5.core.model.errors import InvalidInput

DEFAULT_ATTEMPTS = 3
MICROSECONDS = 1_000_000
MULTIPLIER_MAX = 1_000  # Arbitrary; to the power of `EXPONENT_MAX` it is still a float.
EXPONENT_MAX = 64

type_names = tuple[str, ...]


def seconds_of(duration: float | timedelta, what: str) -> float:
    """A duration in seconds, however the user wrote it.

    Args:
        duration: Seconds, or a `timedelta`.
        what: The name of the setting, for the error.

    Raises:
        InvalidInput: It is no number of seconds, or negative, or not finite.
    """
    if isinstance(duration, timedelta):
        duration = duration.total_seconds()
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not 0 <= duration < float("inf"):
        raise InvalidInput(
            f"{what} is {duration!r}",
            why="a duration is a number of seconds, 0 or more, or a timedelta",
            fix=f"pass seconds, as in {what}=1.5, or timedelta(seconds=1.5)",
        )
    return float(duration)


class RetryPolicy:
    """How often, how soon and after which errors an attempt is made again.

    Args:
        max_attempts: Attempts in all, the first included; at least 1.
        initial_interval: Seconds (or a timedelta) before the second attempt.
        max_interval: Seconds that no delay exceeds, jitter aside.
        multiplier: What each delay is multiplied by for the next; 1 to 1,000.
        jitter: The share of a delay by which chance moves it, up or down; 0 to 1.
        retry_on: Only these exceptions are retried.
        no_retry_on: These are not, whatever `retry_on` says.

    Raises:
        InvalidInput: A value is out of its range.

    Example:
        >>> policy = RetryPolicy(max_attempts=5, initial_interval=0.5)
        >>> policy.delay(attempt=1, chance=0.5)
        0.5
        >>> policy.delay(attempt=3, chance=0.5)
        2.0
    """

    __slots__ = (
        "initial_interval",
        "jitter",
        "max_attempts",
        "max_interval",
        "multiplier",
        "no_retry_on",
        "retry_on",
    )

    def __init__(
        self,
        max_attempts: int = DEFAULT_ATTEMPTS,
        initial_interval: float | timedelta = 1.0,
        max_interval: float | timedelta = 60.0,
        multiplier: float = 2.0,
        jitter: float = 0.1,
        retry_on: tuple[type[BaseException], ...] = (Exception,),
        no_retry_on: tuple[type[BaseException], ...] = (),
    ) -> None:
        if isinstance(max_attempts, bool) or not isinstance(max_attempts, int) or max_attempts < 1:
            raise InvalidInput(
                f"max_attempts is {max_attempts!r}",
                why="it counts all attempts, the first included",
                fix="pass 1 for no retry, 2 for one",
            )
        if not _is_within(multiplier, 1, MULTIPLIER_MAX) or not _is_within(jitter, 0, 1):
            raise InvalidInput(
                f"multiplier is {multiplier!r} and jitter is {jitter!r}",
                why="a delay never shrinks from one attempt to the next, and chance moves it by a share of itself",
                fix=f"pass a multiplier from 1 to {MULTIPLIER_MAX} and a jitter from 0 to 1",
            )
        self.max_attempts = max_attempts
        self.initial_interval = seconds_of(initial_interval, "initial_interval")
        self.max_interval = seconds_of(max_interval, "max_interval")
        self.multiplier = float(multiplier)
        self.jitter = float(jitter)
        self.retry_on = _types(retry_on, "retry_on")
        self.no_retry_on = _types(no_retry_on, "no_retry_on")

    def retries(self, error: BaseException) -> bool:
        """Whether the policy retries this error at all."""
        return isinstance(error, self.retry_on) and not isinstance(error, self.no_retry_on)

    def delay(self, attempt: int, chance: float) -> float:
        """Seconds between this failed attempt and the next.

        Exponential backoff with a proportional jitter, as in M. Brooker, "Exponential Backoff and
        Jitter" (AWS Architecture Blog, 2015), there called equal jitter for a share of one half.

        Args:
            attempt: The attempt that failed, from 1.
            chance: A random number from 0 to 1.
        """
        # The exponent is bounded: beyond it the delay is the maximum anyway, and a float overflows.
        raw = self.initial_interval * self.multiplier ** min(attempt - 1, EXPONENT_MAX)
        return min(raw, self.max_interval) * (1 + self.jitter * (2 * chance - 1))

    def __repr__(self) -> str:
        return (
            f"RetryPolicy(max_attempts={self.max_attempts}, initial_interval={self.initial_interval}, "
            f"max_interval={self.max_interval}, multiplier={self.multiplier}, jitter={self.jitter})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RetryPolicy) and RetrySpec.of(self) == RetrySpec.of(other)

    def __hash__(self) -> int:
        return hash(RetrySpec.of(self))


class RetrySpec(Struct, frozen=True, gc=False, omit_defaults=True):
    """A policy as it is written into a journal: its exceptions by name."""

    max_attempts: int = DEFAULT_ATTEMPTS
    initial_interval: float = 1.0
    max_interval: float = 60.0
    multiplier: float = 2.0
    jitter: float = 0.1
    retry_on: type_names = ("builtins:Exception",)
    no_retry_on: type_names = ()

    @classmethod
    def of(cls, policy: RetryPolicy) -> "RetrySpec":
        """What to write down of this policy."""
        return cls(
            policy.max_attempts,
            policy.initial_interval,
            policy.max_interval,
            policy.multiplier,
            policy.jitter,
            tuple(name_of_type(error) for error in policy.retry_on),
            tuple(name_of_type(error) for error in policy.no_retry_on),
        )

    def policy(self, types: Mapping[str, type[BaseException]]) -> RetryPolicy:
        """The policy again, with the exception types that could be found under their names."""
        return RetryPolicy(
            self.max_attempts,
            self.initial_interval,
            self.max_interval,
            self.multiplier,
            self.jitter,
            tuple(types[name] for name in self.retry_on if name in types),
            tuple(types[name] for name in self.no_retry_on if name in types),
        )


def name_of_type(cls: type) -> str:
    """A type's module and qualified name, as journals write it."""
    return f"{cls.__module__}:{cls.__qualname__}"


def _is_within(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _types(types: object, what: str) -> tuple[type[BaseException], ...]:
    chosen = types if isinstance(types, tuple | list) else (types,)
    if not all(isinstance(cls, type) and issubclass(cls, BaseException) for cls in chosen):
        raise InvalidInput(
            f"{what} is {types!r}",
            why="it takes exception types",
            fix=f"pass a tuple of classes, as in {what}=(ConnectionError,)",
        )
    return tuple(chosen)
