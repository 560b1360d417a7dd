"""Components say at their definition, and callers at their call, what can't be meant."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agnt5 import (
    DurableContext,
    FunctionContext,
    InvalidInput,
    NoContextError,
    RetryPolicy,
    WorkflowContext,
    ctx,
    durable,
    function,
    task,
    workflow,
)
from agnt5.core.model.retry import MICROSECONDS
from agnt5.sdk.component import NAME_CHARS_MAX, Component, call_options
from agnt5.sdk.current import CURRENT


async def body(order_id: str = "") -> str:
    return order_id


BAD_SETTINGS: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    *((make, {"retries": wrong}) for make in (function, workflow) for wrong in (0, -1, 1.5, True, "3", [])),
    *((make, {"timeout": wrong}) for make in (function, workflow, durable.function) for wrong in (0, -1, "5s", True)),
    (function, {"timeout": float("nan")}),
    (function, {"timeout": timedelta(0)}),
    (function, {"heartbeat_timeout": -1}),
    (workflow, {"step_timeout": "1"}),
    (workflow, {"step_retries": 0}),
    *((workflow, {"max_concurrent_steps": wrong}) for wrong in (0, -1, 1.5, True, "4")),
    *((durable.function, {"max_retries": wrong}) for wrong in (-1, 1.5, True, None)),
    (durable.function, {"retry_delay": -1}),
    (durable.flow, {"max_retries": -1}),
    (durable.flow, {"checkpoint_interval": 0}),
    (durable.flow, {"checkpoint_interval": "often"}),
    *((function, {"name": wrong}) for wrong in ("", "a\nb", 7, "x" * (NAME_CHARS_MAX + 1))),
]


@pytest.mark.parametrize(
    ("make", "setting"), BAD_SETTINGS, ids=lambda value: value.__name__ if callable(value) else str(value)[:40]
)
def test_a_setting_that_cant_be_meant_is_refused_at_once(make: Callable[..., Any], setting: dict[str, Any]):
    """What it is, why that can't be, and what to write instead: where the component is defined."""
    with pytest.raises(InvalidInput) as caught:
        make(**setting)(body)

    assert caught.value.what
    assert caught.value.why
    assert caught.value.fix


@pytest.mark.parametrize("make", [function, workflow, durable.function, durable.flow])
def test_an_unknown_setting_is_pythons_own_error(make: Callable[..., Any]):
    """As for any function."""
    with pytest.raises(TypeError, match="retry"):
        make(retry=3)(body)


def test_what_a_workflow_must_be():
    """Its body awaits its steps, so it is async."""
    with pytest.raises(InvalidInput, match="async"):
        workflow(lambda: 1)  # type: ignore[call-overload]


@pytest.mark.parametrize("make", [function, task, workflow, durable.function, durable.flow])
def test_with_and_without_parentheses(make: Callable[..., Any]):
    """`@make`, `@make()` and `@make(name=…)` all make a component, under its own name or another."""
    plain, called, named = make(body), make()(body), make(name="other")(body)

    assert [made.name for made in (plain, called, named)] == ["body", "body", "other"]
    assert all(isinstance(made, Component) for made in (plain, called, named))
    assert plain.__doc__ == body.__doc__
    assert plain.fn is body


def test_retries_count_all_attempts_and_max_retries_those_after_the_first():
    """The one difference between the two ways of writing it."""
    assert function(retries=3)(body).retries == RetryPolicy(max_attempts=3)
    with_policy = RetryPolicy(5, 0.5)
    assert workflow(name="w", retries=with_policy)(body).retries is with_policy
    assert durable.function(name="d", max_retries=3, retry_delay=2)(body).retries == RetryPolicy(4, 2.0)
    assert durable.flow(name="f", max_retries=0)(body).retries == RetryPolicy(1)


def test_what_each_kind_does_when_nothing_is_said():
    """A workflow has one attempt, a flow four from a second, a function its default policy."""
    assert workflow(name="w")(body).retries == RetryPolicy(1)
    assert durable.flow(name="f")(body).retries == RetryPolicy(4)
    assert durable.function(name="d")(body).retries == RetryPolicy(4)
    assert function(name="g")(body).retries in (None, RetryPolicy(3))
    assert durable.flow(name="h")(body).max_concurrent_steps == 10
    assert workflow(name="i")(body).max_concurrent_steps is None


