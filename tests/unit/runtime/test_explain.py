"""Why a run is where it is, in a sentence that names what would move it."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from agnt5.core.journal.entry import AttemptEnded, Begun, Body, Ended, Entry, Kind, Outcome, Retrying, Started
from agnt5.core.model.errors import NonDeterminismError, StoreCorrupt
from agnt5.core.model.failures import failure_of
from agnt5.core.model.ids import OperationKey, RunId
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.run import WAKE, Failure, Run, Status, Timer, Wait, Waiting
from agnt5.runtime.explain import explain
from agnt5.runtime.port import AtWork
from agnt5.runtime.scene import DEPTH_MAX, scene_of

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND
STARTED = Started("checkout", NOTHING)
REFUSED = Failure("builtins:ConnectionError", "no answer\nfrom the bank")


class Surroundings:
    """Runs with their journals, and who is there to carry them on."""

    def __init__(self, *runs: tuple[Run, list[Body]], **known: Any) -> None:
        self._runs = {run.id: run for run, _ in runs}
        self._journals = {run.id: bodies for run, bodies in runs}
        self.pid: int | None = known.get("pid")
        self._ahead: int = known.get("ahead", 0)
        self._missing: tuple[str, ...] = known.get("missing", ())
        self._doing: list[AtWork] = known.get("doing", [])

    async def run(self, run_id: RunId) -> Run | None:
        return self._runs.get(run_id)

    async def journal(self, run_id: RunId) -> list[Entry]:
        bodies = self._journals[run_id]
        if not bodies:
            raise StoreCorrupt(f"the journal of {run_id} is damaged")
        return [Entry(index, NOW - (len(bodies) - index) * SECOND, body) for index, body in enumerate(bodies)]

    async def queued_before(self, run: Run) -> int:
        return self._ahead

    def is_offered(self, component: str) -> bool:
        return component not in self._missing

    def doing(self, run: Run) -> list[AtWork]:
        return self._doing


def run_of(status: Status, name: str = "a", component: str = "checkout", **more: Any) -> Run:
    return Run(id=RunId(name * 32), component=component, status=status, **more)


def explained(run: Run, *bodies: Body, others: Any = (), **known: Any) -> tuple[str, dict[str, Any]]:
    around = Surroundings((run, [STARTED, *bodies]), *others, **known)
    return explain(asyncio.run(scene_of(run, around)), NOW)


def said(run: Run, *bodies: Body, **known: Any) -> str:
    return explained(run, *bodies, **known)[0]


def calling(child: Run, site: str = "/app/shop.py:3") -> Begun:
    return Begun(0, OperationKey(child.id), Kind.CALL, child.component, child.id, site=site)


def waiting_for(child: Run, name: str = "a", component: str = "checkout") -> Run:
    waiting = Waiting(on=(Wait("call", child.component, "/app/shop.py:3"),), since=NOW)
    return run_of(Status.SUSPENDED, name, component, waiting=waiting)


# Over


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
def test_a_run_that_is_over_says_since_when(status: Status):
    """How it ended, and how long ago."""
    assert said(run_of(status, ended_at=NOW - 90 * SECOND)) == f"{status.value} 90.0 s ago"


def test_a_failed_run_says_of_what():
    """The type and the first line of its error."""
    run = run_of(Status.FAILED, ended_at=NOW)

    assert said(run, Ended(Status.FAILED, error=REFUSED)) == "failed 0.0 s ago: ConnectionError: no answer"


# Blocked


def test_a_run_blocked_by_non_determinism_names_both_sides():
    """The entry, what it was recorded as and what the code asks for, each with its line."""
    error = NonDeterminismError(
        "entry 4 was recorded as step 'charge' (/app/old/shop.py:9), but the code now asks for "
        "step 'refund' (/app/new/shop.py:10)",
        why="the code changed",
        index=4,
        recorded="step 'charge' (/app/old/shop.py:9)",
        asked="step 'refund' (/app/new/shop.py:10)",
    )
    run = run_of(Status.BLOCKED, waiting=Waiting(blocked=failure_of(error)))

    sentence, facts = explained(run, missing=["checkout"])

    assert sentence == (
        "blocked by non-determinism: entry 4 was recorded as step 'charge' (shop.py:9), "
        "but the code now asks for step 'refund' (shop.py:10)"
    )
    assert (facts["reason"], facts["index"]) == ("NonDeterminismError", 4)
    assert facts["recorded"].endswith("old/shop.py:9)")


def test_a_run_blocked_for_another_reason_says_its_first_line():
    """All of it is in the run."""
    blocked = Failure("agnt5:RunBlockedError", "[AGNT5-200] step 'charge' was cut short\n  Why: …")

    assert said(run_of(Status.BLOCKED, waiting=Waiting(blocked=blocked))) == (
        "blocked: [AGNT5-200] step 'charge' was cut short"
    )


def test_a_blocked_run_without_a_text_says_so_too():
    """An error without a message is no reason to fail."""
    blocked = Failure("agnt5:RunBlockedError", "")

    assert said(run_of(Status.BLOCKED, waiting=Waiting(blocked=blocked))) == "blocked: RunBlockedError"


def test_a_run_whose_journal_is_damaged_is_explained_by_its_record():
    """It is blocked for just that, and asking why must not fail for it."""
    run = run_of(Status.BLOCKED, waiting=Waiting(blocked=Failure("agnt5:StoreCorrupt", "entry 3 is damaged")))

    scene = asyncio.run(scene_of(run, Surroundings((run, []))))

    assert explain(scene, NOW)[0] == "blocked: entry 3 is damaged"


# Attempts to come


def test_a_run_between_attempts_says_when_the_next_starts():
    """Which one failed and why, and how long until the next."""
    run = run_of(Status.SUSPENDED, attempt=2, wake_at=NOW + 5 * SECOND, waiting=Waiting(retry=True))

    sentence, facts = explained(run, AttemptEnded(2, REFUSED, run.wake_at))

    assert sentence == "attempt 2 failed with ConnectionError: no answer; the next one starts in 5.0 s"
    assert (facts["retry_at"], facts["next_attempt"]) == (run.wake_at / SECOND, 3)


def retrying(attempt: int, retry_at: int) -> Retrying:
    key = OperationKey("k")
    return Retrying(0, key, "charge", attempt, NOW, NOW, retry_at, REFUSED, site="/app/shop.py:9")


def test_a_step_between_attempts_is_named_with_its_error():
    """Which attempt comes, of what, when, and why it is needed."""
    due = NOW + 4_200_000
    run = run_of(Status.SUSPENDED, waiting=Waiting((Timer(due, WAKE, "retry", "/app/shop.py:9"),), since=NOW))

    sentence, facts = explained(run, retrying(1, NOW), retrying(2, due))

    assert sentence == (
        "waiting since 2023-11-14 22:13:20 UTC for attempt 3 of step 'charge' in 4.2 s (shop.py:9) "
        "because ConnectionError: no answer"
    )
    assert (facts["step"], facts["next_attempt"], facts["error"]) == ("charge", 3, "ConnectionError: no answer")


def test_a_run_that_is_not_yet_written_down_as_waiting_tells_of_the_attempt_to_come():
    """Its record says that it is running; its journal knows better."""
    sentence = said(run_of(Status.RUNNING, started_at=NOW), retrying(1, NOW + SECOND))

    assert sentence.startswith("waiting for attempt 2 of step 'charge' in 1.0 s")


def test_a_step_that_the_body_has_given_up_is_not_tried_again():
    """Its attempt would have come; its outcome says that it doesn't."""
    given_up = Outcome(0, OperationKey("k"), Kind.STEP, "charge", cancelled=True)

    sentence = said(run_of(Status.RUNNING, started_at=NOW), retrying(1, NOW + SECOND), given_up)

    assert sentence.startswith("running its attempt 1")


