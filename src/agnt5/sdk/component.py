"""A piece of the user's code that the runtime can invoke by name.

Called, it becomes a run: of its own outside of runs, a child of the caller's inside one. Called with
a context as its first argument it is the plain function that the user wrote.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar

from msgspec import Raw, Struct

from agnt5.core.journal.entry import Options
from agnt5.core.model.errors import InvalidInput, RunCancelledError, UnknownComponent
from agnt5.core.model.retry import MICROSECONDS, RetryPolicy, RetrySpec, seconds_of
from agnt5.core.model.run import Status
from agnt5.sdk import failures, serde
from agnt5.sdk.backend import RunOutcome, Submission, backend
from agnt5.sdk.current import CURRENT, ContextBase, unproxied
from agnt5.sdk.fingerprint import fingerprint
from agnt5.sdk.registry import REGISTRY
from agnt5.sdk.schema import Schema
from agnt5.sdk.usertypes import NO_TYPES

P = ParamSpec("P")
R = TypeVar("R")

NAME_CHARS_MAX = 200


class CallOptions(Struct, frozen=True, gc=False):
    """What a caller says of one run.

    Attributes:
        start_in: Microseconds before it may start.
        start_at: Not before this time, in microseconds since the epoch.
    """

    idempotency_key: str = ""
    start_in: int = 0
    start_at: int = 0
    tags: tuple[str, ...] = ()
    options: Options | None = None


NO_OPTIONS = CallOptions()


class ChildSpec:
    """What the worker needs to start a child run.

    Attributes:
        component: What to run.
        options: What the caller said of this run.
    """

    __slots__ = ("component", "options")

    def __init__(self, component: "Component[Any, Any]", options: CallOptions) -> None:
        self.component = component
        self.options = options


class Component(Generic[P, R]):
    """A function or workflow under a name.

    Attributes:
        fn: What the user wrote.
        retries: Its policy; None for the default of its kind.
        timeout: Seconds that an attempt may take.
        heartbeat_timeout: Seconds that an attempt may go without a heartbeat.
        idempotent: Whether it may run again if its worker dies inside it.
        is_deterministic: Whether its body is replayed on a loop of its own.
    """

    kind: ClassVar[str] = "component"

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str | None,
        retries: RetryPolicy | None,
        timeout: float | None,
        heartbeat_timeout: float | None = None,
        idempotent: bool = True,
        is_deterministic: bool = False,
        version: str = "",
    ) -> None:
        self.fn = fn
        self.name = checked_name(name if name is not None else getattr(fn, "__name__", type(fn).__name__))
        self.retries = retries
        self.timeout = timeout
        self.heartbeat_timeout = heartbeat_timeout
        self.idempotent = idempotent
        self.is_deterministic = is_deterministic
        self.version = version
        functools.update_wrapper(self, fn)
        # Annotations may name what is defined further down, so they are resolved at the first use;
        # those of a function inside a function need what stands around it now.
        self._localns = _locals_around(fn)
        self._schema: Schema | None = None

    @property
    def schema(self) -> Schema:
        """What it takes and gives."""
        if self._schema is None:
            self._schema = Schema(self.fn, is_context, self._localns)
        return self._schema

    @property
    def code(self) -> str:
        """Fingerprint of its code."""
        return fingerprint(inspect.unwrap(self.fn))

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"

    # Calling

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Run it durably and wait for the result, which is what the function returns.

        Inside a run this is a child run. With a context as the first argument it is a plain call of
        the function, without any run: that is for unit tests.

        Raises:
            InvalidInput: The arguments don't fit.
            Exception: Whatever the function raised, at its last attempt.
        """
        if args and isinstance(args[0], ContextBase):
            return self._call_inline(unproxied(args[0]), args[1:], kwargs)
        context = CURRENT.get()
        if context is not None:
            called: Coroutine[Any, Any, R] = context.invoke(self, args, kwargs, NO_OPTIONS)
            return called
        return self._run(args, kwargs, NO_OPTIONS)

    async def _call_inline(self, context: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        token = CURRENT.set(context) if CURRENT.get() is not context else None
        try:
            result = self.fn(context, *args, **kwargs) if self.schema.wants_context else self.fn(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result  # type: ignore[no-any-return]  # As annotated.
        finally:
            if token is not None:
                CURRENT.reset(token)

    async def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions) -> R:
        at = backend()
        outcome = await at.run(self.submission(args, kwargs, options, at.now_us()))
        return value_of(outcome, self)  # type: ignore[no-any-return]  # As annotated.

    def submission(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions, now_us: int
    ) -> Submission:
        """What to ask a runtime for.

        Raises:
            InvalidInput: The arguments don't fit.
        """
        text = self.schema.write(self.schema.bind(args, kwargs, self.name))
        return self.submission_of(text, options, now_us)

    def submission_of(self, text: bytes, options: CallOptions, now_us: int) -> Submission:
        """What to ask a runtime for, with an input that is encoded already."""
        if options is NO_OPTIONS:
            return Submission(self.name, Raw(text), self.idempotent)
        digest = blake2b(serde.canonical(text), digest_size=16).hexdigest() if options.idempotency_key else ""
        return Submission(
            self.name,
            Raw(text),
            self.idempotent,
            options.idempotency_key,
            digest,
            options.start_at or (now_us + options.start_in if options.start_in else 0),
            options.tags,
            options.options,
        )


def value_of(outcome: RunOutcome, component: "Component[Any, Any] | None") -> Any:
    """The result of a run that ended, or its exception raised."""
    if outcome.status is Status.COMPLETED:
        return serde.decode(outcome.result, component.schema.result_types if component is not None else NO_TYPES)
    if outcome.status is Status.CANCELLED:
        raise RunCancelledError(f"run {outcome.run_id} of {outcome.component!r} was cancelled", run_id=outcome.run_id)
    assert outcome.error is not None, f"a run that is {outcome.status.value} says why"
    raise failures.read(outcome.error)


def component_named(name: str) -> "Component[Any, Any] | None":
    """The component of this name if this process has it."""
    try:
        found: Component[Any, Any] = REGISTRY.get(name)
    except UnknownComponent:
        return None
    return found


def is_context(hint: Any, name: str) -> bool:
    """Whether a first parameter is for the context."""
    return name == "ctx" or (isinstance(hint, type) and issubclass(hint, ContextBase))


def checked_name(name: object) -> str:
    """The name, if it can be one.

    Raises:
        InvalidInput: It can't.
    """
    if isinstance(name, str) and 0 < len(name) <= NAME_CHARS_MAX and name.isprintable():
        return name
    raise InvalidInput(
        f"{name!r} is no name for a component",
        why=f"a name is 1 to {NAME_CHARS_MAX} printable characters",
        fix='pass one, as in name="charge_card"',
    )


def retry_policy(retries: int | RetryPolicy | None, what: str = "retries") -> RetryPolicy | None:
    """The policy that a `retries=` stands for; a number counts all attempts.

    Raises:
        InvalidInput: It is neither.
    """
    if retries is None or isinstance(retries, RetryPolicy):
        return retries
    if isinstance(retries, int) and not isinstance(retries, bool) and retries >= 1:
        return RetryPolicy(max_attempts=retries)
    raise InvalidInput(
        f"{what} is {retries!r}",
        why="it counts all attempts, the first included, or is a RetryPolicy",
        fix=f"pass {what}=1 for a single attempt, or {what}=RetryPolicy(max_attempts=5)",
    )


def duration(value: float | timedelta | None, what: str) -> float | None:
    """A timeout in seconds, or None.

    Raises:
        InvalidInput: It is not a duration, or is 0.
    """
    if value is None:
        return None
    seconds = seconds_of(value, what)
    if seconds == 0:
        raise InvalidInput(f"{what} is 0", why="nothing is done in no time", fix=f"leave {what} out for no limit")
    return seconds


def call_options(
    idempotency_key: str | None,
    delay: float | timedelta | None,
    at: datetime | None,
    tags: "tuple[str, ...] | list[str] | str",
    retries: int | RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
) -> CallOptions:
    """What a caller said of one run, checked.

    Raises:
        InvalidInput: Something of it can't be meant.
    """
    if idempotency_key is not None and not (isinstance(idempotency_key, str) and 0 < len(idempotency_key) <= 512):
        raise InvalidInput(
            f"idempotency_key is {idempotency_key!r}", why="it is a text of 1 to 512 characters", fix="pass one"
        )
    if delay is not None and at is not None:
        raise InvalidInput("both delay and at are given", why="they say the same in two ways", fix="pass one of them")
    if at is not None and (not isinstance(at, datetime) or at.tzinfo is None):
        raise InvalidInput(
            f"at is {at!r}",
            why="without a time zone it names a different moment on every machine",
            fix="pass an aware datetime, as in datetime.now(UTC) + timedelta(hours=1)",
        )
    tags = (tags,) if isinstance(tags, str) else tuple(tags)
    if not all(isinstance(tag, str) and 0 < len(tag) <= 255 for tag in tags) or len(tags) > 20:
        raise InvalidInput(f"tags are {tags!r}", why="there may be 20, of 1 to 255 characters each", fix="pass such")
    policy = retry_policy(retries)
    limit = duration(timeout, "timeout")
    return CallOptions(
        idempotency_key or "",
        round(seconds_of(delay, "delay") * MICROSECONDS) if delay is not None else 0,
        round(at.timestamp() * MICROSECONDS) if at is not None else 0,
        tags,
        Options(RetrySpec.of(policy) if policy else None, limit) if policy or limit else None,
    )


def _locals_around(fn: Callable[..., Any]) -> dict[str, Any]:
    """The local names where a function inside a function is defined, if its annotations are text."""
    if "<locals>" not in getattr(fn, "__qualname__", ""):
        return {}
    if not any(isinstance(hint, str) for hint in getattr(fn, "__annotations__", {}).values()):
        return {}
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("agnt5."):
        frame = frame.f_back
    return dict(frame.f_locals)
