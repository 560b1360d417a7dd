"""What can't be meant, or can't be kept, is refused where it was passed, by an error that says what to do.

Everywhere a value enters the journal, one that would not come back, or is too large, is refused before anything
depends on it; the run and the process go on.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from processes import Finished, read_journal, run_script

import agnt5
from agnt5 import (
    Agnt5Error,
    BusyWorkflowError,
    ConflictError,
    EffectOutsideStep,
    InvalidInput,
    PayloadTooLarge,
    Runtime,
    UnknownComponent,
    UnknownRun,
    UnserializableValue,
    WorkerSettings,
    get_run,
    send_event,
    workflow,
)
from agnt5.core.model.payload import PAYLOAD_BYTES_MAX

Body = Callable[[Any, Any], Coroutine[Any, Any, Any]]


class Opaque:
    """A value that means nothing outside of its process."""


BAD_VALUES = {"opaque": (Opaque(), UnserializableValue), "huge": ("x" * PAYLOAD_BYTES_MAX, PayloadTooLarge)}


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Path]:
    """A runtime on a journal of its own; gives the journal."""
    async with Runtime(store=f"sqlite:///{tmp_path / 'journal.db'}", settings=WorkerSettings(body_seconds_max=0.3)):
        yield tmp_path / "journal.db"


async def take(value: Any) -> str:
    return "taken"


async def step_argument(ctx: Any, value: Any) -> Any:
    return await ctx.step(take, value)


async def spawn_argument(ctx: Any, value: Any) -> Any:
    return await ctx.spawn([("take", take, value)])


async def step_result(ctx: Any, value: Any) -> Any:
    return await ctx.step("give", lambda: value)


async def own_result(ctx: Any, value: Any) -> Any:
    return value


async def state_value(ctx: Any, value: Any) -> Any:
    await ctx.state.set("key", value)


async def event_payload(ctx: Any, value: Any) -> Any:
    await send_event("event", value)


async def signal_payload(ctx: Any, value: Any) -> Any:
    await get_run(ctx.run_id).signal("signal", value)


async def next_generation(ctx: Any, value: Any) -> Any:
    return ctx.continue_as(value)


async def child_argument(ctx: Any, value: Any) -> Any:
    @workflow
    async def child(ctx: Any, value: Any) -> str:
        return "run"

    return await child(value)


async def heartbeat_details(ctx: Any, value: Any) -> Any:
    async def beat() -> None:
        agnt5.ctx.heartbeat(value)

    return await ctx.step(beat)


PLACES = [
    step_argument,
    spawn_argument,
    step_result,
    own_result,
    state_value,
    event_payload,
    signal_payload,
    next_generation,
    child_argument,
    heartbeat_details,
]


@pytest.mark.parametrize("value", BAD_VALUES)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
async def test_a_bad_value_inside_a_run_fails_where_it_was_passed(runtime: Path, place: Body, value: str) -> None:
    """The body can handle it there, at once and without retries; nothing of it reaches the journal."""
    bad, expected = BAD_VALUES[value]
    caught: list[BaseException] = []

    @workflow
    async def handling(ctx: Any, again: Any = None) -> str:
        try:
            result = await place(ctx, bad)
        except Agnt5Error as error:
            caught.append(error)
            return "handled"
        return result

    if place in (own_result, next_generation):
        with pytest.raises(expected) as raised:
            await handling()
        caught.append(raised.value)
    else:
        assert await handling() == "handled"

    assert type(caught[-1]) is expected
    [(_, entries)] = read_off_loop(runtime)
    assert all(entry.body is not None and len(repr(entry.body)) < PAYLOAD_BYTES_MAX for entry in entries)
    assert [entry for entry in entries if type(entry.body).__name__ == "Retrying"] == []


def read_off_loop(journal: Path) -> list[Any]:
    """The journal, read where no loop runs."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(read_journal(journal)))
    thread.start()
    thread.join()
    return found


@pytest.mark.parametrize("value", BAD_VALUES)
async def test_a_bad_value_from_outside_is_refused_and_leaves_nothing(runtime: Path, value: str) -> None:
    """A submission, an event or a signal with it doesn't come into being."""
    bad, expected = BAD_VALUES[value]

    @workflow
    async def waiting(ctx: Any, x: Any) -> Any:
        return [await ctx.wait_for_event("event"), await ctx.wait_for_signal("signal")]

    handle = await waiting.submit(1)
    for attempt in (waiting(bad), waiting.submit(bad), send_event("event", bad), handle.signal("signal", bad)):
        with pytest.raises(expected):
            await attempt
    # Neither stands in the way of what can be kept.
    await send_event("event", "good")
    await handle.signal("signal", "good")

    assert await handle.result() == ["good", "good"]
    assert len(read_off_loop(runtime)) == 1