# Queued


def test_a_run_for_later_says_when():
    """It isn't queued for want of a worker."""
    run = run_of(Status.QUEUED, wake_at=NOW + SECOND)

    assert said(run, missing=["checkout"]) == "submitted for later: starts in 1.0 s"


def test_a_missing_component_is_named():
    """The commonest reason for a run to wait: nobody imported the module."""
    sentence, facts = explained(run_of(Status.QUEUED, stamp=NOW), missing=["checkout"])

    assert sentence == (
        "queued since 2023-11-14 22:13:20 UTC; "
        "no worker registers component 'checkout': import the module that defines it"
    )
    assert facts["missing"] == "checkout"


@pytest.mark.parametrize(
    ("ahead", "rest"),
    [(0, "for a worker that has room"), (1, "behind 1 run of 'checkout'"), (7, "behind 7 runs of 'checkout'")],
)
def test_a_queued_run_says_how_many_are_before_it(ahead: int, rest: str):
    """Or that it is the next."""
    run = run_of(Status.QUEUED, stamp=NOW)

    assert said(run, ahead=ahead) == f"queued since 2023-11-14 22:13:20 UTC {rest}"


# Waiting


def test_a_waiting_run_names_all_that_would_wake_it():
    """Events, signals and children with their lines, and the soonest of its timers."""
    waiting = Waiting(
        (Timer(NOW + 2 * SECOND, 0, "sleep", "/app/shop.py:7"), Timer(NOW + 3 * SECOND, 1)),
        (Wait("event", "paid", "/app/shop.py:9"), Wait("signal", "go")),
        NOW,
    )

    assert said(run_of(Status.SUSPENDED, waiting=waiting)) == (
        "waiting since 2023-11-14 22:13:20 UTC for event paid (shop.py:9) or signal go "
        "or the end of a sleep in 2.0 s (shop.py:7)"
    )