def test_durations_may_be_timedeltas():
    """Seconds or a timedelta, wherever there is a duration."""
    made = workflow(name="w", timeout=timedelta(minutes=1), step_timeout=timedelta(seconds=2))(body)

    assert made.timeout == 60.0
    assert made.step_defaults.timeout == 2.0


# What a caller says of one run


@pytest.mark.parametrize(
    "said",
    [
        {"idempotency_key": ""},
        {"idempotency_key": 7},
        {"idempotency_key": "x" * 513},
        {"delay": -1},
        {"delay": "soon"},
        {"delay": float("inf")},
        {"at": datetime(2024, 1, 1)},
        {"at": "2024-01-01"},
        {"delay": 1, "at": datetime(2024, 1, 1, tzinfo=UTC)},
        {"tags": ["a", ""]},
        {"tags": [1]},
        {"tags": "x" * 256},
        {"tags": ["t"] * 21},
    ],
    ids=str,
)
def test_an_option_that_cant_be_meant_is_refused(said: dict[str, Any]):
    """At the call, before anything is submitted."""
    options: dict[str, Any] = {"idempotency_key": None, "delay": None, "at": None, "tags": ()} | said

    with pytest.raises(InvalidInput) as caught:
        call_options(**options)

    assert caught.value.fix


def test_options_are_kept_as_said():
    """Delays in microseconds, a single tag as one."""
    at = datetime(2024, 1, 2, tzinfo=UTC)

    options = call_options("k", timedelta(seconds=1.5), None, "tag")
    later = call_options(None, None, at, ["a", "b"])

    assert (options.idempotency_key, options.start_in, options.tags) == ("k", 1_500_000, ("tag",))
    assert (later.start_at, later.tags) == (round(at.timestamp()) * MICROSECONDS, ("a", "b"))


def test_equal_arguments_have_one_digest_however_they_are_written():
    """By position or by name, in any order of a dict's members: under a key it is the same input."""

    @function
    async def pay(a: int, b: dict[str, int]) -> None: ...

    options = call_options("k", None, None, ())
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((1, {"x": 1, "y": 2}), {}),
        ((1,), {"b": {"y": 2, "x": 1}}),
        ((), {"b": {"x": 1, "y": 2}, "a": 1}),
    ]

    digests = {pay.submission(args, kwargs, options, 0).input_digest for args, kwargs in calls}

    assert len(digests) == 1
    assert pay.submission((2, {"x": 1, "y": 2}), {}, options, 0).input_digest not in digests


# Called inline


class Stub(WorkflowContext):
    """A stand-in for a unit test of the user's."""

    def __init__(self) -> None:
        self.asked: list[str] = []


async def test_with_a_context_it_is_a_plain_call():
    """No run, no journal: the raw function, with that context, which is also the current one."""

    @function
    async def greet(context: DurableContext, name: str) -> str:
        assert CURRENT.get() is context
        context.asked.append(name)  # type: ignore[attr-defined]
        return f"hello {name}"

    @function
    def shout(name: str) -> str:
        return name.upper()

    stub = Stub()

    assert await greet(stub, "ada") == "hello ada"  # type: ignore[call-arg, arg-type]
    assert await shout(stub, "ada") == "ADA"  # type: ignore[call-arg, arg-type]
    assert stub.asked == ["ada"]
    assert CURRENT.get() is None


def test_ctx_outside_of_a_run_says_so():
    """The proxy stands for nothing there."""
    with pytest.raises(NoContextError, match="no run is executing"):
        _ = ctx.run_id
    assert "outside" in repr(ctx)


def test_the_proxy_is_what_it_stands_for():
    """`isinstance` tells what holds at the moment."""
    stub = Stub()
    token = CURRENT.set(stub)
    try:
        assert isinstance(ctx, WorkflowContext)
        assert not isinstance(ctx, FunctionContext)
        assert ctx.asked == []  # type: ignore[attr-defined]
    finally:
        CURRENT.reset(token)
