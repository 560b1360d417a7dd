"""What people do to runs that have ended or stand still: retry, fork and resume."""

import asyncio
from collections.abc import Callable

import pytest

from agnt5 import (
    ConflictError,
    FunctionContext,
    InvalidInput,
    RetryPolicy,
    RunBlockedError,
    RunCancelledError,
    WorkflowContext,
    durable,
    function,
    get_run,
    send_event,
    workflow,
)

from .world import World, events_of, until, until_status

KINDS = pytest.mark.parametrize("component", [workflow, function], ids=["workflow", "function"])
ONCE = RetryPolicy(max_attempts=1)


class Broken(Exception):
    """What is wrong until somebody mends it."""


class Trip:
    """Books a flight and a hotel; the hotel is full until it isn't.

    Attributes:
        ran: What was done.
    """

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.is_full = True

    async def flight(self, ctx: FunctionContext) -> str:
        """Always there."""
        self.ran.append("flight")
        return ctx.idempotency_key

    async def hotel(self) -> str:
        """Not always."""
        self.ran.append("hotel")
        if self.is_full:
            raise Broken("full")
        return "room 7"

    def component(self, decorate: Callable) -> object:
        """A run of all of it."""

        @decorate(name="trip", retries=ONCE)
        async def trip(ctx, guest: str) -> list:
            flight = await ctx.step(self.flight)
            await ctx.state.set("flight", flight)
            return [guest, flight, await ctx.step.options(retries=1)(self.hotel), ctx.run_id]

        return trip


# Retry


@KINDS
async def test_a_retry_is_a_new_run_that_keeps_what_succeeded(world: World, component):
    """Same input, state and successes; what failed runs again. The old run stays as it ended."""
    trip = Trip()
    handle = await trip.component(component).submit("Ada")
    with pytest.raises(Broken):
        await handle.result(timeout=5)
    trip.is_full = False

    again = await handle.retry()
    guest, flight, room, run = await again.result(timeout=5)

    assert again.id == run != handle.id
    assert (guest, room) == ("Ada", "room 7")
    assert flight.startswith(handle.id)
    assert trip.ran == ["flight", "hotel", "hotel"]
    assert await again.state.get("flight") == flight
    assert await handle.status() == "failed"
    with pytest.raises(Broken):
        await handle.result()


@KINDS
async def test_a_retry_may_fail_and_be_retried(world: World, component):
    """Each is a run of its own, linked to the one before."""
    trip = Trip()
    handle = await trip.component(component).submit("Ada")
    for _ in range(2):
        with pytest.raises(Broken):
            await handle.result(timeout=5)
        handle = await handle.retry()
    with pytest.raises(Broken):
        await handle.result(timeout=5)
    trip.is_full = False

    assert (await (await handle.retry()).result(timeout=5))[2] == "room 7"
    assert trip.ran.count("flight") == 1


async def test_a_retry_after_a_restart_keeps_as_much(world: World):
    """It is made from the journal."""
    trip = Trip()
    handle = await trip.component(workflow).submit("Ada")
    with pytest.raises(Broken):
        await handle.result(timeout=5)
    await world.restart()
    trip.is_full = False

    await (await handle.retry()).result(timeout=5)

    assert trip.ran == ["flight", "hotel", "hotel"]


async def test_a_retry_of_what_compensated_reuses_nothing_but_the_state(world: World):
    """Its successes were undone."""
    ran: list[str] = []

    @workflow
    async def trip(ctx: WorkflowContext) -> int:
        count = await ctx.state.get("count", 0) + 1
        await ctx.state.set("count", count)
        await ctx.step("book", ran.append, "book")
        try:
            if count == 1:
                raise Broken
        except Broken:
            await ctx.step("undo", ran.append, "undo")
            raise
        return count

    handle = await trip.submit()
    with pytest.raises(Broken):
        await handle.result(timeout=5)

    assert await (await handle.retry()).result(timeout=5) == 2
    assert ran == ["book", "undo", "book"]


@KINDS
async def test_a_cancelled_run_can_be_retried(world: World, component):
    """It isn't cancelled again."""
    ran: list[str] = []

    @component(name="trip")
    async def trip(ctx) -> str:
        await ctx.step("book", ran.append, "book")
        return await ctx.wait_for_signal("go")

    handle = await trip.submit()
    await until_status(handle, "suspended")
    await handle.cancel()
    with pytest.raises(RunCancelledError):
        await handle.result(timeout=5)

    again = await handle.retry()
    await again.signal("go", "went")

    assert await again.result(timeout=5) == "went"
    assert ran == ["book"]


async def test_a_cancelled_run_that_never_began_can_be_retried(world: World):
    """There is nothing to keep."""

    @function
    async def work(n: int) -> int:
        return n

    handle = await work.submit(3, delay=3600)
    await handle.cancel()

    assert await (await handle.retry()).result(timeout=5) == 3