def test_a_long_sleep_says_until_when():
    """Nobody counts days in seconds."""
    waiting = Waiting((Timer(NOW + 86_400 * SECOND, 0, "sleep"),), since=NOW)

    sentence = said(run_of(Status.SUSPENDED, waiting=waiting))

    assert sentence.endswith("for the end of a sleep in 86400.0 s, at 2023-11-15 22:13:20 UTC")


def test_a_run_that_nothing_can_wake_says_so():
    """A future that nobody sets is a mistake in the body."""
    assert "nothing that could come" in said(run_of(Status.SUSPENDED, waiting=Waiting(since=NOW)))


def test_a_run_whose_cancel_is_requested_says_so():
    """Somebody has asked already."""
    waiting = Waiting(on=(Wait("event", "paid"),))

    sentence = said(run_of(Status.SUSPENDED, waiting=waiting, is_cancel_requested=True))

    assert sentence == "waiting for event paid; its cancel is requested"


def test_a_run_that_waits_for_a_child_says_what_keeps_the_child():
    """The child by id and component, the line of the call, and the child's own reason."""
    child = run_of(Status.SUSPENDED, "b", "ship", waiting=Waiting(on=(Wait("event", "picked", "/app/ship.py:5"),)))

    sentence, facts = explained(waiting_for(child), calling(child), others=[(child, [STARTED])])

    assert sentence == (
        f"waiting since 2023-11-14 22:13:20 UTC for child run {child.id} of 'ship' (shop.py:3); "
        "that run is waiting for event picked (ship.py:5)"
    )
    assert facts["innermost"]["run"] == child.id


def test_a_run_at_the_end_of_several_that_wait_is_named():
    """Whoever looks for the cause is led to where it is."""
    last = run_of(Status.QUEUED, "d", "pack", stamp=NOW)
    third, second = waiting_for(last, "c", "load"), run_of(Status.RUNNING, "b", "ship")
    others = [(second, [STARTED, calling(third)]), (third, [STARTED, calling(last)]), (last, [STARTED])]

    sentence, facts = explained(waiting_for(second), calling(second), others=others, missing=["pack"])

    assert f"; 2 more down, run {last.id} of 'pack' is queued since " in sentence
    assert sentence.count("no worker registers component 'pack'") == 1
    assert facts["innermost"]["missing"] == "pack"


