"""What has been recorded for a body on an ordinary loop, found by key."""

from agnt5.core.journal.entry import AttemptBegan, AttemptEnded, Kind
from agnt5.core.model.ids import OperationKey
from agnt5.core.model.run import Failure
from agnt5.core.replay.history import History
from agnt5.core.replay.recall import Recall

from .journals import begun, entries, outcome, retrying, started

KEY, OTHER = OperationKey("key"), OperationKey("other")
ENDED = AttemptEnded(1, Failure("builtins:ValueError", "no"), 5)


def test_an_outcome_is_found_wherever_it_stands() -> None:
    """The order of asking doesn't matter."""
    recall = Recall.of_run(History(entries(started(), outcome(-1, "b", key=OTHER), outcome(-1, "a", key=KEY))))

    found = recall.outcome_of(KEY, Kind.STEP)

    assert found is not None
    assert found.name == "a"
    assert recall.index_of(KEY) == 2
    assert recall.outcome_of(OperationKey("unknown"), Kind.STEP) is None


def test_of_earlier_attempts_only_what_is_kept_counts() -> None:
    """A step's success is used again; a sleep runs again."""
    journal = entries(
        started(),
        outcome(-1, "a", key=KEY),
        outcome(-1, "sleep", kind=Kind.SLEEP, key=OTHER),
        ENDED,
        AttemptBegan(2),
    )
    recall = Recall.of_run(History(journal))

    assert recall.outcome_of(KEY, Kind.STEP) is not None
    assert recall.outcome_of(OTHER, Kind.SLEEP) is None
    assert recall.index_of(KEY) is None


def test_what_a_step_asked_for_is_its_own() -> None:
    """Operations in the scope of a step are not the run's, and the other way round."""
    journal = entries(started(), outcome(-1, "inner", key=KEY, scope="step-1"), outcome(-1, "outer", key=OTHER))

    of_run = Recall.of_run(History(journal))
    of_step = Recall.of_step("step-1", journal)

    assert of_run.outcome_of(KEY, Kind.STEP) is None
    assert of_step.outcome_of(KEY, Kind.STEP) is not None
    assert of_step.outcome_of(OTHER, Kind.STEP) is None


def test_a_step_that_is_tried_again_keeps_its_successes() -> None:
    """What was under way is forgotten."""
    journal = entries(
        started(),
        outcome(-1, "inner", key=KEY, scope="step-1"),
        begun(-1, "child", key=OTHER, scope="step-1"),
        retrying(0, "step", 1, key="step-1"),
    )

    recall = Recall.of_step("step-1", journal)

    assert recall.outcome_of(KEY, Kind.STEP) is not None
    assert recall.begun == {}
    assert recall.calls == {OTHER: 1}
