"""What a workflow body sees of time, chance and the outside: the same on every replay, or nothing."""

import asyncio
import logging
import os
import socket
import subprocess
import threading
import time
import urllib.request
from datetime import UTC, datetime

import pytest

from agnt5 import EffectOutsideStep, RetryPolicy, WorkflowContext, function, workflow

from .world import World, until, until_status


async def test_time_and_chance_are_replayed(world: World):
    """A body that runs again after every wait sees what it saw the first time."""
    lives: list[list] = []

    @workflow
    async def flow(ctx: WorkflowContext) -> int:
        seen: list = []
        lives.append(seen)
        for n in range(3):
            seen.append([ctx.now(), ctx.random.random(), ctx.uuid4(), asyncio.get_running_loop().time()])
            await ctx.step(int, str(n))
            await ctx.sleep(0.002)
        await ctx.wait_for_signal("go")
        seen.append([ctx.now(), ctx.random.random(), ctx.uuid4(), asyncio.get_running_loop().time()])
        return len(lives)

    handle = await flow.submit()
    await until_status(handle, "suspended")
    await world.restart()
    await handle.signal("go")
    count = await handle.result(timeout=5)

    assert count >= 2
    longest = lives[-1]
    assert len(longest) == 4
    assert all(seen == longest[: len(seen)] for seen in lives)
    times = [seen[0] for seen in longest]
    assert times == sorted(times)
    assert times[1] > times[0]
    assert len({seen[1] for seen in longest}) == 4
    assert {seen[2].version for seen in longest} == {4}


async def test_now_is_the_time_in_utc(world: World):
    """Of the last thing that the body saw."""

    @workflow
    async def flow(ctx: WorkflowContext) -> datetime:
        return ctx.now()

    before = datetime.now(UTC)
    now = await flow()

    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is not None


async def test_runs_draw_different_chance(world: World):
    """Each from its own seed."""

    @workflow
    async def flow(ctx: WorkflowContext) -> list:
        return [ctx.random.random(), ctx.uuid4()]

    first, second = await flow(), await flow()

    assert first[0] != second[0]
    assert first[1] != second[1]


async def test_a_body_is_told_whether_it_is_replayed(world: World):
    """True while it only repeats, False for what it does for the first time."""
    seen: list[list] = []

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        seen.append(["begin", ctx.is_replaying])
        await ctx.step(int)
        seen.append(["stepped", ctx.is_replaying])
        await ctx.wait_for_signal("go")
        seen.append(["went", ctx.is_replaying])

    handle = await flow.submit()
    await until_status(handle, "suspended")
    before = len(seen)
    await world.restart()
    await handle.signal("go")
    await handle.result(timeout=5)

    assert seen[:2] == [["begin", False], ["stepped", False]]
    assert before == 2
    assert ["begin", True] in seen[2:]
    assert seen[-1] == ["went", False]


async def test_the_logger_is_silent_in_replay(world: World, caplog: pytest.LogCaptureFixture):
    """Each line stands in the log once, with the run's id and what its span was told."""
    caplog.set_level(logging.INFO, logger="agnt5.run")

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        ctx.span.set("tenant", "acme")
        ctx.logger.info("begun %s", 1)
        await ctx.step(_logs)
        await ctx.sleep(0.001)
        ctx.logger.info("slept")
        await ctx.wait_for_signal("go")
        ctx.logger.info("went")

    handle = await flow.submit()
    await until(lambda: "slept" in caplog.messages)
    await until_status(handle, "suspended")
    await world.restart()
    await handle.signal("go")
    await handle.result(timeout=5)

    said = [record for record in caplog.records if record.name == "agnt5.run"]
    assert [record.getMessage() for record in said] == ["begun 1", "in a step", "slept", "went"]
    assert {record.run_id for record in said} == {handle.id}
    assert said[0].tenant == "acme"


async def _logs(ctx) -> None:
    ctx.logger.info("in a step")


# The outside


async def _connects():
    await asyncio.open_connection("127.0.0.1", 1)


async def _uses_a_thread():
    await asyncio.to_thread(int)


async def _starts_a_process():
    await asyncio.create_subprocess_exec("true")


async def _looks_up():
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


OUTSIDE = {
    "time.sleep": lambda: time.sleep(0.001),
    "socket": lambda: socket.socket().close(),
    "url": lambda: urllib.request.urlopen("http://127.0.0.1:1"),
    "thread": lambda: threading.Thread(target=int).start(),
    "process": lambda: subprocess.run(["true"], check=True),
    "system": lambda: os.system("true"),
    "another loop": lambda: asyncio.new_event_loop().close(),
    "open_connection": _connects,
    "to_thread": _uses_a_thread,
    "subprocess": _starts_a_process,
    "getaddrinfo": _looks_up,
}


# A loop that is refused its sockets is only half made, and asyncio complains of it when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", list(OUTSIDE))
async def test_a_body_that_reaches_outside_is_told_to_use_a_step(world: World, name: str):
    """The error says how; made again it would come out the same, so it isn't tried again."""
    tried: list[int] = []

    @workflow(retries=RetryPolicy(max_attempts=3, initial_interval=0.001))
    async def flow(ctx: WorkflowContext) -> None:
        tried.append(1)
        result = OUTSIDE[name]()
        if result is not None:
            await result

    with pytest.raises(EffectOutsideStep) as refused:
        await (await flow.submit()).result(timeout=5)

    assert "ctx.step" in refused.value.fix
    assert len(tried) == 1


@pytest.mark.parametrize("name", ["time.sleep", "socket", "thread", "to_thread", "subprocess"])
@pytest.mark.parametrize("where", ["step", "function"])
async def test_steps_and_functions_may_reach_outside(world: World, name: str, where: str):
    """That is what they are for."""

    async def reach() -> str:
        result = OUTSIDE[name]()
        if result is not None:
            await result
        return "reached"

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        return await ctx.step(reach)

    component = flow if where == "step" else function(name="reach")(reach)

    assert await component() == "reached"


async def test_the_outside_is_as_open_as_before_when_a_body_waits(world: World):
    """Only the body is watched, not its thread: whoever else uses the loop may do what they want."""

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("go")

    handle = await flow.submit()
    await until_status(handle, "suspended")

    socket.socket().close()
    await asyncio.to_thread(time.sleep, 0.001)

    await handle.signal("go")
    await handle.result(timeout=5)
