"""`durable.service` and `ctx.call`: methods found by the names of service and method."""

import pytest

from agnt5 import InvalidInput, RetryPolicy, StepTimeoutError, UnknownComponent, WorkflowContext, durable, function
from agnt5 import workflow as workflow_

from .world import World, events_of

FAST = RetryPolicy(max_attempts=3, initial_interval=0.001)


def calling(service: str, method: str, *payload, **options):
    """A workflow that makes this one call."""

    @workflow_(name="calling")
    async def body(ctx: WorkflowContext):
        return await ctx.call(service, method, *payload, **options)

    return body


async def test_a_method_is_called_with_its_payload(world: World):
    """Plain callables, components and flows; the payload is the one positional argument, or there is none."""
    payments = durable.service("payments", "2.0.0")

    async def charge(payload: dict) -> dict:
        return {"charged": payload["amount"]}

    @durable.function(service=payments)
    async def nothing() -> str:
        return "nothing"

    @durable.flow
    async def both(ctx, payload: int) -> list:
        return [await ctx.call("payments", "nothing"), payload]

    payments.add_function(charge)
    payments.add_function(both, name="other")

    assert await calling("payments", "charge", {"amount": 3})() == {"charged": 3}
    assert await calling("payments", "nothing")() == "nothing"
    assert await calling("payments", "other", 5)() == ["nothing", 5]


async def test_none_is_a_payload_where_the_method_takes_one(world: World):
    """Left out only where there is no parameter for it."""
    service = durable.service("maybe")

    @function(service=service)
    async def takes(payload=1):
        return payload

    assert await calling("maybe", "takes", None)() is None


async def test_a_call_is_a_child_of_its_caller(world: World):
    """Journaled, and not made again."""
    ran: list[int] = []
    service = durable.service("counting")

    @function(service=service)
    async def count() -> int:
        ran.append(1)
        return len(ran)

    @workflow_
    async def flow(ctx: WorkflowContext) -> list[int]:
        first = await ctx.call("counting", "count")
        await ctx.sleep(0.001)
        return [first, await ctx.call("counting", "count")]

    handle = await flow.submit()

    assert await handle.result(timeout=5) == [1, 2]
    assert [event.name for event in await events_of(handle, "begun")] == ["count", "count"]


@pytest.mark.parametrize(("service", "method"), [("nobody", "charge"), ("payments", "nothing")])
async def test_an_unknown_service_or_method_is_an_error_that_lists_what_there_is(world: World, service, method):
    """It names what was asked for."""
    payments = durable.service("payments")

    @function(service=payments)
    async def charge() -> None: ...

    with pytest.raises(UnknownComponent) as refused:
        await calling(service, method)()

    assert repr(service) in refused.value.what
    assert "payments" in refused.value.why or "charge" in refused.value.why


async def test_the_callee_governs_its_retries_unless_the_call_says_otherwise(world: World):
    """Attempts in all, or a policy."""
    ran: list[str] = []
    service = durable.service("failing")

    @function(service=service, retries=RetryPolicy(max_attempts=2, initial_interval=0.001))
    async def fail(who: str) -> None:
        ran.append(who)
        raise ConnectionError

    for who, options in [("own", {}), ("one", {"retries": 1}), ("policy", {"retries": FAST})]:
        with pytest.raises(ConnectionError):
            await calling("failing", "fail", who, **options)()

    assert [ran.count(who) for who in ("own", "one", "policy")] == [2, 1, 3]


async def test_the_policy_of_a_call_names_its_exceptions(world: World):
    """It travels to the callee, wherever that runs."""
    ran: list[int] = []
    service = durable.service("failing")

    @function(service=service)
    async def fail() -> None:
        ran.append(1)
        raise KeyError("x")

    options = {"retries": RetryPolicy(max_attempts=3, initial_interval=0.001, no_retry_on=(LookupError,))}
    with pytest.raises(KeyError):
        await calling("failing", "fail", **options)()

    assert ran == [1]


async def test_a_timeout_of_a_call_bounds_its_attempts(world: World):
    """It is a StepTimeoutError."""
    service = durable.service("slow")

    @function(service=service)
    async def wait(ctx) -> None:
        await ctx.wait_for_signal("never")

    with pytest.raises(StepTimeoutError):
        await calling("slow", "wait", timeout=0.02, retries=1)()


def test_a_service_tells_what_it_is_made_of():
    """As plain values."""
    service = durable.service("payments", "2.0.0")
    service.add_function(print, name="say")
    service.add_function(durable.flow(_flow), name="flow")

    config = service.get_service_config()

    assert (config["name"], config["version"], config["objects"]) == ("payments", "2.0.0", [])
    assert [(entry["name"], entry["kind"]) for entry in config["functions"]] == [
        ("say", "function"),
        ("flow", "workflow"),
    ]


async def _flow(ctx) -> None: ...


def test_two_methods_under_one_name_are_refused():
    """Callers name the service and the method, and nothing else."""
    service = durable.service("payments")
    service.add_function(print, name="say")

    with pytest.raises(InvalidInput, match="say"):
        service.add_function(len, name="say")
