"""A journal, read for one life: what earlier attempts left, and what this one has seen."""

from agnt5.core.journal.entry import AttemptBegan, AttemptEnded, Kind, Outcome, Patched, Resumed
from agnt5.core.model.ids import OperationKey
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.run import Failure
from agnt5.core.replay.history import History

from .journals import START_US, STEP_US, begun, entries, failed, outcome, raw, signal, started

ERROR = Failure("builtins:ValueError", "no")


def ended(compensated: bool = False, **consumed: int) -> AttemptEnded:
    """An attempt failed."""
    return AttemptEnded(1, ERROR, 5, compensated, consumed)


def state(name: str, value: object) -> Outcome:
    """A change of the state."""
    result = NOTHING if value is None else raw(value)
    return Outcome(3, OperationKey(f"state-{name}"), Kind.STATE, name, result=result)


def test_of_a_first_attempt_everything_is_present() -> None:
    """All but the start is given to the body."""
    history = History(entries(started(), outcome(0, "a"), signal("s", 1)))

    assert [entry.index for entry in history.present] == [1, 2]
    assert (history.attempt, history.next_index, history.began_at) == (1, 3, START_US)
    assert history.successes == {}


def test_an_earlier_attempt_leaves_its_successes() -> None:
    """Failures, cancels and sleeps are forgotten; state is kept, and unread signals are."""
    history = History(
        entries(
            started(),
            outcome(0, "a", key="a"),
            failed(1, "b", "no"),
            outcome(2, "s", key="s", cancelled=True),
            state("x", 1),
            state("y", 2),
            state("x", None),
            signal("go", 1),
            begun(4, "child", key="c"),
            ended(go=1),
            AttemptBegan(2),
            outcome(0, "z", key="z"),
        )
    )

    assert list(history.successes) == ["a"]
    assert {name: bytes(value) for name, value in history.state.items()} == {"y": b"2"}
    assert [bytes(each.payload) for each in history.signals] == [b"1"]
    assert history.calls == {"c": 1}
    assert history.attempt == 2
    assert history.began_at == START_US + 10 * STEP_US
    assert [entry.index for entry in history.present] == [11]


def test_an_attempt_that_compensated_leaves_its_state_alone() -> None:
    """Its successes are undone, and the signals it took are used up."""
    history = History(
        entries(
            started(),
            outcome(0, "a", key="a"),
            state("x", 1),
            signal("go", 1),
            signal("go", 2),
            begun(4, "child", key="c"),
            ended(compensated=True, go=1),
            AttemptBegan(2, 2),
        )
    )

    assert history.successes == {}
    assert history.calls == {}
    assert list(history.state) == ["x"]
    assert [bytes(each.payload) for each in history.signals] == [b"2"]
    assert history.generation == 2


def test_signals_of_several_compensated_attempts_are_counted_once() -> None:
    """What a generation took is told in sum, and only what was not used up before is taken away."""
    history = History(
        entries(
            started(),
            signal("go", 1),
            ended(compensated=True, go=1),
            AttemptBegan(2, 2),
            signal("go", 2),
            signal("go", 3),
            ended(compensated=True, go=2),
            AttemptBegan(3, 3),
        )
    )

    assert [bytes(each.payload) for each in history.signals] == [b"3"]
    assert history.spent == {"go": 2}


def test_changes_and_resumptions_are_known_from_the_start() -> None:
    """Wherever in the journal they stand."""
    history = History(entries(started(), outcome(0, "a"), Patched("change"), Resumed(), outcome(1, "b")))

    assert history.patches == {"change"}
    assert history.resumed_at == 3
