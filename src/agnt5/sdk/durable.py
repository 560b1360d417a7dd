"""`durable.function`, `durable.flow`, `durable.service`: the primitives, with every setting in reach."""

from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from agnt5.core.model.errors import InvalidInput
from agnt5.core.model.retry import RetryPolicy
from agnt5.sdk.component import duration
from agnt5.sdk.context import FunctionContext, WorkflowContext
from agnt5.sdk.function import Function, Workflow, registered
from agnt5.sdk.host import StepDefaults
from agnt5.sdk.services import Service

P = ParamSpec("P")
R = TypeVar("R")

__all__ = ["flow", "function", "service"]


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
    version: str = "1.0.0",
    deterministic: bool = True,
    idempotent: bool = True,
    max_retries: int = 3,
    retry_delay: float | timedelta = 1.0,
    timeout: float | timedelta | None = None,
    service: Service | None = None,
) -> "FunctionDecorator": ...
def function(
    fn: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    version: str = "1.0.0",
    deterministic: bool = True,
    idempotent: bool = True,
    max_retries: int = 3,
    retry_delay: float | timedelta = 1.0,
    timeout: float | timedelta | None = None,
    service: Service | None = None,
) -> Any:
    """Make a function durable.

    Args:
        fn: An async or plain function; it may do input and output, and its context's operations
            are journaled.
        name: What it is called; its own name when absent.
        version: Of the code, for people.
        deterministic: Changes nothing for a function, which always runs on the ordinary loop.
        idempotent: Whether it may run again if its process dies inside it; if not, it waits for a
            human (`blocked`).
        max_retries: Attempts after the first.
        retry_delay: Seconds (or a timedelta) before the second attempt; then twice as long each time.
        timeout: Seconds (or a timedelta) that an attempt may take.
        service: A service to add it to.

    Raises:
        InvalidInput: A setting is out of range, or another component has the name.
    """

    def decorate(fn: Callable[..., Any]) -> Function[Any, Any]:
        made: Function[Any, Any] = Function(
            fn,
            name=name,
            retries=_policy(max_retries, retry_delay),
            timeout=duration(timeout, "timeout"),
            idempotent=idempotent,
            version=version,
        )
        return registered(made, service)

    return decorate(fn) if fn is not None else decorate


class FunctionDecorator(Protocol):
    """What `@durable.function(...)` returns."""

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


@overload
def flow(fn: Callable[Concatenate[WorkflowContext, P], Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
@overload
def flow(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
@overload
def flow(
    fn: None = None,
    *,
    name: str | None = None,
    version: str = "1.0.0",
    checkpoint_interval: int = 1,
    max_retries: int = 3,
    max_concurrent_steps: int | None = 10,
    deterministic: bool = True,
    timeout: float | timedelta | None = None,
    service: Service | None = None,
) -> "FlowDecorator": ...
def flow(
    fn: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    version: str = "1.0.0",
    checkpoint_interval: int = 1,
    max_retries: int = 3,
    max_concurrent_steps: int | None = 10,
    deterministic: bool = True,
    timeout: float | timedelta | None = None,
    service: Service | None = None,
) -> Any:
    """Make an async function a flow: a workflow that is retried.

    Args:
        fn: An async function whose body does everything that reaches outside in steps.
        name: What it is called; its own name when absent.
        version: Of the code, for people.
        checkpoint_interval: How many completed steps may share one commit. With more than 1, up to
            that many less one may run again after a crash.
        max_retries: Attempts after the first, with exponential backoff from a second.
        max_concurrent_steps: How many steps of a run may execute at a time; None for any number.
        deterministic: False runs the body on the ordinary loop, where it may do input and output;
            its operations are then matched by what they ask for.
        timeout: Seconds (or a timedelta) that an attempt may take.
        service: A service to add it to.

    Raises:
        InvalidInput: A setting is out of range, or another component has the name.
    """

    def decorate(fn: Callable[..., Any]) -> Workflow[Any, Any]:
        made: Workflow[Any, Any] = Workflow(
            fn,
            name=name,
            retries=_policy(max_retries, 1.0),
            timeout=duration(timeout, "timeout"),
            step_defaults=StepDefaults(),
            max_concurrent_steps=max_concurrent_steps,
            checkpoint_interval=checkpoint_interval,
            is_deterministic=deterministic,
            version=version,
        )
        return registered(made, service)

    return decorate(fn) if fn is not None else decorate


class FlowDecorator(Protocol):
    """What `@durable.flow(...)` returns."""

    @overload
    def __call__(self, fn: Callable[Concatenate[WorkflowContext, P], Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
    def __call__(self, fn: Any, /) -> Any:
        """Decorate a function."""


def service(name: str, version: str = "1.0.0") -> Service:
    """A named group of components, for `ctx.call(name, method, payload)`.

    Args:
        name: The service's name.
        version: Of the service, for people.

    Raises:
        InvalidInput: The name can't be one.
    """
    return Service(name, version)


def _policy(max_retries: int, retry_delay: float | timedelta) -> RetryPolicy:
    if isinstance(max_retries, bool) or not isinstance(max_retries, int) or max_retries < 0:
        raise InvalidInput(
            f"max_retries is {max_retries!r}",
            why="it counts the attempts after the first",
            fix="pass 0 for a single attempt",
        )
    return RetryPolicy(max_attempts=max_retries + 1, initial_interval=retry_delay)
