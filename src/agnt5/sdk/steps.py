"""Steps: which function to run, with what, under which name and policy."""

import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import MethodType
from typing import Any, Concatenate, ParamSpec, TypeVar, overload
from weakref import WeakKeyDictionary

from msgspec import Struct

from agnt5.core.journal.entry import Kind
from agnt5.core.model.errors import InvalidInput
from agnt5.core.model.retry import RetryPolicy
from agnt5.core.replay.loop import site_of
from agnt5.core.replay.operations import Operation, Request
from agnt5.sdk import serde
from agnt5.sdk.component import (
    NO_OPTIONS,
    CallOptions,
    ChildSpec,
    Component,
    checked_name,
    duration,
    is_context,
    retry_policy,
)
from agnt5.sdk.current import ContextBase
from agnt5.sdk.host import Host
from agnt5.sdk.schema import Schema

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=ContextBase)  # Whichever context the function asks for, it is given one.

DEFAULT_RETRIES = RetryPolicy()


class StepSpec(Struct, frozen=True):
    """All that the worker needs to run a step.

    Attributes:
        text: The encoded arguments.
        retries: The policy of its attempts.
        timeout: Seconds that an attempt may take, if that is limited.
        heartbeat_timeout: Seconds that an attempt may go without a heartbeat, likewise.
        idempotent: Whether it may run again if its worker dies inside it.
    """

    fn: Callable[..., Any]
    schema: Schema
    name: str
    text: bytes
    retries: RetryPolicy
    timeout: float | None
    heartbeat_timeout: float | None
    idempotent: bool


