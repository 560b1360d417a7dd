"""Functions and workflows: the components that are written as a function, and their decorators."""

from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from inspect import iscoroutinefunction, unwrap
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from agnt5.core.model.errors import InvalidInput
from agnt5.core.model.retry import RetryPolicy
from agnt5.sdk.backend import backend
from agnt5.sdk.blocking import run_blocking
from agnt5.sdk.component import Component, call_options, duration, retry_policy
from agnt5.sdk.context import FunctionContext, WorkflowContext
from agnt5.sdk.current import CURRENT
from agnt5.sdk.handle import Handle
from agnt5.sdk.host import StepDefaults
from agnt5.sdk.registry import REGISTRY

P = ParamSpec("P")
R = TypeVar("R")


class Submittable(Component[P, R]):
    """A component that can be run, awaited or not."""

    async def run(
        self,
        *args: Any,
        idempotency_key: str | None = None,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        tags: tuple[str, ...] | list[str] | str = (),
        **kwargs: Any,
    ) -> R:
        """Run it and wait for the result, as a plain call does, with options.

        Args:
            *args: Its arguments, without a context.
            idempotency_key: At most one run of this component is made under this key.
            delay: Seconds (or a timedelta) before it may start.
            at: When it may start at the earliest: an aware datetime.
            tags: Words to find it by.
            **kwargs: Its arguments. One that has the name of an option is passed by position.

        Raises:
            ConflictError: The key was used with other arguments.
            Exception: Whatever the function raised, at its last attempt.
        """
        options = call_options(idempotency_key, delay, at, tags)
        context = CURRENT.get()
        if context is not None:
            result: R = await context.invoke(self, args, kwargs, options)
            return result
        return await self._run(args, kwargs, options)

    async def submit(
        self,
        *args: Any,
        idempotency_key: str | None = None,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        tags: tuple[str, ...] | list[str] | str = (),
        **kwargs: Any,
    ) -> Handle[R]:
        """Make a run of it, and return as soon as that is durable.

        Args: as for `run`.

        Raises:
            ConflictError: The key was used with other arguments.
        """
        options = call_options(idempotency_key, delay, at, tags)
        context = CURRENT.get()
        if context is not None:
            return Handle(await context.start(self, args, kwargs, options), self)
        at_runtime = backend()
        submission = self.submission(args, kwargs, options, at_runtime.now_us())
        return Handle(await at_runtime.submit(submission), self)

    def run_sync(self, *args: Any, **kwargs: Any) -> R:
        """As `run`, for code without an event loop: it blocks the thread until the result is there.

        Raises:
            InvalidInput: The thread has a running event loop, which would be blocked too.
        """
        return run_blocking(lambda: self.run(*args, **kwargs), f"{self.name}.run_sync", f"await {self.name}.run(...)")


class Function(Submittable[P, R]):
    """A function: retried by the runtime; it may do input and output."""

    kind = "function"


class Workflow(Submittable[P, R]):
    """A workflow: its body is replayed, and what it does it does in steps.

    Attributes:
        step_defaults: For steps that say nothing themselves.
        max_concurrent_steps: How many steps of a run may execute at a time; None for any number.
        checkpoint_interval: How many completed steps may share one commit.
    """

    kind = "workflow"

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str | None,
        retries: RetryPolicy | None,
        timeout: float | None,
        step_defaults: StepDefaults,
        max_concurrent_steps: int | None = None,
        checkpoint_interval: int = 1,
        is_deterministic: bool = True,
        version: str = "",
    ) -> None:
        super().__init__(
            fn, name=name, retries=retries, timeout=timeout, is_deterministic=is_deterministic, version=version
        )
        if not iscoroutinefunction(unwrap(fn)):
            raise InvalidInput(
                f"workflow {self.name!r} is not an async function",
                why="it awaits its steps",
                fix=f"write `async def {self.name}(...)`; a plain function can be a @function",
            )
        self.step_defaults = step_defaults
        self.max_concurrent_steps = count(max_concurrent_steps, "max_concurrent_steps")
        self.checkpoint_interval = count(checkpoint_interval, "checkpoint_interval") or 1


