"""`agnt5 preflight`: journals of an earlier version of a program, held against a later one."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import processes
import pytest
from commands import agnt5_in_process, exit_code, in_runtime
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


# The code fits


def test_the_same_code_is_compatible(tmp_path: Path):
    """From another folder too, as a deploy has it."""
    ids = begin(version(tmp_path, "before", BEFORE), "table", "chair")

    told = document(version(tmp_path, "after", BEFORE))

    assert (told["code"], told["fit"]) == (Exit.OK, True)
    assert {(run["id"], run["verdict"]) for run in told["runs"]} == {(run_id, "compatible") for run_id in ids}


def test_a_change_behind_the_place_where_a_run_is_has_not_been_reached(tmp_path: Path):
    """Whatever comes after its wait may change freely."""
    begin(version(tmp_path, "before", BEFORE), "table")

    told = document(edited(tmp_path, "return name", "return await ctx.step(reserve, name)"))

    assert (told["code"], told["runs"][0]["verdict"]) == (Exit.OK, "ahead")


def test_a_passed_place_that_moved_and_asks_for_the_same_is_compatible(tmp_path: Path):
    """Lines may move, and what stands between operations may change."""
    begin(version(tmp_path, "before", BEFORE), "table")

    told = document(edited(tmp_path, FIRST, f"    print('hello')\n{FIRST}"))

    assert (told["code"], told["runs"][0]["verdict"]) == (Exit.OK, "compatible")


def test_a_run_without_operations_on_record_fits_any_code(tmp_path: Path):
    """Nothing is recorded that could be contradicted."""
    app = version(tmp_path, "before", BEFORE)

    async def submit_for_later() -> None:
        await REGISTRY.get("order").submit("table", delay=3600)

    with REGISTRY.isolated():
        load_module(str(app))
        in_runtime(submit_for_later)

    told = document(edited(tmp_path, "await ctx.step(reserve, item)", "await ctx.sleep(1)"))

    assert (told["code"], told["runs"][0]["verdict"]) == (Exit.OK, "unstarted")


def test_a_change_behind_patched_is_compatible(tmp_path: Path):
    """The old run takes the old branch; that is what the guard is for."""
    begin(version(tmp_path, "before", BEFORE), "table")

    guarded = """\
    if ctx.patched("charge-more"):
        await ctx.step("charge again", charge, 6)
    await ctx.step(charge, 5)"""
    told = document(edited(tmp_path, "    await ctx.step(charge, 5)", guarded))

    assert (told["code"], told["runs"][0]["verdict"]) == (Exit.OK, "compatible")


def test_other_arguments_are_a_note(tmp_path: Path):
    """The recorded outcome is used, which is no divergence and worth a look."""
    begin(version(tmp_path, "before", BEFORE), "table")

    told = document(edited(tmp_path, "charge, 5", "charge, 6"))

    assert (told["code"], told["runs"][0]["verdict"]) == (Exit.OK, "compatible")
    assert "other arguments" in told["runs"][0]["notes"][0]


def test_waiting_for_something_else_is_a_note(tmp_path: Path):
    """A wait isn't recorded before it is over, and whoever sends should know."""
    begin(version(tmp_path, "before", BEFORE), "table")

    told = document(edited(tmp_path, '"signed"', '"stamped"'))

    assert (told["code"], told["runs"][0]["verdict"]) == (Exit.OK, "compatible")
    assert told["runs"][0]["notes"] == ["it waits for signal signed; the code waits for signal stamped"]


def test_a_retry_that_would_do_work_anew_is_told(tmp_path: Path):
    """Over a retry operations are found by key: a step under another name isn't found, which is worth a look."""
    source = """
        from agnt5 import NonRetryableError, WorkflowContext, workflow

        async def refuse() -> None:
            raise NonRetryableError("no")

        @workflow
        async def order(ctx: WorkflowContext, item: str) -> None:
            await ctx.step("reserve", str, item)
            await ctx.step(refuse)
    """
    app = version(tmp_path, "before", source)

    async def fail_and_retry() -> None:
        handle = await REGISTRY.get("order").submit("table")
        with pytest.raises(agnt5.NonRetryableError):
            await handle.result(timeout=20)

    with REGISTRY.isolated():
        load_module(str(app))
        in_runtime(fail_and_retry)
    [(failed, _)] = processes.read_journal(Path(os.environ["AGNT5_HOME"]) / "journal.db")
    assert exit_code(agnt5_in_process("runs", "retry", failed.id)) == Exit.OK

    same = document(version(tmp_path, "same", source))
    renamed = document(edited(tmp_path, '"reserve"', '"hold"', source))

    assert (same["runs"][0]["verdict"], same["runs"][0]["notes"]) == ("compatible", [])
    assert (renamed["code"], renamed["runs"][0]["verdict"]) == (Exit.OK, "compatible")
    assert re.search(r"has done step 'reserve' .* asks for step 'hold' .* instead", renamed["runs"][0]["notes"][0])


FAILING = """
    from agnt5 import RetryPolicy, WorkflowContext, workflow

    @workflow(retries=RetryPolicy(max_attempts=3, initial_interval=3600, max_interval=3600))
    async def order(ctx: WorkflowContext, item: str) -> None:
        await ctx.step("reserve", str, item)
        raise LookupError(item)
"""


