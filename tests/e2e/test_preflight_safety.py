"""`agnt5 preflight` changes nothing, and neither bodies nor journals that are broken keep it from the others."""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent, indent

import processes
import pytest
from commands import agnt5_command, exit_code, in_runtime, live_run
from versions import BEFORE, FIRST, begin, document, edited, none_loaded, preflight, version

import agnt5
from agnt5.cli.exits import Exit
from agnt5.cli.loading import load_module
from agnt5.sdk.registry import REGISTRY


@pytest.fixture(autouse=True)
def own_modules() -> Iterator[None]:
    """No version stays loaded after the test."""
    with none_loaded():
        yield


# Bodies that misbehave

MISBEHAVIOUR = {
    "raises": ("raise ValueError('no such item')", "ValueError: no such item"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "connects": ("socket.create_connection(('localhost', 9))", "EffectOutsideStep"),
    "sleeps": ("time.sleep(60)", "EffectOutsideStep"),
    "computes": ("while True: pass", "BusyWorkflowError"),
    "spins": ("while True: await asyncio.sleep(0)", "BusyWorkflowError"),
    "recurs": ("(lambda again: again(again))(lambda again: again(again))", "RecursionError"),
}


@pytest.mark.parametrize(("bad", "error"), MISBEHAVIOUR.values(), ids=MISBEHAVIOUR)
def test_a_body_that_misbehaves_is_reported_and_the_next_is_replayed(tmp_path: Path, bad: str, error: str):
    """It raises, exits, reaches outside or computes for ever: it fails, and the other run is compatible."""
    begin(version(tmp_path, "before", BEFORE), "table", "chair")
    source = BEFORE.replace("import asyncio", "import asyncio, socket, time")
    after = edited(tmp_path, FIRST, f"{FIRST}\n    if item == 'table':\n        {bad}", source)

    told = document(after, "--body-seconds", "0.2")

    verdicts = {run["verdict"]: run["error"] for run in told["runs"]}
    assert told["code"] == Exit.DIVERGENT
    assert verdicts.keys() == {"fails", "compatible"}
    assert verdicts["fails"].startswith(error)


def test_bodies_are_watched_where_nothing_else_has_them_watched(tmp_path: Path):
    """In a process of its own, as CI has it, the command itself sees to that."""
    begin(version(tmp_path, "before", BEFORE), "table")
    source = BEFORE.replace("import asyncio", "import asyncio, time")
    after = edited(tmp_path, FIRST, f"{FIRST}\n    time.sleep(60)", source)

    answer = agnt5_command("preflight", str(after), "--json")

    assert answer.returncode == Exit.DIVERGENT, answer.stderr
    assert json.loads(answer.stdout)["runs"][0]["error"].startswith("EffectOutsideStep")


def test_input_that_the_code_no_longer_takes_fails(tmp_path: Path):
    """A workflow that has got another parameter can't even begin."""
    begin(version(tmp_path, "before", BEFORE), "table")

    told = document(edited(tmp_path, "item: str) -> str:\n    await", "item: str, n: int) -> str:\n    await"))

    assert (told["code"], told["runs"][0]["verdict"]) == (Exit.DIVERGENT, "fails")
    assert "'n'" in told["runs"][0]["error"]


def test_a_body_that_catches_everything_as_it_is_left_is_left_nevertheless(tmp_path: Path):
    """What its `finally` does is no part of the rehearsal."""
    begin(version(tmp_path, "before", BEFORE), "table")
    stubborn = indent(dedent("""\
        try:
            name = await ctx.wait_for_signal("signed")
        finally:
            raise RuntimeError("never mind")
    """), "    ")

    told = document(edited(tmp_path, '    name = await ctx.wait_for_signal("signed")\n', stubborn))

    assert told["code"] == Exit.OK


# It changes nothing

AT_WORK = '''
    import pathlib, threading
    from agnt5 import WorkflowContext, workflow


    def work(folder: str) -> None:
        pathlib.Path(folder, "began").touch()
        threading.Event().wait()


    @workflow
    async def order(ctx: WorkflowContext, folder: str) -> None:
        await ctx.step("first", str, 1)
        await ctx.step(work, folder)
'''


def test_beside_a_live_process_nothing_is_started_or_written(tmp_path: Path):
    """The step that the run is at is not begun here, and the journal is as it was."""
    app = version(tmp_path, "before", AT_WORK)
    journal = Path(os.environ["AGNT5_HOME"]) / "journal.db"
    began = tmp_path / "began"

    with live_run(f"{app}:order", "--input", json.dumps([str(tmp_path)])) as (process, run_id):
        processes.wait_for_file(began, process)
        began.unlink()
        before = processes.read_journal(journal)

        told = document(version(tmp_path, "after", AT_WORK))

        assert process.poll() is None
        assert processes.read_journal(journal) == before
    assert [(run["id"], run["status"], run["verdict"]) for run in told["runs"]] == [(run_id, "running", "compatible")]
    assert not began.exists()


def test_runs_that_have_ended_are_not_looked_at(tmp_path: Path):
    """They are over, whatever the code has become."""

    async def finish() -> None:
        await agnt5.get_run(run_id).signal("signed", "ann")
        await agnt5.get_run(run_id).result(timeout=20)

    app = version(tmp_path, "before", BEFORE)
    [run_id] = begin(app, "table")
    with REGISTRY.isolated():
        load_module(str(app))
        in_runtime(finish)

    result = preflight(edited(tmp_path, "step(reserve, item)", "step('hold', reserve, item)"))

    assert (exit_code(result), result.stdout) == (Exit.OK, "no runs in flight\n")


def test_what_programs_print_is_no_part_of_the_report(tmp_path: Path):
    """Neither as they are imported nor as they are replayed."""
    begin(version(tmp_path, "before", BEFORE), "table")
    noisy = edited(tmp_path, FIRST, f"    print('replayed')\n{FIRST}")
    noisy.write_text(noisy.read_text() + "\nprint('imported')\n")

    result = preflight(noisy, "--json")

    assert json.loads(result.stdout)["fit"]
    assert "imported" in result.stderr
    assert "replayed\n" not in result.output


# Journals


def test_a_damaged_journal_of_one_run_does_not_hide_the_others(tmp_path: Path):
    """It is named with its verdict, and exit code 6 says that not all could be looked at."""
    damaged, whole = begin(version(tmp_path, "before", BEFORE), "table", "chair")
    with sqlite3.connect(Path(os.environ["AGNT5_HOME"]) / "journal.db") as connection:
        connection.execute("UPDATE journal SET body = replace(body, 'table', 'stool') WHERE run_id = ?", [damaged])
    connection.close()

    told = document(version(tmp_path, "after", BEFORE))

    assert {run["id"]: run["verdict"] for run in told["runs"]} == {damaged: "unreadable", whole: "compatible"}
    assert told["code"] == Exit.STORE


def test_without_a_journal_it_says_so(tmp_path: Path):
    """Nothing to look at isn't taken for everything being fine."""
    result = preflight(version(tmp_path, "after", BEFORE), "--store", "sqlite:///absent.db")

    assert exit_code(result) == Exit.STORE
    assert "absent.db" in result.stderr


def test_a_file_that_cannot_be_imported_is_a_mistake_of_the_call(tmp_path: Path):
    """Before any run is looked at."""
    begin(version(tmp_path, "before", BEFORE), "table")

    result = preflight(edited(tmp_path, "import asyncio", "import no_such_module"))

    assert exit_code(result) == Exit.USAGE
    assert "no_such_module" in result.stderr


SHORT = '''
    from agnt5 import WorkflowContext, workflow


    @workflow
    async def order(ctx: WorkflowContext, number: int) -> None:
        await ctx.step(str, number)
        if number % 100 == 0:
            await ctx.step("hundredth", str, number)
        await ctx.wait_for_event("never")
'''


def test_a_thousand_runs_are_each_replayed(tmp_path: Path):
    """In seconds; those that the change concerns are told from those that it doesn't."""
    begin(version(tmp_path, "before", SHORT), *range(1_000))

    told = document(edited(tmp_path, '"hundredth"', '"a hundred"', SHORT))

    assert Counter(run["verdict"] for run in told["runs"]) == {"ahead": 990, "divergent": 10}


def test_a_long_journal_is_replayed_to_its_end(tmp_path: Path):
    """More entries than are fed in one go."""
    source = """
        from agnt5 import WorkflowContext, workflow

        @workflow
        async def order(ctx: WorkflowContext, count: int) -> None:
            for number in range(count):
                await ctx.state.set("number", number)
            await ctx.step("last", str, count)
            await ctx.wait_for_event("never")
    """
    begin(version(tmp_path, "before", source), 1_200)

    fit, unfit = document(version(tmp_path, "same", source)), document(edited(tmp_path, '"last"', '"least"', source))

    assert fit["runs"][0]["verdict"] == "compatible"
    assert (unfit["runs"][0]["verdict"], unfit["runs"][0]["index"]) == ("divergent", 1_201)
