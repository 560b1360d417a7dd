"""What a workflow body may not do itself is refused, with an error that says where to move it."""

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from typing import Any

import anyio
import anyio.to_thread
import pytest

from agnt5 import BusyWorkflowError, EffectOutsideStep, WorkflowContext, workflow
from agnt5.core.replay.loop import TURNS_MAX

from .parts import work
from .recording import record, stage


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def _timed_out_thread() -> None:
    async with asyncio.timeout(5):
        await asyncio.to_thread(time.sleep, 0)


EFFECTS = {
    "run_in_executor": lambda: _loop().run_in_executor(None, print),
    "to_thread": lambda: asyncio.to_thread(print),
    "to_thread in a timeout": _timed_out_thread,
    "create_connection": lambda: _loop().create_connection(asyncio.Protocol, "localhost", 1),
    "create_server": lambda: _loop().create_server(asyncio.Protocol, "localhost", 0),
    "create_datagram_endpoint": lambda: _loop().create_datagram_endpoint(asyncio.DatagramProtocol),
    "create_unix_connection": lambda: _loop().create_unix_connection(asyncio.Protocol, "/nowhere"),
    "open_connection": lambda: asyncio.open_connection("localhost", 1),
    "start_server": lambda: asyncio.start_server(print, "localhost", 0),
    "getaddrinfo": lambda: _loop().getaddrinfo("localhost", 80),
    "getnameinfo": lambda: _loop().getnameinfo(("127.0.0.1", 80)),
    "add_reader": lambda: _loop().add_reader(0, print),
    "remove_writer": lambda: _loop().remove_writer(0),
    "sock_recv": lambda: _loop().sock_recv(object(), 1),  # type: ignore[arg-type]  # Never looked at.
    "sock_connect": lambda: _loop().sock_connect(object(), ""),  # type: ignore[arg-type]  # Never looked at.
    "connect_read_pipe": lambda: _loop().connect_read_pipe(asyncio.Protocol, sys.stdin),
    "create_subprocess_exec": lambda: asyncio.create_subprocess_exec("true"),
    "create_subprocess_shell": lambda: asyncio.create_subprocess_shell("true"),
    "add_signal_handler": lambda: _loop().add_signal_handler(signal.SIGUSR1, print),
    "set_default_executor": lambda: _loop().set_default_executor(None),
    "call_soon_threadsafe": lambda: _loop().call_soon_threadsafe(print),
    "run_coroutine_threadsafe": lambda: _threadsafe(),
    "run_until_complete": lambda: _loop().run_until_complete(asyncio.sleep(0)),
    "time.sleep": lambda: time.sleep(0),
    "socket": lambda: socket.socket(),
    "socket.create_connection": lambda: socket.create_connection(("127.0.0.1", 1)),
    "socket.getaddrinfo": lambda: socket.getaddrinfo("localhost", 80),
    "socket.gethostbyname": lambda: socket.gethostbyname("localhost"),
    "urlopen": lambda: urllib.request.urlopen("http://127.0.0.1:1/"),
    "thread": lambda: threading.Thread(target=print).start(),
    "timer": lambda: threading.Timer(0, print).start(),
    "subprocess": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
    "os.system": lambda: os.system("true"),
    "anyio thread": lambda: anyio.to_thread.run_sync(print),
    "anyio connect": lambda: anyio.connect_tcp("127.0.0.1", 1),
    "anyio process": lambda: anyio.run_process(["true"]),
}


def _threadsafe() -> Any:
    sleeping = asyncio.sleep(0)
    try:
        return asyncio.run_coroutine_threadsafe(sleeping, _loop())
    finally:
        sleeping.close()


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_a_body_that_reaches_outside_is_told_to_use_a_step(effect: str) -> None:
    """The error names the fix, and the body may go on after it."""
    caught: list[BaseException] = []

    async def reaching(ctx: WorkflowContext) -> str:
        try:
            found: Any = EFFECTS[effect]()
            if hasattr(found, "__await__"):
                await found
        except EffectOutsideStep as error:
            caught.append(error)
        except BaseExceptionGroup as errors:
            caught.extend(errors.exceptions)
        return await ctx.step(work, "after", 0)

    recording = await record(reaching)

    assert recording.result == b'"after!"'
    assert [type(error) for error in caught[:1]] == [EffectOutsideStep]
    assert "ctx.step" in caught[0].fix  # type: ignore[attr-defined]  # As just tested.


@pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning")
async def test_a_body_gets_no_other_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop of the usual kind can't even be made."""
    caught: list[EffectOutsideStep] = []
    # Asyncio stumbles over a loop that was half made when it is collected.
    monkeypatch.setattr(sys, "unraisablehook", lambda told: None)

    async def looping(ctx: WorkflowContext) -> None:
        try:
            asyncio.new_event_loop()
        except EffectOutsideStep as error:
            caught.append(error)

    await record(looping)

    fixes = [error.fix for error in caught]
    caught.clear()
    gc.collect()
    assert len(fixes) == 1
    assert "ctx.step" in fixes[0]


@pytest.mark.parametrize("effect", ["time.sleep", "socket", "thread", "subprocess"])
async def test_a_step_may_do_what_a_body_may_not(effect: str) -> None:
    """In a step, and outside of any run, nothing is refused."""

    def reach() -> str:
        found = EFFECTS[effect]()
        if hasattr(found, "close"):
            found.close()
        return "done"

    async def reaching(ctx: WorkflowContext) -> str:
        return await ctx.step(reach)

    recording = await record(reaching)

    assert recording.result == b'"done"'
    assert reach() == "done"


async def test_another_thread_cannot_reach_into_a_body() -> None:
    """The loop of a body takes callbacks from nowhere else."""
    loops: list[asyncio.AbstractEventLoop] = []
    caught: list[BaseException] = []

    def intrude() -> None:
        try:
            loops[0].call_soon_threadsafe(print)
        except EffectOutsideStep as error:
            caught.append(error)

    async def visited(ctx: WorkflowContext) -> None:
        loops.append(asyncio.get_running_loop())
        await ctx.step(intrude)

    await record(visited)

    assert [type(error) for error in caught] == [EffectOutsideStep]


async def test_a_busy_wait_blocks_the_run_and_names_the_line() -> None:
    """A body that polls without end is stopped, and doesn't stop the others."""

    @workflow
    async def polling(ctx: WorkflowContext) -> None:
        while True:  # noqa: ASYNC110  That is what is tested.
            await asyncio.sleep(0)

    async with stage() as on:
        handle = await polling.submit()
        with pytest.raises(BusyWorkflowError) as caught:
            await handle.result()
        status = await handle.status()
        other = await workflow(patient).run()
        assert await on.journal(handle.id)

    line = polling.fn.__code__.co_firstlineno + 3
    assert status == "blocked"
    assert f"test_effects.py:{line}" in caught.value.what
    assert "Event" in caught.value.fix
    assert other == "w!"


async def patient(ctx: WorkflowContext) -> str:
    """A body that waits as it should."""
    return await ctx.step(work, "w", 0)


async def test_many_branches_are_no_busy_wait() -> None:
    """More branches than turns are allowed start in one turn."""

    async def wide(ctx: WorkflowContext) -> int:
        async def branch(n: int) -> int:
            await asyncio.sleep(0)
            return n

        return len(await asyncio.gather(*(branch(n) for n in range(TURNS_MAX + 1_000))))

    recording = await record(wide)

    assert recording.result == str(TURNS_MAX + 1_000).encode()


async def test_polling_that_ends_in_time_is_allowed() -> None:
    """Some turns without a wait are no mistake."""

    async def spinning(ctx: WorkflowContext) -> str:
        for _ in range(TURNS_MAX - 10):
            await asyncio.sleep(0)
        return await ctx.step(work, "after", 0)

    recording = await record(spinning)

    assert recording.result == b'"after!"'