async def test_only_what_failed_or_was_cancelled_is_retried(world: World):
    """A run that goes on, or has completed, has nothing to mend."""

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("go")

    handle = await flow.submit()
    with pytest.raises(ConflictError):
        await handle.retry()
    await handle.signal("go")
    await handle.result()

    with pytest.raises(ConflictError, match="completed"):
        await handle.retry()


async def test_the_key_stays_with_the_old_run_unless_it_is_taken(world: World):
    """Who asks under it gets the outcome that was given, or that of the run that took it."""
    trip = Trip()
    component = trip.component(workflow)
    handle = await component.submit("Ada", idempotency_key="k")
    with pytest.raises(Broken):
        await handle.result(timeout=5)
    trip.is_full = False

    beside = await handle.retry()
    await beside.result(timeout=5)
    with pytest.raises(Broken):
        await component.run("Ada", idempotency_key="k")

    instead = await handle.retry(take_key=True)
    await world.restart()
    assert (await component.submit("Ada", idempotency_key="k")).id == instead.id
    assert (await component.run("Ada", idempotency_key="k"))[2] == "room 7"
    with pytest.raises(ConflictError):
        await component.run("Bob", idempotency_key="k")


async def test_a_retry_makes_failed_children_anew_and_keeps_the_others(world: World):
    """Also children of children, by what they are asked for."""
    ran: list[str] = []
    broken = [True]

    @function(retries=1)
    async def child(name: str) -> str:
        ran.append(name)
        if name == "bad" and broken:
            raise Broken
        return name

    @workflow
    async def parent(ctx: WorkflowContext) -> list[str]:
        return [await child("good"), await child("bad")]

    handle = await parent.submit()
    with pytest.raises(Broken):
        await handle.result(timeout=5)
    broken.clear()

    assert await (await handle.retry()).result(timeout=5) == ["good", "bad"]
    assert ran == ["good", "bad", "bad"]


# Fork


async def test_a_fork_keeps_what_came_before_and_goes_its_own_way(world: World):
    """Entries before the place are reused, those after it are made anew, under new identities."""
    keys: dict[str, list[str]] = {}

    async def step(ctx: FunctionContext, name: str) -> int:
        keys.setdefault(name, []).append(ctx.idempotency_key)
        return len(keys[name])

    @workflow
    async def flow(ctx: WorkflowContext) -> list[int]:
        found = []
        for name in ("a", "b", "c"):
            found.append(await ctx.step(step, name))
            await ctx.state.set("last", name)
        return found

    handle = await flow.submit()
    assert await handle.result() == [1, 1, 1]
    places = [event.index for event in await events_of(handle, "outcome") if event.name == "step"]

    fork = await handle.fork(at=places[1])

    assert await fork.result(timeout=5) == [1, 2, 2]
    assert fork.id != handle.id
    assert {name: len(set(found)) for name, found in keys.items()} == {"a": 1, "b": 2, "c": 2}
    assert await handle.result() == [1, 1, 1]


async def test_a_fork_has_the_state_of_its_place(world: World):
    """Not that of the end."""

    @workflow
    async def flow(ctx: WorkflowContext) -> list:
        await ctx.state.set("n", 1)
        before = await ctx.state.get("n")
        await ctx.wait_for_signal("go")
        await ctx.state.set("n", 2)
        return [before, await ctx.state.get("n")]

    handle = await flow.submit()
    await until_status(handle, "suspended")
    await handle.signal("go")
    await handle.result(timeout=5)
    [signal] = await events_of(handle, "signal")

    fork = await handle.fork(at=signal.index)
    await until_status(fork, "suspended")

    assert await fork.state.get("n") == 1
    await fork.signal("go")
    assert await fork.result(timeout=5) == [1, 2]


@pytest.mark.parametrize("offset", [-5, 0, 1, 5])
async def test_a_fork_outside_of_the_journal_is_refused(world: World, offset: int):
    """The error says which places there are."""

    @workflow
    async def flow(ctx: WorkflowContext) -> None: ...

    handle = await flow.submit()
    await handle.result()
    last = [event.index async for event in handle.events()][-1]
    place = offset if offset <= 0 else last + offset

    with pytest.raises(InvalidInput, match="fork"):
        await handle.fork(at=place)


