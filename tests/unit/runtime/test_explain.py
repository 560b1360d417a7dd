"""Why a run is where it is, in a sentence that names what would move it."""

import pytest

from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Failure, Run, Status, Timer, Wait, Waiting
from agnt5.runtime.explain import explain

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND


def said(status: Status, *, has_worker: bool = True, **more: object) -> str:
    run = Run(id=RunId("a" * 32), component="checkout", status=status, **more)  # type: ignore[arg-type]
    return explain(run, NOW, has_worker)[0]


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
def test_a_run_that_is_over_says_since_when(status: Status):
    """How it ended, and how long ago."""
    assert said(status, ended_at=NOW - 90 * SECOND) == f"{status.value} 90.0 s ago"


def test_a_blocked_run_says_why():
    """The first line of the error; all of it is in the run."""
    blocked = Failure("agnt5:NonDeterminismError", "[AGNT5-201] entry 4 differs\n  Why: …")

    run = Run(id=RunId("a"), component="c", status=Status.BLOCKED, waiting=Waiting(blocked=blocked))
    sentence, facts = explain(run, NOW, has_worker=False)

    assert sentence == "blocked: [AGNT5-201] entry 4 differs"
    assert facts["reason"] == "NonDeterminismError"


def test_a_blocked_run_without_a_text_says_so_too():
    """An error without a message is no reason to fail."""
    blocked = Failure("agnt5:RunBlockedError", "")

    assert said(Status.BLOCKED, waiting=Waiting(blocked=blocked)).startswith("blocked")


def test_a_run_between_attempts_says_when_the_next_starts():
    """Which one failed, and how long until the next."""
    sentence = said(Status.SUSPENDED, attempt=2, wake_at=NOW + 5 * SECOND, waiting=Waiting(retry=True))

    assert sentence == "attempt 2 failed; the next one starts in 5.0 s"


def test_a_run_for_later_says_when():
    """It isn't queued for want of a worker."""
    assert said(Status.QUEUED, wake_at=NOW + SECOND, has_worker=False) == "submitted for later: starts in 1.0 s"


def test_a_missing_component_is_named():
    """The commonest reason for a run to wait: nobody imported the module."""
    sentence = said(Status.QUEUED, has_worker=False)

    assert "'checkout'" in sentence
    assert "import" in sentence


def test_a_queued_run_waits_for_room():
    """Since its last entry."""
    assert said(Status.QUEUED, stamp=NOW) == "queued for a worker that has room since 2023-11-14 22:13:20 UTC"


def test_a_waiting_run_names_all_that_would_wake_it():
    """Events, signals and children with their lines, and the soonest of its timers."""
    waiting = Waiting(
        (Timer(NOW + 2 * SECOND, 0, "sleep", "/app/shop.py:7"), Timer(NOW + 3 * SECOND, 1)),
        (Wait("event", "paid", "/app/shop.py:9"), Wait("signal", "go")),
        NOW,
    )

    sentence = said(Status.SUSPENDED, waiting=waiting)

    assert sentence == (
        "waiting since 2023-11-14 22:13:20 UTC for event paid (shop.py:9) or signal go "
        "or the end of a sleep in 2.0 s (shop.py:7)"
    )


def test_a_run_that_nothing_can_wake_says_so():
    """A future that nobody sets is a mistake in the body."""
    assert "nothing that could come" in said(Status.SUSPENDED, waiting=Waiting(since=NOW))


def test_a_running_run_says_since_when():
    """And at which attempt."""
    assert said(Status.RUNNING, attempt=3, started_at=NOW) == "running its attempt 3 since 2023-11-14 22:13:20 UTC"
