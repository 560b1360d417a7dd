"""Our own errors are written down whole, and long texts are cut with a mark."""

import pytest

from agnt5 import InvalidInput, NonDeterminismError, RunBlockedError
from agnt5.core.model.failures import MESSAGE_CHARS_MAX, clip, failure_of, is_type


def test_a_failure_names_its_type_as_users_import_it():
    """So that another version finds it wherever its code stands by then."""
    failure = failure_of(InvalidInput("what", why="why", fix="fix"))

    assert failure.type == "agnt5:InvalidInput"
    assert failure.message == "[AGNT5-101] what\n  Why: why\n  Fix: fix"


def test_a_type_is_told_by_its_own_name():
    """A parent's isn't enough: what blocks a run for other code is non-determinism alone."""
    assert is_type(failure_of(NonDeterminismError("a")), NonDeterminismError)
    assert not is_type(failure_of(RunBlockedError("a")), NonDeterminismError)


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 100])
def test_a_clipped_text_says_how_much_is_missing(length: int):
    """What fits is left alone."""
    text = "x" * length

    assert clip(text, 10) == (text if length <= 10 else f"{'x' * 10}… ({length - 10} more)")


def test_a_message_is_bounded():
    """An error that quotes a whole document doesn't fill the journal."""
    assert len(failure_of(InvalidInput("x" * 100_000)).message) < MESSAGE_CHARS_MAX + 50
