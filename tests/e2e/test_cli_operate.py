"""Commands that change runs: what they do where no process has the journal, and what they say where one has it."""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import processes
import pytest
from commands import END_SECONDS, agnt5_command, agnt5_in_process, exit_code, in_runtime, shown, until_suspended

import agnt5
from agnt5 import RunCancelledError, Runtime, WorkflowContext, get_run, workflow
from agnt5.cli.exits import Exit


def done(*args: str) -> dict[str, Any]:
    """What a command that succeeds tells programs."""
    result = agnt5_in_process(*args, "--json")
    assert exit_code(result) == Exit.OK, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def begun(component: Any, *args: Any, **options: Any) -> str:
    """The id of a run that waits, and that no process carries on."""

    async def begin() -> str:
        handle = await component.submit(*args, **options)
        await until_suspended(handle)
        run_id: str = handle.id
        return run_id

    run_id: str = in_runtime(begin)
    return run_id


def result_of(run_id: str) -> Any:
    """What the run comes to in a process that has its component."""
    return in_runtime(lambda: get_run(run_id).result(timeout=END_SECONDS))


@pytest.fixture
def order() -> Any:
    """A workflow that waits for an event, then for a signal, and cleans up when it is cancelled."""

    @workflow
    async def order(ctx: WorkflowContext) -> list[Any]:
        try:
            return [await ctx.wait_for_event("paid"), await ctx.wait_for_signal("packed")]
        except asyncio.CancelledError:
            await ctx.step("refund", str, 5)
            raise

    return order


@pytest.fixture
def failing() -> tuple[Any, list[str]]:
    """A workflow that fails at its second step as long as the shop is shut, and what it did."""
    log: list[str] = []

    async def reserve() -> str:
        log.append("reserve")
        return "table 4"

    async def charge() -> str:
        log.append("charge")
        if log.count("charge") == 1:
            raise agnt5.NonRetryableError("the shop is shut")
        return "paid"

    @workflow
    async def buy(ctx: WorkflowContext) -> list[str]:
        return [await ctx.step(reserve), await ctx.step(charge)]

    return buy, log


def failed(component: Any, **options: Any) -> str:
    """The id of a run that has failed."""

    async def fail() -> str:
        handle = await component.submit(**options)
        with pytest.raises(agnt5.NonRetryableError):
            await handle.result(timeout=END_SECONDS)
        run_id: str = handle.id
        return run_id

    run_id: str = in_runtime(fail)
    return run_id


# Events and signals


def test_an_event_and_a_signal_reach_the_run_in_its_next_process(order: Any):
    """Their payloads are JSON on the command line and values in the body."""
    run_id = begun(order)

    event = done("events", "send", "paid", "--payload", '{"amount": 5, "by": ["ann"]}')
    signal = done("signal", run_id[:20], "packed", "--payload", '"in a box"')

    assert event == {"event": "paid", "changed": True}
    assert (signal["run"], signal["signal"]) == (run_id, "packed")
    assert result_of(run_id) == [{"amount": 5, "by": ["ann"]}, "in a box"]


def test_without_a_payload_the_receiver_gets_none(order: Any):
    """As where a program leaves it out."""
    run_id = begun(order)

    done("events", "send", "paid")
    done("signal", run_id, "packed")

    assert result_of(run_id) == [None, None]


def test_the_same_event_again_changes_nothing_and_another_payload_is_refused(order: Any):
    """The first payload wins, and whoever sends another is told."""
    begun(order)
    done("events", "send", "paid", "-p", "1")

    again, other = done("events", "send", "paid", "-p", "1"), agnt5_in_process("events", "send", "paid", "-p", "2")

    assert again == {"event": "paid", "changed": False}
    assert exit_code(other) == Exit.USAGE
    assert "AGNT5-107" in other.stderr


@pytest.mark.parametrize("payload", ['{"$set": [1]}', '"$plain"', "[1, 2.5, null, true]", '{"": {"$tuple": [1]}}'])
def test_a_payload_is_plain_json_whatever_it_looks_like(order: Any, payload: str):
    """What the journal has marks for inside is no mark when it comes from the command line."""
    run_id = begun(order)

    done("events", "send", "paid", "--payload", payload)
    done("signal", run_id, "packed")

    assert result_of(run_id)[0] == json.loads(payload)


# Cancel


def test_cancel_interrupts_the_body_in_its_next_process(order: Any):
    """The request is durable; what the body does about it runs where its code is."""
    run_id = begun(order)

    told = done("runs", "cancel", run_id)
    with pytest.raises(RunCancelledError):
        result_of(run_id)

    assert (told["run"], told["changed"]) == (run_id, True)
    assert [entry.get("name") for entry in shown(run_id)["journal"] if entry["type"] == "outcome"][-1] == "refund"


