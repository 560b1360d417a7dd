"""Code that changes under its runs: what blocks them, what mends it, and how old runs keep the old branch."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from agnt5 import BusyWorkflowError, NonDeterminismError, RunBlockedError, WorkerSettings, WorkflowContext, workflow
from agnt5.sdk.registry import REGISTRY

from .world import World, events_of, until_status

Body = Callable[[WorkflowContext], Awaitable[object]]


@asynccontextmanager
async def deployed(world: World, body: Body, name: str = "flow") -> AsyncIterator[object]:
    """Restart the runtime with this code for the workflow."""
    await world.stop()
    with REGISTRY.isolated():
        component = workflow(name=name)(body)
        await world.start()
        yield component
        await world.stop()


async def first() -> str:
    return "first"


async def second() -> str:
    return "second"


async def recorded(ctx: WorkflowContext) -> list:
    """What runs have begun with."""
    return [await ctx.step(first), await ctx.step(second), await ctx.wait_for_signal("go")]


async def _renamed(ctx: WorkflowContext) -> list:
    return [await ctx.step("other", first), await ctx.step(second), await ctx.wait_for_signal("go")]


async def _swapped(ctx: WorkflowContext) -> list:
    return [await ctx.step(second), await ctx.step(first), await ctx.wait_for_signal("go")]


async def _inserted(ctx: WorkflowContext) -> list:
    return [await ctx.step("new", int), await ctx.step(first), await ctx.step(second), await ctx.wait_for_signal("go")]


async def _removed(ctx: WorkflowContext) -> list:
    return [await ctx.step(second), await ctx.wait_for_signal("go")]


async def _other_kind(ctx: WorkflowContext) -> list:
    return [await ctx.state.set("first", 1), await ctx.step(second), await ctx.wait_for_signal("go")]


async def _ends_early(ctx: WorkflowContext) -> list:
    return [await ctx.step(first)]


async def _waits_instead(ctx: WorkflowContext) -> list:
    return [await ctx.wait_for_signal("go"), await ctx.step(first), await ctx.step(second)]


async def _asks_nothing(ctx: WorkflowContext) -> list:
    await asyncio.Event().wait()
    return []


CHANGES = (
    _renamed,
    _swapped,
    _inserted,
    _removed,
    _other_kind,
    _ends_early,
    _waits_instead,
    _asks_nothing,
)


@pytest.mark.parametrize("changed", CHANGES, ids=lambda body: body.__name__)
async def test_changed_code_blocks_its_runs_until_it_is_mended(world: World, changed: Body):
    """The error names both sides and the line; nothing is lost, and the old code takes it up by itself."""
    async with deployed(world, recorded) as flow:
        handle = await flow.submit()
        await until_status(handle, "suspended")

    async with deployed(world, changed):
        await handle.signal("go", "went")
        with pytest.raises(NonDeterminismError) as blocked:
            await handle.result(timeout=5)
        assert await handle.status() == "blocked"

    async with deployed(world, recorded):
        assert await handle.result(timeout=5) == ["first", "second", "went"]

    error = blocked.value
    assert isinstance(error, RunBlockedError)
    assert error.fix
    assert "test_changed_code.py:" in error.what
    assert "'first'" in error.recorded or "'second'" in error.recorded
    assert isinstance(error.index, int)


async def test_a_result_that_can_not_be_reached_stays_blocked(world: World):
    """Resumed with the same code, it comes to the same."""
    async with deployed(world, recorded) as flow:
        handle = await flow.submit()
        await until_status(handle, "suspended")

    async with deployed(world, _swapped):
        await handle.signal("go", "went")
        for _ in range(2):
            with pytest.raises(NonDeterminismError):
                await handle.result(timeout=5)
            await handle.resume()
        with pytest.raises(NonDeterminismError):
            await handle.result(timeout=5)

    async with deployed(world, recorded):
        assert await handle.result(timeout=5) == ["first", "second", "went"]


async def _extended(ctx: WorkflowContext) -> list:
    return [*await recorded(ctx), await ctx.step("more", int)]


async def _other_arguments(ctx: WorkflowContext) -> list:
    return [await ctx.step(_echo, "now"), await ctx.wait_for_signal("go")]


async def _arguments(ctx: WorkflowContext) -> list:
    return [await ctx.step(_echo, "then"), await ctx.wait_for_signal("go")]


async def _echo(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        (recorded, _extended, ["first", "second", "went", 0]),
        (_arguments, _other_arguments, ["then", "went"]),
    ],
)
async def test_changes_behind_what_was_recorded_are_fine(world: World, before: Body, after: Body, result: list):
    """New operations after the last recorded one run; other arguments get the recorded outcome."""
    async with deployed(world, before) as flow:
        handle = await flow.submit()
        await until_status(handle, "suspended")

    async with deployed(world, after):
        await handle.signal("go", "went")
        assert await handle.result(timeout=5) == result


# Patched


async def _before_the_patch(ctx: WorkflowContext) -> list:
    old = await ctx.step("old", first)
    return [old, await ctx.wait_for_signal("go")]


async def _patched(ctx: WorkflowContext) -> list:
    if ctx.patched("second instead of first"):
        done = await ctx.step("new", second)
    else:
        done = await ctx.step("old", first)
    return [done, await ctx.wait_for_signal("go"), ctx.patched("second instead of first")]


async def test_patched_lets_old_runs_keep_the_old_branch(world: World):
    """False for those that had passed the place, also when asked again; True for new ones, and recorded."""
    async with deployed(world, _before_the_patch) as flow:
        old = await flow.submit()
        await until_status(old, "suspended")

    async with deployed(world, _patched) as flow:
        new = await flow.submit()
        await until_status(new, "suspended")
        assert [event.data["change_id"] async for event in _until_outcome(new) if event.kind == "patched"]

    async with deployed(world, _patched):
        await new.signal("go", "went")
        await old.signal("go", "went")
        assert await new.result(timeout=5) == ["second", "went", True]
        assert (await old.result(timeout=5))[:2] == ["first", "went"]
        assert len(await events_of(new, "patched")) == 1


async def _until_outcome(handle):
    async for event in handle.events():
        yield event
        if event.kind == "outcome":
            return


async def _patched_after_the_wait(ctx: WorkflowContext) -> list:
    went = await ctx.wait_for_signal("go")
    return [went, await ctx.step(second if ctx.patched("later") else first)]


async def test_a_run_that_comes_to_the_place_later_takes_the_new_branch(world: World):
    """It had begun before the change, but had not passed it."""

    async def before(ctx: WorkflowContext) -> list:
        return [await ctx.wait_for_signal("go"), await ctx.step(first)]

    async with deployed(world, before) as flow:
        handle = await flow.submit()
        await until_status(handle, "suspended")

    async with deployed(world, _patched_after_the_wait):
        await handle.signal("go", "went")
        assert await handle.result(timeout=5) == ["went", "second"]


# Nobody has the code


async def test_a_run_whose_component_nobody_registers_waits_and_says_why(world: World):
    """It isn't failed; it goes on when somebody has the code, in the same process too."""
    async with deployed(world, recorded, name="missing") as flow:
        handle = await flow.submit()
        await until_status(handle, "suspended")

    async with deployed(world, recorded, name="something else"):
        await handle.signal("go", "went")
        with pytest.raises(TimeoutError):
            await handle.result(timeout=0.05)
        said = await handle.explain()
        assert "'missing'" in said
        assert "import" in said
        assert said.facts["missing"] == "missing"

        workflow(name="missing")(recorded)

        assert await handle.result(timeout=5) == ["first", "second", "went"]