def test_a_child_that_has_ended_is_not_what_a_run_waits_for():
    """A loop calls one child after the other at one line."""
    first, second = run_of(Status.COMPLETED, "b", "ship"), run_of(Status.QUEUED, "c", "ship")
    answered = Outcome(0, OperationKey(first.id), Kind.CALL, "ship", first.id)

    run, others = waiting_for(second), [(first, [STARTED]), (second, [STARTED])]

    assert f"child run {second.id}" in said(run, calling(first), answered, calling(second), others=others)


def test_an_awaited_run_is_followed_by_its_handle_too():
    """It need not be a child."""
    other = run_of(Status.BLOCKED, "b", waiting=Waiting(blocked=Failure("agnt5:RunBlockedError", "look")))
    run = run_of(Status.SUSPENDED, waiting=Waiting(on=(Wait("run", other.id),)))

    assert said(run, others=[(other, [STARTED])]) == f"waiting for run {other.id}; that run is blocked: look"


def test_runs_that_wait_for_each_other_in_a_circle_are_not_followed_for_ever():
    """Each is looked at once."""
    one, other = (Waiting(on=(Wait("run", name * 32),)) for name in "ba")
    run = run_of(Status.SUSPENDED, "a", waiting=one)

    sentence = said(run, others=[(run_of(Status.SUSPENDED, "b", waiting=other), [STARTED])])

    assert sentence == f"waiting for run {'b' * 32}; that run is waiting for run {'a' * 32}"


def test_a_long_row_of_waiting_runs_is_followed_to_a_bound():
    """A thousand of them cost no more than fifty."""
    ids = [f"{number:032x}" for number in range(DEPTH_MAX * 2)]
    runs = [
        Run(id=RunId(own), component="c", status=Status.SUSPENDED, waiting=Waiting(on=(Wait("run", other),)))
        for own, other in pairwise(ids)
    ]

    sentence = said(runs[0], others=[(run, [STARTED]) for run in runs[1:]])

    assert f"{DEPTH_MAX - 2} more down" in sentence


# Running


def test_a_running_run_says_since_when_and_what_it_did_last():
    """Where nothing tells what it does now, its last outcome is the nearest."""
    done = Outcome(0, OperationKey("k"), Kind.STEP, "reserve", site="/app/shop.py:4")

    assert said(run_of(Status.RUNNING, attempt=3, started_at=NOW), done) == (
        "running its attempt 3 since 2023-11-14 22:13:20 UTC; "
        "the last that it did is step 'reserve' (shop.py:4), 1.0 s ago"
    )
    assert said(run_of(Status.RUNNING, started_at=NOW)).endswith(", with nothing done yet")


def test_a_run_at_work_names_the_step_that_takes_longest():
    """With its attempt and its line, and how many more there are."""
    doing = [AtWork("pack", 1, NOW - SECOND), AtWork("charge", 2, NOW - 12 * SECOND, "/app/shop.py:9")]

    sentence, facts = explained(run_of(Status.RUNNING), doing=doing)

    assert sentence == "running attempt 2 of step 'charge' since 12.0 s (shop.py:9) and 1 more"
    assert [each["step"] for each in facts["doing"]] == ["charge", "pack"]


# From outside


def test_a_run_whose_process_is_gone_was_cut_short():
    """No process has the journal: the next one goes on with it."""
    sentence, facts = explained(run_of(Status.RUNNING), pid=0)

    assert sentence == (
        "cut short in its attempt 1, with nothing done yet; "
        "no process has the journal: it goes on in the next one that has 'checkout'"
    )
    assert facts["process"] is None


def test_a_run_that_waits_without_a_process_says_both():
    """What it waits for may come, and would yet move nothing."""
    waiting = Waiting(on=(Wait("event", "paid"),))

    sentence = said(run_of(Status.SUSPENDED, waiting=waiting), pid=0)

    assert sentence.startswith("waiting for event paid; no process has the journal")


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING])
def test_the_process_that_has_the_journal_is_named(status: Status):
    """It is where to look further."""
    assert "process 4711 has the journal" in said(run_of(status), pid=4711)