def test_cancel_of_a_run_that_never_started_ends_it(order: Any):
    """There is no body to interrupt."""

    async def submit_for_later() -> str:
        run_id: str = (await order.submit(delay=3600)).id
        return run_id

    run_id = in_runtime(submit_for_later)

    result = agnt5_in_process("runs", "cancel", run_id)

    assert result.stdout == f"run {run_id} is cancelled\n"
    assert shown(run_id)["status"] == "cancelled"


def test_cancel_again_changes_nothing(order: Any):
    """Neither while the request stands nor when the run is over."""
    run_id = begun(order)
    done("runs", "cancel", run_id)

    again = done("runs", "cancel", run_id)
    with pytest.raises(RunCancelledError):
        result_of(run_id)
    after = done("runs", "cancel", run_id)

    assert (again["changed"], again["status"]) == (False, "queued")
    assert (after["changed"], after["status"]) == (False, "cancelled")


def test_cancel_reaches_the_children(order: Any):
    """In the same commit."""

    @workflow
    async def parent(ctx: WorkflowContext) -> None:
        await order()

    run_id = begun(parent)

    done("runs", "cancel", run_id)

    [child] = shown(run_id)["children"]
    assert shown(child["id"])["cancel_requested"]


# Retry, resume, fork


def test_retry_makes_a_run_that_keeps_what_succeeded(failing: tuple[Any, list[str]]):
    """The first step isn't made again, and the new run knows where it comes from."""
    buy, log = failing
    run_id = failed(buy)

    told = done("runs", "retry", run_id)

    assert told == {"run": told["run"], "status": "queued", "origin": {"how": "retry", "run": run_id}}
    assert result_of(told["run"]) == ["table 4", "paid"]
    assert log == ["reserve", "charge", "charge"]


@pytest.mark.parametrize("takes_key", [True, False])
def test_retry_takes_the_key_if_it_is_told_to(failing: tuple[Any, list[str]], takes_key: bool):
    """Else the key goes on answering with the old run."""
    buy, _ = failing
    run_id = failed(buy, idempotency_key="order-42")

    new_id = done("runs", "retry", run_id, *["--take-key"] * takes_key)["run"]

    async def submit() -> str:
        submitted: str = (await buy.submit(idempotency_key="order-42")).id
        return submitted

    assert in_runtime(submit) == (new_id if takes_key else run_id)


def test_fork_keeps_the_entries_before_its_place(order: Any):
    """A fork behind the event has it; it goes its own way after that."""
    run_id = begun(order)
    done("events", "send", "paid", "-p", "5")
    done("signal", run_id, "packed", "-p", '"boxed"')

    told = done("runs", "fork", run_id, "--at", "2")
    done("signal", told["run"], "packed", "-p", '"other"')

    assert told["origin"] == {"how": "fork", "run": run_id}
    assert result_of(told["run"]) == [5, "other"]
    assert result_of(run_id) == [5, "boxed"]


def test_resume_lets_a_blocked_run_go_on():
    """A step that may not run twice was cut short; a human has looked."""
    is_mended: list[bool] = []

    @workflow
    async def fragile(ctx: WorkflowContext) -> str:
        if not is_mended:
            while True:  # noqa: ASYNC110  That it waits for nothing is the point.
                await asyncio.sleep(0)
        return "went on"

    async def block() -> str:
        handle = await fragile.submit()
        with pytest.raises(agnt5.RunBlockedError):
            await handle.result(timeout=END_SECONDS)
        run_id: str = handle.id
        return run_id

    run_id = in_runtime(block)
    is_mended.append(True)

    told = done("runs", "resume", run_id)

    assert told == {"run": run_id, "status": "queued"}
    assert result_of(run_id) == "went on"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("runs", "resume", "{}"), "only a blocked run can"),
        (("runs", "retry", "{}"), "only a failed or cancelled run can"),
        (("runs", "fork", "{}", "--at", "99"), "fork at 1 to"),
        (("runs", "fork", "{}"), "Missing option '--at'"),
        (("signal", "{}", "packed", "--payload", "{'a': 1}"), "--payload is no JSON"),
        (("events", "send", ""), "an event id is empty"),
        (("events", "send", "paid", "--payload", "nope"), "--payload is no JSON"),
    ],
)
def test_what_cannot_be_done_is_refused(order: Any, command: tuple[str, ...], said: str):
    """Exit code 2, with the reason; nothing is changed."""
    run_id = begun(order)
    before = shown(run_id)

    refused = agnt5_in_process(*(part.format(run_id) if part == "{}" else part for part in command))

    assert exit_code(refused) == Exit.USAGE
    assert said in refused.stderr
    assert shown(run_id) == before


def test_a_signal_to_a_run_that_is_over_is_refused(failing: tuple[Any, list[str]]):
    """It could never be read."""
    run_id = failed(failing[0])

    refused = agnt5_in_process("signal", run_id, "late")

    assert exit_code(refused) == Exit.USAGE
    assert "it ended before the signal came" in refused.stderr