# Bodies that never wait


async def _polls(ctx: WorkflowContext) -> None:
    is_done = False
    while not is_done:  # noqa: ASYNC110  That it polls is what is wrong with it.
        await asyncio.sleep(0)


async def test_a_body_that_polls_is_blocked_with_its_line(world: World):
    """Not yielded to for ever: an error names where it is."""
    async with deployed(world, _polls) as flow:
        handle = await flow.submit()

        with pytest.raises(BusyWorkflowError) as blocked:
            await handle.result(timeout=10)

        assert "test_changed_code.py:" in blocked.value.site
        assert await handle.status() == "blocked"


async def _computes(ctx: WorkflowContext) -> None:
    while True:
        pass


async def test_a_body_that_computes_is_stopped_with_its_line(world: World):
    """Its loop is free again, for other runs too."""
    world.settings = WorkerSettings(
        max_cached_runs=world.settings.max_cached_runs,
        body_seconds_max=0.1,
    )
    async with deployed(world, _computes) as flow:
        other = workflow(name="other")(recorded)
        handle = await flow.submit()

        with pytest.raises(BusyWorkflowError) as blocked:
            await handle.result(timeout=10)

        assert "test_changed_code.py:" in blocked.value.site
        fine = await other.submit()
        await fine.signal("go", "went")
        assert await fine.result(timeout=5) == ["first", "second", "went"]
