"""Whether a failing attempt undid its work."""

import pytest

from agnt5.core.replay.determinism import has_compensated


def chained() -> tuple[BaseException, BaseException]:
    """An exception, and another that was raised in its handling."""
    first = LookupError("first")
    try:
        try:
            raise first
        except LookupError:
            raise ValueError("second")  # noqa: B904  The context is what matters here.
    except ValueError as second:
        return first, second


def test_work_done_while_handling_the_ending_exception_compensates() -> None:
    """It, or one in its context."""
    first, second = chained()

    assert has_compensated(first, [first])
    assert has_compensated(second, [first])
    assert has_compensated(second, [second])


def test_work_done_while_handling_something_else_does_not() -> None:
    """An exception that was dealt with has nothing to do with the end."""
    first, second = chained()

    assert not has_compensated(first, [second])
    assert not has_compensated(first, [LookupError("first")])
    assert not has_compensated(first, [])


def test_groups_are_told_apart_by_their_members() -> None:
    """`except*` handles a group of its own making."""
    one, two = ValueError("one"), LookupError("two")
    whole = ExceptionGroup("whole", [one, ExceptionGroup("inner", [two])])

    assert has_compensated(whole, [ExceptionGroup("caught", [two])])
    assert has_compensated(one, [ExceptionGroup("caught", [one])])
    assert not has_compensated(one, [ExceptionGroup("caught", [two])])


def test_a_cause_counts_as_a_context() -> None:
    """`raise … from` names what it was raised for."""
    first, second = LookupError("first"), ValueError("second")

    with pytest.raises(ValueError, match="second") as caught:
        raise second from first

    assert has_compensated(caught.value, [first])


def test_exceptions_in_a_circle_end() -> None:
    """A chain that comes back to itself is walked once."""
    one, two = ValueError("one"), ValueError("two")
    one.__context__, two.__context__ = two, one

    assert not has_compensated(one, [LookupError()])
