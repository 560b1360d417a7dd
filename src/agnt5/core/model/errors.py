"""Every error agnt5 raises: what happened, why, and what to do about it.

The classes are cut by what the one who catches them does next: look again (`ConflictError`), mend
the code (`NonDeterminismError`), mend the call (`InvalidInput`), try later (`Unavailable`), report
it (`InternalError`). `retryable` says whether the same call may succeed when it is made again.
"""

from datetime import timedelta
from typing import Any, ClassVar


class Agnt5Error(Exception):
    """The root of the family.

    Args:
        what: What happened, naming the thing and both sides.
        why: The likeliest cause.
        fix: What to do, typeable.
        facts: The same as attributes, for programs.

    Attributes:
        code: Stable name of the kind of error; each has a page in `docs/errors`.
        retryable: Whether the same call may succeed later.
    """

    code: ClassVar[str] = "AGNT5-100"
    retryable: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if cls.__module__ == __name__:
            # Tracebacks and journals name it as users import it, wherever its code stands.
            cls.__module__ = "agnt5"

    def __init__(self, what: str = "", *, why: str = "", fix: str = "", **facts: Any) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.facts = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        if not self.why and not self.fix:
            # What a user raised with a message of their own reads as they wrote it.
            return self.what
        lines = [f"[{self.code}] {self.what}"]
        if self.why:
            lines.append(f"  Why: {self.why}")
        if self.fix:
            lines.append(f"  Fix: {self.fix}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.parts())

    def parts(self) -> dict[str, Any]:
        """All that is needed to make this error again, on the other side of a wire."""
        return {"what": self.what, "why": self.why, "fix": self.fix, "facts": self.facts}

    @classmethod
    def from_parts(cls, parts: dict[str, Any]) -> "Agnt5Error":
        """The error that `parts` described."""
        return cls(parts["what"], why=parts["why"], fix=parts["fix"], **parts["facts"])


def _rebuild(cls: type[Agnt5Error], parts: dict[str, Any]) -> Agnt5Error:
    return cls.from_parts(parts)


# The call is wrong


class InvalidInput(Agnt5Error, ValueError):
    """Something was passed that can't be meant: mend the call."""

    code = "AGNT5-101"


class UnserializableValue(Agnt5Error, TypeError):
    """A value can't be written to the journal and come back as it was."""

    code = "AGNT5-102"


class PayloadTooLarge(InvalidInput):
    """A value is larger than what one journal entry may hold."""

    code = "AGNT5-103"


class UnknownComponent(Agnt5Error, LookupError):
    """Nothing is registered under this name."""

    code = "AGNT5-104"


class UnknownRun(Agnt5Error, LookupError):
    """No run has this id, or it is no longer retained."""

    code = "AGNT5-105"


class NoContextError(Agnt5Error, RuntimeError):
    """`ctx` was used where no run is executing."""

    code = "AGNT5-106"


class ConflictError(Agnt5Error):
    """The same key was used before, with other content: look again at what it stands for."""

    code = "AGNT5-107"


class EffectOutsideStep(Agnt5Error, RuntimeError):
    """A workflow body did something that replay can't repeat."""

    code = "AGNT5-108"


class ReadOnlyError(Agnt5Error):
    """A query method changed the state it may only read."""

    code = "AGNT5-109"


# How a run ended, or why it doesn't go on


class RunBlockedError(Agnt5Error):
    """The run waits for a human; nothing is lost, and `resume` makes it go on."""

    code = "AGNT5-200"


class NonDeterminismError(RunBlockedError):
    """The code asks for something else than what the journal recorded at this place."""

    code = "AGNT5-201"


class BusyWorkflowError(RunBlockedError):
    """A workflow body computes, or spins, without ever waiting for anything."""

    code = "AGNT5-202"


class RunCancelledError(Agnt5Error):
    """The run was cancelled."""

    code = "AGNT5-203"


class RemoteError(Agnt5Error):
    """An exception whose own type isn't known here.

    Args:
        type_name: The type's name where it was raised.
        message: What it said.
    """

    code = "AGNT5-204"

    def __init__(self, type_name: str, message: str = "") -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name
        self.message = message

    def parts(self) -> dict[str, Any]:
        return {"type_name": self.type_name, "message": self.message}

    @classmethod
    def from_parts(cls, parts: dict[str, Any]) -> "RemoteError":
        return cls(parts["type_name"], parts["message"])


class NonRetryableError(Agnt5Error):
    """Raise it in a step or function that must not be tried again.

    Example:
        >>> raise NonRetryableError("the card is stolen")
        Traceback (most recent call last):
        ...
        agnt5.NonRetryableError: the card is stolen
    """

    code = "AGNT5-205"


class RetriableError(Agnt5Error):
    """The call was certainly not applied; make it again."""

    code = "AGNT5-206"
    retryable = True


class StepTimeoutError(Agnt5Error, TimeoutError):
    """An attempt took longer than its timeout."""

    code = "AGNT5-207"
    retryable = True


class RetryAfter(Agnt5Error):
    """Raise it in a step or function to say when to try again, whatever the policy's backoff.

    Args:
        seconds: The delay before the next attempt, in seconds or as a timedelta.
        message: Why.
    """

    code = "AGNT5-208"
    retryable = True

    def __init__(self, seconds: float | timedelta, message: str = "") -> None:
        delay = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
        super().__init__(message or f"try again after {delay} s")
        self.seconds = delay

    def parts(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "message": self.what}

    @classmethod
    def from_parts(cls, parts: dict[str, Any]) -> "RetryAfter":
        return cls(parts["seconds"], parts["message"])


# Entities


class DeadlockError(Agnt5Error):
    """Calls wait for each other's keys in a circle."""

    code = "AGNT5-301"


class EntityStateError(Agnt5Error):
    """A stored state doesn't fit the class that is to load it; it is left as it is."""

    code = "AGNT5-302"


class EntityBusyError(Agnt5Error):
    """Too many calls are queued on one key."""

    code = "AGNT5-303"
    retryable = True


# The store and the runtime


class StoreError(Agnt5Error):
    """The journal can't be read or written.

    Attributes:
        is_aborted: Of a commit: certainly nothing was written, and it may be tried again.
    """

    code = "AGNT5-400"
    is_aborted = False


class JournalLockedError(StoreError):
    """Another process holds the journal."""

    code = "AGNT5-401"
    retryable = True


class StoreFull(StoreError):
    """There is no space left for the journal; nothing was acknowledged that isn't written."""

    code = "AGNT5-402"
    retryable = True
    is_aborted = True


class StoreCorrupt(StoreError):
    """The journal, or a part of it, isn't what was written."""

    code = "AGNT5-403"


class StoreTooNew(StoreError):
    """A later version of agnt5 wrote this journal."""

    code = "AGNT5-404"


class Unavailable(Agnt5Error):
    """Whom you call isn't there at the moment; try later."""

    code = "AGNT5-501"
    retryable = True


class OutcomeUnknown(Agnt5Error):
    """The system can't know whether it happened; ask again under the same key."""

    code = "AGNT5-502"


class InternalError(Agnt5Error):
    """A broken invariant of agnt5 itself; report it with its text."""

    code = "AGNT5-900"