class Steps:
    """`ctx.step`: runs a function once and journals its outcome.

    Example:
        >>> async def body(ctx):
        ...     txn = await ctx.step(charge_card, "order-42")
        ...     await ctx.step("notify", send_receipt, "order-42", txn)
        ...     await ctx.step.options(timeout=5, retries=1)(ping)
    """

    __slots__ = ("_heartbeat_timeout", "_host", "_key", "_name", "_retries", "_timeout")

    def __init__(
        self,
        host: Host,
        name: str | None = None,
        key: str | None = None,
        retries: RetryPolicy | None = None,
        timeout: float | None = None,
        heartbeat_timeout: float | None = None,
    ) -> None:
        self._host = host
        self._name = name
        self._key = key
        self._retries = retries
        self._timeout = timeout
        self._heartbeat_timeout = heartbeat_timeout

    def options(
        self,
        *,
        name: str | None = None,
        key: str | None = None,
        retries: int | RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        heartbeat_timeout: float | timedelta | None = None,
    ) -> "Steps":
        """The same, with these settings for the step that is called next.

        Args:
            name: What the step is called in the journal.
            key: What identifies the step, in place of its arguments.
            retries: Attempts in all, or a policy.
            timeout: Seconds (or a timedelta) that an attempt may take.
            heartbeat_timeout: Seconds (or a timedelta) that an attempt may go without `ctx.heartbeat`.

        Raises:
            InvalidInput: A value is out of its range.
        """
        return Steps(
            self._host,
            checked_name(name) if name is not None else None,
            key,
            retry_policy(retries),
            duration(timeout, "timeout"),
            duration(heartbeat_timeout, "heartbeat_timeout"),
        )

    @overload
    def __call__(self, fn: Component[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Operation[R]: ...
    @overload
    def __call__(
        self, fn: Callable[Concatenate[C, P], Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Operation[R]: ...
    @overload
    def __call__(
        self, fn: Callable[Concatenate[C, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Operation[R]: ...
    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Operation[R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Operation[R]: ...
    @overload
    def __call__(self, name: str, fn: Component[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Operation[R]: ...
    @overload
    def __call__(
        self, name: str, fn: Callable[Concatenate[C, P], Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Operation[R]: ...
    @overload
    def __call__(
        self, name: str, fn: Callable[Concatenate[C, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Operation[R]: ...
    @overload
    def __call__(
        self, name: str, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Operation[R]: ...
    @overload
    def __call__(self, name: str, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Operation[R]: ...
    def __call__(self, fn: Any, /, *args: Any, **kwargs: Any) -> Operation[Any]:
        """Run a function once, and give what it returned, now and on every replay.

        Args:
            fn: A component or any callable, sync or async; before it, a name for the step.
            *args: Its arguments, without a context.
            **kwargs: Likewise.

        Returns:
            Something to await, once; nothing happens before that.

        Raises:
            InvalidInput: The arguments don't fit.
            UnserializableValue: An argument would not come back as it is.
        """
        return self.operation(fn, args, kwargs, site_of(sys._getframe(1)))

    def operation(self, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], site: str) -> Operation[Any]:
        """The step as an operation, asked for at `site`."""
        name = self._name
        if isinstance(fn, str):
            if not args:
                raise InvalidInput(f"step {fn!r} has no function", why="a name alone does nothing", fix="pass it too")
            name, fn, args = checked_name(fn), args[0], args[1:]
        host = self._host
        if isinstance(fn, Component):
            if fn.is_deterministic or fn.kind == "workflow":
                return call(host, fn, fn.schema.write(fn.schema.bind(args, kwargs, fn.name)), NO_OPTIONS, site)
            spec = self._of_component(fn, name, args, kwargs)
        elif callable(fn):
            spec = self._of_callable(fn, name, args, kwargs)
        else:
            raise InvalidInput(f"a step can't run {fn!r}", why="it isn't callable", fix="pass a function")
        request = Request(
            Kind.STEP,
            spec.name,
            spec.text,
            site,
            spec.schema.read_result,
            spec=spec,
            handling=sys.exc_info()[1],
        )
        if self._key is not None:
            request.identity = self._key.encode()
        return Operation(host.begin, request, host.next_hash)

    def _of_component(self, fn: Component[Any, Any], name: str | None, args: tuple[Any, ...], kwargs: Any) -> StepSpec:
        schema = fn.schema
        if args and isinstance(args[0], ContextBase):
            args = args[1:]
        defaults = self._host.step_defaults
        return StepSpec(
            fn.fn,
            schema,
            name or fn.name,
            schema.write(schema.bind(args, kwargs, fn.name)),
            self._retries or fn.retries or defaults.retries or DEFAULT_RETRIES,
            self._timeout or fn.timeout or defaults.timeout,
            self._heartbeat_timeout or fn.heartbeat_timeout,
            fn.idempotent,
        )

    def _of_callable(self, fn: Any, name: str | None, args: tuple[Any, ...], kwargs: Any) -> StepSpec:
        schema = schema_of(fn)
        if args and isinstance(args[0], ContextBase):
            args = args[1:]
        own = getattr(fn, "__name__", type(fn).__name__)
        defaults = self._host.step_defaults
        return StepSpec(
            fn,
            schema,
            name or own,
            schema.write(schema.bind(args, kwargs, own)),
            self._retries or defaults.retries or DEFAULT_RETRIES,
            self._timeout or defaults.timeout,
            self._heartbeat_timeout,
            True,
        )


_schemas: "WeakKeyDictionary[Any, Schema]" = WeakKeyDictionary()
_method_schemas: "WeakKeyDictionary[Any, Schema]" = WeakKeyDictionary()
_by_code: dict[Any, Schema] = {}


def schema_of(fn: Callable[..., Any]) -> Schema:
    """The schema of a callable that is no component; remembered while it lives."""
    is_method = isinstance(fn, MethodType)
    function: Any = getattr(fn, "__func__", fn) if is_method else fn
    code = getattr(function, "__code__", None)
    # Without annotations all functions of one code, such as a lambda in a loop, are alike.
    if code is not None and not function.__annotations__ and not hasattr(function, "__wrapped__"):
        known = _by_code.get((code, is_method))
        if known is None:
            known = _by_code[code, is_method] = Schema(fn, is_context, {})
        return known
    schemas = _method_schemas if is_method else _schemas
    try:
        known = schemas.get(function)
        if known is None:
            known = schemas[function] = Schema(fn, is_context, {})
    except TypeError:  # Unhashable, or without weak references.
        return Schema(fn, is_context, {})
    return known


def call(host: Host, component: Component[Any, Any], text: bytes, options: CallOptions, site: str) -> Operation[Any]:
    """A child run of the run that is executing, awaited."""
    request = Request(
        Kind.CALL,
        component.name,
        text,
        site,
        component.schema.read_result,
        spec=ChildSpec(component, options),
        handling=sys.exc_info()[1],
    )
    return Operation(host.begin, request, host.next_hash)


def submit(host: Host, component: Component[Any, Any], text: bytes, options: CallOptions, site: str) -> Operation[str]:
    """A child run of the run that is executing, on its own; gives its id."""
    request = Request(
        Kind.SUBMIT,
        component.name,
        text,
        site,
        serde.decode,
        spec=ChildSpec(component, options),
        handling=sys.exc_info()[1],
    )
    return Operation(host.begin, request, host.next_hash)