async def test_the_largest_value_that_is_allowed_passes_everywhere(runtime: Path) -> None:
    """The bound is for each value alone, and one at the bound is a value like any other."""
    largest = "x" * (PAYLOAD_BYTES_MAX - 2)

    @workflow
    async def carrying(ctx: Any) -> str:
        given = await ctx.step("give", lambda: largest)
        await ctx.state.set("key", given)
        await send_event("event", given)
        assert await ctx.wait_for_event("event") == largest
        return await ctx.state.get("key")

    result = await carrying()

    assert result == largest


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((), {"y": 1}), ((1,), {"z": 1})]
)
async def test_wrong_arguments_are_refused_before_there_is_a_run(
    runtime: Path, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """The error names the component and shows its signature; nothing is submitted."""

    @workflow
    async def careful(ctx: Any, x: int, y: int = 2) -> int:
        return x + y

    for call in (careful, careful.run, careful.submit):
        with pytest.raises(InvalidInput, match=r"careful can't be called so(.|\n)*careful\(x: int, y: int = 2\)"):
            await call(*args, **kwargs)

    assert read_off_loop(runtime) == []


async def test_wrong_arguments_of_steps_and_children_can_be_handled_by_the_body(runtime: Path) -> None:
    """They are mistakes of the body's own, raised where it made them."""

    @workflow
    async def child(ctx: Any, x: int) -> int:
        return x

    @workflow
    async def careless(ctx: Any) -> list[str]:
        said = []
        for make in (lambda: ctx.step(take), lambda: ctx.step(take, 1, 2), lambda: child(), lambda: child(1, 2)):
            try:
                await make()
            except InvalidInput as error:
                said.append(error.what.partition(" ")[0])
        return said

    assert await careless() == ["take", "take", "child", "child"]


async def test_what_nobody_registered_is_unknown_by_name(runtime: Path) -> None:
    """A service, a method of one, or a run that isn't there is named, with what to do."""

    @workflow
    async def calling(ctx: Any) -> None:
        await ctx.call("nobody", "nothing")

    with pytest.raises(UnknownComponent, match="nobody"):
        await calling()
    for use in (get_run("feed").status(), get_run("feed").result(), get_run("feed").cancel()):
        with pytest.raises(UnknownRun, match="feed"):
            await use
    with pytest.raises(UnknownRun):
        await get_run("feed").signal("go")


async def test_an_event_that_was_resolved_otherwise_is_a_conflict(runtime: Path) -> None:
    """The first payload wins, the same again changes nothing, and another one is refused."""
    await send_event("event", {"a": 1})
    await send_event("event", {"a": 1})

    with pytest.raises(ConflictError, match="event"):
        await send_event("event", {"a": 2})


async def test_a_body_that_polls_is_stopped_with_its_line(runtime: Path) -> None:
    """Ten thousand turns without waiting are a mistake; the run is blocked and others go on."""

    @workflow
    async def polling(ctx: Any) -> None:
        while True:  # noqa: ASYNC110  The mistake that is to be found.
            await asyncio.sleep(0)

    with pytest.raises(BusyWorkflowError, match=r"test_bad_input\.py:\d+"):
        await polling()

    assert await answers() == "taken"


async def test_a_body_that_never_yields_is_stopped_with_its_line_and_the_loop_goes_on(runtime: Path) -> None:
    """The watchdog gives the loop back to everybody else, and the error says where the body was."""

    @workflow
    async def spinning(ctx: Any) -> int:
        n = 0
        while True:
            n += 1  # The line that the error names.

    handle = await spinning.submit()
    with pytest.raises(BusyWorkflowError) as raised:
        await handle.result()

    first = spinning.fn.__code__.co_firstlineno
    line = int(raised.value.site.rpartition(":")[2])
    assert raised.value.site.startswith(__file__)
    assert line in (first + 3, first + 4, first + 5)
    assert str(raised.value.site) in str(raised.value)
    assert await handle.status() == "blocked"
    assert await answers() == "taken"


async def test_a_body_that_holds_its_thread_is_told_to_move_it_into_a_step(runtime: Path) -> None:
    """`time.sleep` in a body is refused, not obeyed."""

    @workflow
    async def sleeping(ctx: Any) -> None:
        time.sleep(30)  # noqa: ASYNC251  The mistake that is to be found.

    began = time.monotonic()
    with pytest.raises(EffectOutsideStep, match=r"ctx\.step"):
        await sleeping()

    assert time.monotonic() - began < 5


async def answers() -> str:
    """What another run gives, which shows that the worker serves."""

    @workflow
    async def other(ctx: Any) -> str:
        return await ctx.step(take, 1)

    return await asyncio.wait_for(other(), 10)


FAILING = """
import asyncio, sys
import agnt5
from agnt5 import RemoteError, workflow, get_run

class Known(Exception):
    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"code {code}: {hint}")
        self.code = code

if sys.argv[1] == "begin":
    class Unknown(Exception):
        pass

    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    class Holding(Exception):
        def __init__(self) -> None:
            super().__init__("it holds a lock")
            import threading
            self.lock = threading.Lock()

def fail(kind: str) -> None:
    if kind == "Known":
        raise Known(7, hint="look")
    raise {"Unknown": lambda: Unknown("it", 1), "Unspeakable": Unspeakable, "Holding": Holding}[kind]()

@workflow
async def failing(ctx, kind: str) -> None:
    await ctx.step.options(retries=1)(fail, kind)

async def begin() -> None:
    for kind in ("Known", "Unknown", "Unspeakable", "Holding"):
        handle = await failing.submit(kind)
        try:
            await handle.result()
        except Exception:
            print(handle.id)

async def read(ids: list[str]) -> None:
    for run_id in ids:
        try:
            await get_run(run_id).result()
        except RemoteError as error:
            print("remote", error.type_name, "|", error.message)
        except Known as error:
            print("own type", error, error.code)

asyncio.run(begin() if sys.argv[1] == "begin" else read(sys.argv[2:]))
"""


def test_an_exception_that_cant_be_made_again_is_a_remote_error(tmp_path: Path) -> None:
    """Another process gets the type where it has it, and else what the type was called and what it said."""
    first = run_script(tmp_path, FAILING, "begin")
    second = run_script(tmp_path, FAILING, "read", *first.out.split())

    assert (first.code, first.err, len(first.out.split())) == (0, "", 4)
    assert second == Finished(
        0,
        "own type code 7: look 7\n"
        "remote Unknown | ('it', 1)\n"
        "remote Unspeakable | <its __str__ raised ValueError>\n"
        "remote Holding | it holds a lock\n",
        "",
    )
