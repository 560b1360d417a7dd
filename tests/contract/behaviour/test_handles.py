"""Handles: what a run tells those who hold its id, from outside and from inside other runs."""

import asyncio

import pytest

import agnt5
from agnt5 import (
    ConflictError,
    InvalidInput,
    RunCancelledError,
    UnknownRun,
    WorkflowContext,
    function,
    get_run,
    workflow,
)

from .world import World, until_status

NOBODY = "0" * 32


async def test_a_handle_follows_a_run_from_submission_to_result(world: World):
    """Status and result at every stage; the result can be asked for again."""

    @workflow
    async def flow(ctx: WorkflowContext, n: int) -> int:
        return n + await ctx.wait_for_signal("more")

    handle = await flow.submit(1)
    await until_status(handle, "suspended")
    await handle.signal("more", 2)

    assert await handle.result() == 3
    assert await handle.result() == 3
    assert await handle.status() == "completed"


async def test_a_run_is_found_again_by_its_id(world: World):
    """In the same process and in the next, with the result as its annotation has it."""

    @workflow
    async def flow(ctx: WorkflowContext) -> tuple[int, str]:
        await ctx.state.set("progress", {1, 2})
        return (1, await ctx.wait_for_signal("go"))

    handle = await flow.submit()
    await until_status(handle, "suspended")
    await world.restart()
    found = get_run(handle.id)

    assert found.id == handle.id
    assert await found.state.get("progress") == {1, 2}
    await found.signal("go", "went")
    assert await found.result() == (1, "went")


@pytest.mark.parametrize(
    "use",
    [
        lambda handle: handle.status(),
        lambda handle: handle.result(),
        lambda handle: handle.cancel(),
        lambda handle: handle.signal("x", 1),
        lambda handle: handle.state.get("x"),
        lambda handle: handle.explain(),
        lambda handle: handle.resume(),
        lambda handle: handle.retry(),
        lambda handle: handle.fork(at=1),
        lambda handle: anext(handle.events()),
    ],
    ids=["status", "result", "cancel", "signal", "state", "explain", "resume", "retry", "fork", "events"],
)
async def test_an_unknown_id_shows_at_first_use(world: World, use):
    """Making the handle asks nobody; every use of it says that there is no such run."""
    handle = get_run(NOBODY)

    with pytest.raises(UnknownRun, match=NOBODY):
        await use(handle)


async def test_get_run_takes_a_text():
    """Whatever is no text can't be an id."""
    with pytest.raises(InvalidInput):
        get_run(42)


async def test_a_result_that_takes_too_long_is_the_builtin_timeout(world: World):
    """The run goes on nevertheless, and can be asked again."""

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        return await ctx.wait_for_signal("go")

    handle = await flow.submit()
    with pytest.raises(TimeoutError):
        await handle.result(timeout=0.01)
    await handle.signal("go", "went")

    assert await handle.result(timeout=5) == "went"


async def test_a_failed_run_raises_its_exception(world: World):
    """With its own type and arguments, and where it came from."""

    @workflow
    async def flow() -> None:
        raise KeyError("missing", 3)

    handle = await flow.submit()

    with pytest.raises(KeyError) as raised:
        await handle.result()
    assert raised.value.args == ("missing", 3)
    assert "test_handles.py" in str(raised.value.__cause__)
    assert await handle.status() == "failed"


async def test_events_are_told_from_the_first_to_the_last(world: World):
    """Those that were there before, those that come, in order, without gaps; then the stream ends."""

    @function
    async def charge(n: int) -> int:
        return n * 2

    @workflow
    async def flow(ctx: WorkflowContext) -> int:
        first = await ctx.step(charge, 4)
        return first + await ctx.wait_for_signal("more")

    handle = await flow.submit()
    await until_status(handle, "suspended")
    seen = []
    async for event in handle.events():
        seen.append(event)
        if event.kind == "outcome":
            await handle.signal("more", 1)

    assert [event.index for event in seen] == list(range(len(seen)))
    assert [event.kind for event in seen] == ["started", "outcome", "signal", "ended"]
    assert [event.name for event in seen] == ["flow", "charge", "more", ""]
    assert seen[1].data["result"] == 8
    assert all(event.run_id == handle.id for event in seen)
    assert [event.at for event in seen] == sorted(event.at for event in seen)
    assert [event.index async for event in handle.events()] == [event.index for event in seen]


async def test_several_may_follow_a_run(world: World):
    """Each gets all of it; one that stops early disturbs nobody."""

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("go")

    handle = await flow.submit()

    async def follow() -> list[str]:
        return [event.kind async for event in handle.events()]

    both = asyncio.gather(follow(), follow())
    async for _ in handle.events():
        break
    await until_status(handle, "suspended")
    await handle.signal("go")

    assert await both == [["started", "signal", "ended"]] * 2