def count(value: int | None, what: str) -> int | None:
    """The number, if it counts something.

    Raises:
        InvalidInput: It doesn't.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise InvalidInput(f"{what} is {value!r}", why="it is a number of 1 or more", fix=f"pass {what}=1 or more")


Decorated = TypeVar("Decorated", bound=Component[Any, Any])


def registered(component: Decorated, service: Any) -> Decorated:
    """The component, known to the process and to the service that was named, if any."""
    REGISTRY.add(component)
    if service is not None:
        service.add_function(component)
    return component


@overload
def function(fn: Callable[Concatenate[FunctionContext, P], Awaitable[R]], /) -> Function[P, R]: ...
@overload
def function(fn: Callable[P, Awaitable[R]], /) -> Function[P, R]: ...
@overload
def function(fn: Callable[Concatenate[FunctionContext, P], R], /) -> Function[P, R]: ...
@overload
def function(fn: Callable[P, R], /) -> Function[P, R]: ...
@overload
def function(
    fn: None = None,
    *,
    name: str | None = None,
    retries: int | RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    heartbeat_timeout: float | timedelta | None = None,
    service: Any = None,
) -> "FunctionDecorator": ...
def function(
    fn: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    retries: int | RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    heartbeat_timeout: float | timedelta | None = None,
    service: Any = None,
) -> Any:
    """Make a function a component: retried by the runtime, and journaled when it is a step.

    Args:
        fn: An async or plain function. A first parameter annotated with a context type, or called
            `ctx`, is given the context. A plain one runs in a thread.
        name: What it is called; its own name when absent.
        retries: Attempts in all, or a policy; three with exponential backoff when absent.
        timeout: Seconds (or a timedelta) that an attempt may take.
        heartbeat_timeout: Seconds (or a timedelta) that an attempt may go without `ctx.heartbeat`.
        service: A service to add it to.

    Raises:
        InvalidInput: A setting is out of range, or another component has the name.

    Example:
        >>> @function(retries=5, timeout=10)
        ... async def charge_card(ctx: FunctionContext, order_id: str) -> str:
        ...     return f"txn_{order_id}"
    """

    def decorate(fn: Callable[..., Any]) -> Function[Any, Any]:
        made: Function[Any, Any] = Function(
            fn,
            name=name,
            retries=retry_policy(retries),
            timeout=duration(timeout, "timeout"),
            heartbeat_timeout=duration(heartbeat_timeout, "heartbeat_timeout"),
        )
        return registered(made, service)

    return decorate(fn) if fn is not None else decorate


class FunctionDecorator(Protocol):
    """What `@function(...)` returns."""

    @overload
    def __call__(self, fn: Callable[Concatenate[FunctionContext, P], Awaitable[R]], /) -> Function[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]], /) -> Function[P, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[FunctionContext, P], R], /) -> Function[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Function[P, R]: ...
    def __call__(self, fn: Any, /) -> Any:
        """Decorate a function."""


task = function


@overload
def workflow(fn: Callable[Concatenate[WorkflowContext, P], Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
@overload
def workflow(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
@overload
def workflow(
    fn: None = None,
    *,
    name: str | None = None,
    retries: int | RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    step_timeout: float | timedelta | None = None,
    step_retries: int | RetryPolicy | None = None,
    max_concurrent_steps: int | None = None,
    service: Any = None,
) -> "WorkflowDecorator": ...
def workflow(
    fn: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    retries: int | RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    step_timeout: float | timedelta | None = None,
    step_retries: int | RetryPolicy | None = None,
    max_concurrent_steps: int | None = None,
    service: Any = None,
) -> Any:
    """Make an async function a workflow: its progress survives crashes, restarts and deployments.

    Args:
        fn: An async function whose body does everything that reaches outside in steps.
        name: What it is called; its own name when absent.
        retries: Attempts in all, or a policy; a single one when absent.
        timeout: Seconds (or a timedelta) that an attempt may take.
        step_timeout: Likewise for its steps, where they say nothing themselves.
        step_retries: Attempts of its steps, likewise.
        max_concurrent_steps: How many steps of a run may execute at a time.
        service: A service to add it to.

    Raises:
        InvalidInput: A setting is out of range, or another component has the name.

    Example:
        >>> @workflow
        ... async def checkout(ctx: WorkflowContext, order_id: str) -> str:
        ...     txn = await ctx.step(charge_card, order_id)
        ...     await ctx.step(send_receipt, order_id, txn)
        ...     return txn
    """

    def decorate(fn: Callable[..., Any]) -> Workflow[Any, Any]:
        made: Workflow[Any, Any] = Workflow(
            fn,
            name=name,
            retries=retry_policy(retries) or RetryPolicy(max_attempts=1),
            timeout=duration(timeout, "timeout"),
            step_defaults=StepDefaults(
                duration(step_timeout, "step_timeout"), retry_policy(step_retries, "step_retries")
            ),
            max_concurrent_steps=max_concurrent_steps,
        )
        return registered(made, service)

    return decorate(fn) if fn is not None else decorate


class WorkflowDecorator(Protocol):
    """What `@workflow(...)` returns."""

    @overload
    def __call__(self, fn: Callable[Concatenate[WorkflowContext, P], Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
    def __call__(self, fn: Any, /) -> Any:
        """Decorate a function."""