@pytest.mark.parametrize(
    ("old", "new", "verdict", "said"),
    [
        ("(item)", "(item, 1)", "compatible", "it raises LookupError as an earlier attempt did"),
        ("raise LookupError(item)", "await ctx.wait_for_event('x')", "compatible", ""),
        ("raise LookupError(item)", "raise KeyError(item)", "fails", "KeyError"),
    ],
    ids=["same", "mended", "other"],
)
def test_a_run_between_attempts_is_held_against_its_next_one(
    tmp_path: Path, old: str, new: str, verdict: str, said: str
):
    """That it raises as it did is why it is tried again; that it raises otherwise is worth stopping for."""
    begin(version(tmp_path, "before", FAILING), "table")

    [run] = document(edited(tmp_path, old, new, FAILING))["runs"]

    assert run["verdict"] == verdict
    assert said in "".join([*run["notes"], run["error"] or ""])


# It diverges


@pytest.mark.parametrize(
    ("old", "new", "recorded", "asked"),
    [
        ("step(reserve, item)", "step('hold', reserve, item)", "step 'reserve'", "step 'hold'"),
        ("step(reserve, item)", "wait_for_event('x')", "step 'reserve'", "event 'x'"),
        ("await ctx.step(reserve, item)", "await invoice(item)", "step 'reserve'", "call 'invoice'"),
        ("await ctx.step(reserve, item)", "", "step 'reserve'", "state 'progress'"),
        ("await ctx.step(reserve, item)", "await ctx.sleep(9)", "step 'reserve'", "the code asks for nothing now"),
        ("await ctx.step(reserve, item)", "return item", "step 'reserve'", "the code ends before it asks for that"),
        ('"progress"', '"stage"', "state 'progress'", "state 'stage'"),
        ("await ctx.sleep(0.001)", "", "step 'charge'", None),
        ("await ctx.step(charge, 5)", "await ctx.sleep(9)", "step 'charge'", "the code asks for nothing now"),
        ("    await invoice(item)", "    await ctx.step(reserve, item)", "call 'invoice'", "step 'reserve'"),
        ('"packed"', '"sent"', "event 'packed'", "event 'sent'"),
    ],
    ids=["name", "kind", "child", "removed", "sleep", "end", "state", "timer", "later", "call", "event"],
)
def test_a_changed_operation_diverges_with_both_sides(tmp_path: Path, old: str, new: str, recorded: str, asked: str):
    """What was recorded and what the code asks for now, each with its line, and exit code 7."""
    begin(version(tmp_path, "before", BEFORE), "table")
    after = edited(tmp_path, old, new)

    told = document(after)

    [run] = told["runs"]
    if asked is None:  # A sleep that is gone leaves a timer that nobody set.
        recorded, asked = "sleep", "the code"
    assert (told["code"], told["fit"], run["verdict"]) == (Exit.DIVERGENT, False, "divergent")
    assert run["recorded"].startswith(recorded)
    assert asked in run["asked"]
    assert f"before{os.sep}app.py:" in run["recorded"]
    assert f"after{os.sep}app.py:" in run["asked"] or run["asked"].startswith("the code")


def test_a_divergence_is_drawn_with_both_lines(tmp_path: Path):
    """One line for each side, by the file's own name; the run's id and the sum are there too."""
    [run_id] = begin(version(tmp_path, "before", BEFORE), "table")

    result = preflight(edited(tmp_path, "step(reserve, item)", "step('hold', reserve, item)"))

    assert exit_code(result) == Exit.DIVERGENT
    first, entry, was, now, summary = result.stdout.splitlines()
    assert first.split() == [run_id, "order", "suspended", "divergent"]
    assert entry.strip() == "entry 1"
    assert was.strip() == "recorded: step 'reserve' (app.py:21)"
    assert now.strip() == "now:      step 'hold' (app.py:21)"
    assert summary == "1 run in flight: 1 divergent"


def test_a_run_that_code_before_has_blocked_is_told_whether_this_code_frees_it(tmp_path: Path):
    """Blocked runs are in flight: the mended code is compatible, the code that blocked it isn't."""
    [run_id] = begin(version(tmp_path, "before", BEFORE), "table")
    wrong = edited(tmp_path, "step(reserve, item)", "step('hold', reserve, item)")

    async def until_blocked() -> None:
        handle = agnt5.get_run(run_id)
        await handle.signal("signed", "ann")
        with pytest.raises(agnt5.NonDeterminismError):
            await handle.result(timeout=20)

    with REGISTRY.isolated():
        load_module(str(wrong))
        in_runtime(until_blocked)

    still, mended = document(wrong), document(version(tmp_path, "mended", BEFORE))

    assert still["runs"][0]["status"] == mended["runs"][0]["status"] == "blocked"
    assert (still["runs"][0]["verdict"], mended["runs"][0]["verdict"]) == ("divergent", "compatible")


# Components


def test_functions_are_not_replayed(tmp_path: Path):
    """Their bodies run from the top, and find what succeeded by key."""
    source = """
        from agnt5 import FunctionContext, function

        @function
        async def order(ctx: FunctionContext, item: str) -> None:
            await ctx.wait_for_event("never")
    """
    begin(version(tmp_path, "before", source), "table")

    told = document(edited(tmp_path, '"never"', '"ever"', source))

    assert (told["code"], told["runs"][0]["verdict"]) == (Exit.OK, "not_replayed")


def test_a_component_that_the_code_lacks_is_missing(tmp_path: Path):
    """Its runs would wait for ever: exit code 8, and its name."""
    begin(version(tmp_path, "before", BEFORE), "table")

    told = document(edited(tmp_path, "async def order(", "async def purchase("))

    assert (told["code"], told["missing"], told["runs"][0]["verdict"]) == (Exit.MISSING, ["order"], "missing")


def test_components_may_be_in_several_files(tmp_path: Path):
    """All that are named are loaded before the first run is looked at."""
    begin(version(tmp_path, "before", BEFORE), "table")
    other = tmp_path / "apparel.py"
    other.write_text("")

    assert document(other, str(version(tmp_path, "after", BEFORE)))["code"] == Exit.OK