async def test_every_place_of_a_journal_can_be_forked_at(world: World):
    """With a step that is retried, a timer, a child and an event in it, each fork comes to the same."""

    @function
    async def child(n: int) -> int:
        return n * 10

    def flaky() -> int:
        flaked.append(1)
        if len(flaked) % 2:
            raise ConnectionError
        return 1

    flaked: list[int] = []

    @workflow(step_retries=RetryPolicy(max_attempts=3, initial_interval=0.001))
    async def flow(ctx: WorkflowContext) -> list[int]:
        first = await ctx.step(flaky)
        await ctx.sleep(0.002)
        both = await asyncio.gather(child(2), ctx.step(int, "3"))
        return [first, *both, await ctx.wait_for_event("given")]

    await send_event("given", 4)
    handle = await flow.submit()
    assert await handle.result(timeout=5) == [1, 20, 3, 4]
    indexes = [event.index async for event in handle.events()]

    forks = [await handle.fork(at=index) for index in indexes[1:]]

    assert [await fork.result(timeout=5) for fork in forks] == [[1, 20, 3, 4]] * len(forks)


async def test_a_running_run_can_be_forked(world: World):
    """Neither disturbs the other."""

    @workflow
    async def flow(ctx: WorkflowContext) -> list:
        return [await ctx.step(int, "7"), await ctx.wait_for_signal("go")]

    handle = await flow.submit()
    await until_status(handle, "suspended")
    [step] = [event.index async for event in _until_outcome(handle)]

    fork = await handle.fork(at=step)
    await fork.signal("go", "fork")

    assert await fork.result(timeout=5) == [7, "fork"]
    assert await handle.status() == "suspended"
    await handle.signal("go", "original")
    assert await handle.result(timeout=5) == [7, "original"]


async def _until_outcome(handle):
    async for event in handle.events():
        if event.kind == "outcome":
            yield event
            return


# Blocked


async def test_resume_is_for_blocked_runs(world: World):
    """Others have nothing to resume."""

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("go")

    handle = await flow.submit()
    await until_status(handle, "suspended")

    with pytest.raises(ConflictError, match="blocked"):
        await handle.resume()


@pytest.mark.parametrize("where", ["function", "step"])
async def test_what_may_not_run_twice_is_blocked_when_it_was_cut_short(world: World, where: str):
    """A human looks; then resume runs it again, or cancel gives it up."""
    began: list[str] = []
    release = asyncio.Event()

    @durable.function(idempotent=False)
    async def charge(order: str) -> str:
        began.append(order)
        await release.wait()
        return f"charged {order}"

    @workflow
    async def checkout(ctx: WorkflowContext, order: str) -> str:
        return await ctx.step(charge, order)

    component = charge if where == "function" else checkout
    handles = [await component.submit(order) for order in ("1", "2")]
    await until(lambda: len(began) == 2)
    await world.restart()

    for handle in handles:
        with pytest.raises(RunBlockedError, match="may not run again"):
            await handle.result(timeout=5)
        assert await handle.status() == "blocked"
        assert "idempotent=False" in (await _why(handle))
    assert sorted(began) == ["1", "2"]
    release.set()
    await handles[0].resume()
    await handles[1].cancel()
    assert await handles[0].result(timeout=5) == "charged 1"
    with pytest.raises(RunCancelledError):
        await handles[1].result(timeout=5)
    assert sorted(began) == ["1", "1", "2"]


async def _why(handle) -> str:
    with pytest.raises(RunBlockedError) as blocked:
        await handle.result(timeout=5)
    assert (await handle.explain()).startswith("blocked: ")
    return blocked.value.why


async def test_what_may_not_run_twice_is_not_blocked_when_it_had_ended(world: World):
    """Its outcome is known: nothing is to be asked."""
    ran: list[int] = []

    @durable.function(idempotent=False)
    async def charge() -> str:
        ran.append(1)
        return "charged"

    @workflow
    async def checkout(ctx: WorkflowContext) -> list[str]:
        charged = await ctx.step(charge)
        return [charged, await ctx.wait_for_signal("go")]

    handle = await checkout.submit()
    await until_status(handle, "suspended")
    await world.restart()
    await handle.signal("go", "went")

    assert await handle.result(timeout=5) == ["charged", "went"]
    assert ran == [1]


async def test_awaiting_a_blocked_child_waits(world: World):
    """Inside a run it is no error: the child may still be let go on."""
    began: list[int] = []
    release = asyncio.Event()

    @durable.function(idempotent=False)
    async def charge() -> str:
        began.append(1)
        await release.wait()
        return "charged"

    @workflow
    async def checkout(ctx: WorkflowContext) -> str:
        handle = await charge.submit()
        await ctx.state.set("child", handle.id)
        return await handle.result()

    handle = await checkout.submit()
    await until(lambda: began)
    await until_status(handle, "suspended")
    await world.restart()
    child = get_run(await handle.state.get("child"))
    await until_status(child, "blocked")
    assert await handle.status() in ("suspended", "running", "queued")
    release.set()
    await child.resume()

    assert await handle.result(timeout=5) == "charged"