async def test_state_is_read_from_outside(world: World):
    """Whatever is committed: while the run waits and after it has ended; a default where nothing is."""

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.state.set("a", [1])
        await ctx.state.set("b", 2)
        await ctx.state.delete("b")
        await ctx.wait_for_signal("go")
        await ctx.state.set("a", None)

    handle = await flow.submit()
    await until_status(handle, "suspended")

    assert await handle.state.get("a") == [1]
    assert await handle.state.get("b") is None
    assert await handle.state.get("b", "nothing") == "nothing"
    await handle.signal("go")
    await handle.result()
    assert await handle.state.get("a", "nothing") is None


async def test_explain_is_a_sentence_with_facts(world: World):
    """It says what a run waits for and where in the code."""

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.wait_for_event("payment-42", timeout=100)

    handle = await flow.submit()
    await until_status(handle, "suspended")

    said = await handle.explain()

    assert isinstance(said, str)
    assert said.status == "suspended"
    assert "payment-42" in said
    assert "test_handles.py" in said
    assert any("payment-42" in wait for wait in said.facts["waiting_for"])
    await handle.cancel()
    with pytest.raises(RunCancelledError):
        await handle.result()
    assert "cancelled" in await handle.explain()


async def test_a_run_that_has_ended_takes_no_signal(world: World):
    """It could never be read."""

    @function
    async def work() -> None: ...

    handle = await work.submit()
    await handle.result()

    with pytest.raises(ConflictError, match="completed"):
        await handle.signal("late", 1)


# From inside a run


async def test_a_workflow_asks_another_run_as_a_step(world: World):
    """What it was told once it is told on every replay, though the run has gone on since."""

    @workflow
    async def other(ctx: WorkflowContext) -> str:
        await ctx.state.set("n", {1})
        return await ctx.wait_for_signal("go")

    @workflow
    async def asking(ctx: WorkflowContext, run: str) -> list:
        handle = get_run(run)
        told = [await handle.status(), await handle.state.get("n"), await handle.state.get("m", 5)]
        await handle.signal("go", "went")
        told.append(await handle.result())
        await ctx.sleep(0.001)
        return [*told, await handle.status()]

    handle = await other.submit()
    await until_status(handle, "suspended")

    assert await asking(handle.id) == ["suspended", {1}, 5, "went", "completed"]


async def test_a_workflow_reads_why_a_run_waits(world: World):
    """`explain` works there too, and gives the same sentence on replay."""

    @workflow
    async def other(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("go")

    @workflow
    async def asking(ctx: WorkflowContext, run: str) -> list[str]:
        said = await get_run(run).explain()
        await ctx.sleep(0.001)
        return [said.status, str(said)]

    handle = await other.submit()
    await until_status(handle, "suspended")

    status, said = await (await asking.submit(handle.id)).result(timeout=5)

    assert status == "suspended"
    assert "signal go" in said


async def test_a_workflow_cancels_and_retries_another_run(world: World):
    """Once: on replay the run that was made then is the one that it gets."""

    @workflow
    async def other(ctx: WorkflowContext) -> str:
        return await ctx.wait_for_signal("go")

    @workflow
    async def mending(ctx: WorkflowContext, run: str) -> list:
        handle = get_run(run)
        await handle.cancel()
        try:
            await handle.result()
        except RunCancelledError:
            again = await handle.retry()
        await ctx.sleep(0.001)
        await again.signal("go", "went")
        return [again.id, await again.result()]

    handle = await other.submit()
    await until_status(handle, "suspended")

    new_id, result = await (await mending.submit(handle.id)).result(timeout=5)

    assert new_id != handle.id
    assert result == "went"


async def test_a_function_uses_handles_like_anybody(world: World):
    """Also events, which go on for as long as the run does."""

    @workflow
    async def other(ctx: WorkflowContext) -> int:
        return await ctx.wait_for_signal("go")

    @function
    async def using(run: str) -> list:
        handle = get_run(run)
        await handle.signal("go", 3)
        return [await handle.result(), [event.kind async for event in handle.events()]]

    handle = await other.submit()

    assert await using(handle.id) == [3, ["started", "signal", "ended"]]


async def test_an_unknown_run_is_an_error_inside_a_run_too(world: World):
    """The body may handle it."""

    @workflow
    async def asking(ctx: WorkflowContext) -> list[str]:
        found = []
        handle = get_run(NOBODY)
        for use in (handle.result, handle.cancel, lambda: handle.signal("x", 1)):
            try:
                await use()
            except UnknownRun as error:
                found.append(error.run_id)
        return found

    assert (await (await asking.submit()).result(timeout=5))[0] == NOBODY
    assert agnt5.UnknownRun is UnknownRun