# Where they write

COMMANDS: list[tuple[str, ...]] = [
    ("runs", "cancel", "{}"),
    ("runs", "retry", "{}"),
    ("runs", "resume", "{}"),
    ("runs", "fork", "{}", "--at", "1"),
    ("signal", "{}", "packed"),
    ("events", "send", "paid"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[-2] if command[0] == "signal" else command[1])
async def test_beside_a_process_that_has_the_journal_it_is_named(order: Any, command: tuple[str, ...]):
    """Exit code 6, its pid, and the call that does the same there; nothing is changed."""
    async with Runtime():
        handle = await order.submit()
        await until_suspended(handle)

        args = [part.format(handle.id) if part == "{}" else part for part in command]
        refused = await asyncio.to_thread(agnt5_command, *args)

        assert await handle.status() == "suspended"
    assert refused.returncode == Exit.STORE
    assert "AGNT5-401" in refused.stderr
    assert re.search(rf"Fix: call `await agnt5\..*` in process {os.getpid()}, or run the command again", refused.stderr)


def test_nothing_else_runs_while_a_command_writes(order: Any):
    """The components are registered in this very process, and yet no run goes on."""
    began: list[int] = []

    @workflow
    async def eager(ctx: WorkflowContext) -> None:
        await ctx.wait_for_event("paid")
        began.append(1)

    waiting, other = begun(eager), begun(order)

    done("events", "send", "paid")
    done("runs", "cancel", other)

    assert began == []
    assert {shown(run_id)["status"] for run_id in (waiting, other)} == {"queued"}


def test_a_command_after_a_crash_leaves_the_run_to_the_next_process(tmp_path: Path):
    """It takes the journal over from a killed process, and a run that was at work goes on afterwards."""
    script = """
        import asyncio, os, pathlib, sys
        import agnt5
        from agnt5 import WorkflowContext, workflow

        async def work(folder: str) -> str:
            if not (path := pathlib.Path(folder, "began")).exists():
                path.touch()
                await asyncio.Event().wait()
            return "worked"

        @workflow
        async def order(ctx: WorkflowContext, folder: str) -> list:
            return [await ctx.step(work, folder), await ctx.wait_for_signal("packed")]

        async def main() -> None:
            handle = await order.submit(sys.argv[1], idempotency_key="one")
            print(await handle.result())

        asyncio.run(main())
    """
    process = processes.start_script(tmp_path, script, str(tmp_path))
    processes.wait_for_file(tmp_path / "began", process)
    process.kill()
    processes.finish(process)
    [(run, _)] = processes.read_journal(Path(os.environ["AGNT5_HOME"]) / "journal.db")

    told = done("signal", run.id, "packed", "-p", '"boxed"')
    finished = processes.run_script(tmp_path, script, str(tmp_path))

    assert told["status"] == "queued"
    assert finished.out == "['worked', 'boxed']\n", finished.err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[-2] if command[0] == "signal" else command[1])
def test_no_command_makes_a_journal(command: tuple[str, ...]):
    """A mistyped directory isn't taken for a new one."""
    home = Path(os.environ["AGNT5_HOME"])

    refused = agnt5_in_process(*(part.format("ffff") for part in command))

    assert exit_code(refused) == Exit.STORE
    assert str(home / "journal.db") in refused.stderr
    assert not home.exists()


def test_an_unknown_run_is_said_to_be_so(order: Any):
    """Exit code 5."""
    begun(order)

    assert exit_code(agnt5_in_process("runs", "cancel", "ffff")) == Exit.UNKNOWN


def test_a_journal_is_chosen_with_store(order: Any, tmp_path: Path):
    """As for every command."""
    url = f"sqlite:///{tmp_path / 'orders.db'}"

    async def begin() -> str:
        async with Runtime(store=url):
            handle = await order.submit()
            await until_suspended(handle)
            run_id: str = handle.id
            return run_id

    run_id = asyncio.run(begin())

    assert done("runs", "cancel", run_id, "--store", url)["changed"]


def test_a_server_in_the_environment_is_not_passed_over(order: Any):
    """Whoever has set AGNT5_URL doesn't mean the journal in this folder."""
    begun(order)

    refused = agnt5_in_process("events", "send", "paid", AGNT5_URL="http://localhost:1")

    assert exit_code(refused) == Exit.USAGE
    assert "AGNT5_URL" in refused.stderr


def test_names_from_outside_are_shown_and_never_obeyed(order: Any):
    """An event's id may hold what moves the cursor; the terminal gets its escape."""
    begun(order)

    sent = agnt5_in_process("events", "send", "a\x1b[2Jb")

    assert sent.stdout == "event a\\x1b[2Jb is resolved\n"
