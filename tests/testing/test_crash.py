"""`crash_everywhere` passes for workflows that follow the rules, whatever they use.

Goal: no crash changes what a run comes to, or repeats a step that was completed.
Method: for each workflow, a kill before and after each append, a disk that fails there with the
append written and lost, a body forgotten at each wait, and its journal replayed cut at every length.
Reproduce: a failure names the append and what was written by it; nothing is random.
"""

from pathlib import Path
from typing import Any

import pytest

from agnt5 import NonRetryableError, RunCancelledError, Workflow
from agnt5.testing import CrashReport, Waiting, crash_everywhere, crash_everywhere_sync

from . import example, workflows

WORLD = {"approval:*": {"by": "Ada"}, "word": "hello", "inner": "inside"}
KILLS = 4  # For each append.
RESULTS = [
    pytest.param(workflows.steps, (3,), 6.0, id="steps"),
    pytest.param(workflows.spawning, (), [2, "noted b", 6], id="spawn"),
    pytest.param(workflows.gathering, (), ["slept", 2, 4, "noted x"], id="gather and TaskGroup"),
    pytest.param(workflows.waiting, (), [{"by": "Ada"}, "hello", "hello", "in vain"], id="events and signals"),
    pytest.param(workflows.timing_out, (), "noted too late", id="timeout"),
    pytest.param(workflows.remembering, (), [2, ["count"]], id="state"),
    pytest.param(workflows.parent, (), [2, "noted 2", "nothing there", 20, "completed"], id="children"),
    pytest.param(workflows.counting, (), [0, 2, 4], id="continue_as"),
    pytest.param(workflows.trying_again, (), [8, 3], id="retries of the run"),
    pytest.param(workflows.checkpointing, (), [0, 2, 4, 6, 8, 10, 12], id="checkpoint_interval"),
    pytest.param(workflows.nesting, (), [42, "inside"], id="steps within steps"),
    pytest.param(workflows.talking, (), ["granted", "one", "two", "in vain"], id="runs that talk to each other"),
    pytest.param(workflows.plain_function, (4,), [8, "inside"], id="function"),
]


@pytest.mark.parametrize(("workflow", "args", "result"), RESULTS)
async def test_a_workflow_comes_out_the_same_wherever_it_is_killed(
    workflow: Workflow[Any, Any], args: tuple[Any, ...], result: Any
) -> None:
    """Whatever a workflow asks of its context survives a crash at every append, and none of its steps runs twice."""
    report = await crash_everywhere(workflow, *args, outside=WORLD, hash_seeds=0)

    assert report.result == result
    assert report.crashes == KILLS * report.appends
    assert report.appends >= 3


async def test_retries_and_their_delays_survive() -> None:
    """An attempt that was recorded isn't made again, and the next one comes at its time."""
    report = await crash_everywhere(workflows.retries, hash_seeds=0)

    attempts, said, _ = report.result
    assert (attempts, said) == (3, "no")


async def test_time_chance_and_identity_are_the_same_in_each_life() -> None:
    """What the context gives in place of clocks and random numbers doesn't depend on crashes."""
    report = await crash_everywhere(workflows.sleeping, hash_seeds=0)

    days, *_ = report.result
    assert days == 30


async def test_a_workflow_that_raises_is_to_raise_the_same() -> None:
    """An exception is an end like any other; what undid the work is done once too."""
    report = await crash_everywhere(workflows.compensating, hash_seeds=0)

    assert isinstance(report.error, NonRetryableError)
    assert report.steps == ["reserve", "charge", "release"]


async def test_a_workflow_that_is_cancelled_clears_up_in_each_life() -> None:
    """A cancel that was written down reaches the body of the next life, at the same place."""

    async def cancel(waiting: Waiting) -> None:
        await waiting.cancel()

    report = await crash_everywhere(workflows.cancelled, outside=cancel, hash_seeds=0)

    assert isinstance(report.error, RunCancelledError)
    assert report.steps == ["note", "release"]


async def test_the_example_passes_in_other_processes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkout that users are shown charges once, whatever happens."""
    monkeypatch.setenv("CHECKOUT_LEDGER", str(tmp_path / "ledger"))

    report = await crash_everywhere(example.checkout, "order-42")

    assert report.result == "txn-order-42"
    assert report.steps == ["charge_card", "send_receipt"]
    assert report.processes > 0


async def test_the_report_says_which_steps_a_crash_cut_short() -> None:
    """A step that died before it was recorded runs again: its author sees that it has to bear that."""
    report = await crash_everywhere(workflows.steps, 3, hash_seeds=0)

    # Each of three steps is lost by a kill right before, and by a disk that loses it.
    assert report.repeated == {"double": 2, "again": 2, "halve": 2}
    assert "ran again: double (2), again (2), halve (2)" in str(report)


async def test_results_can_be_compared_in_the_users_own_way() -> None:
    """Where `==` isn't what counts, the user says what is."""
    asked: list[tuple[Any, Any]] = []

    def same(first: Any, second: Any) -> bool:
        asked.append((first, second))
        return True

    report = await crash_everywhere(workflows.steps, 3, same=same, hash_seeds=0)

    assert set(asked) == {(6.0, 6.0)}
    assert len(asked) >= report.crashes


def test_it_can_be_used_without_an_event_loop() -> None:
    """A plain test function does the same."""
    report = crash_everywhere_sync(workflows.steps, 3, hash_seeds=0)

    assert isinstance(report, CrashReport)
    assert report.result == 6.0
