"""The family of errors: what a user catches, reads and sends on."""

import copy
import pickle
import traceback
from datetime import timedelta

import pytest

import agnt5
from agnt5 import Agnt5Error, RemoteError, RetryAfter
from agnt5.core.model import errors

ALL = sorted(
    (cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, Agnt5Error)),
    key=lambda cls: cls.__name__,
)
# What each one also is, where a builtin fits; the contract, section 8.
BUILTIN_BASES = {
    "InvalidInput": ValueError,
    "PayloadTooLarge": ValueError,
    "UnserializableValue": TypeError,
    "UnknownComponent": LookupError,
    "UnknownRun": LookupError,
    "StepTimeoutError": TimeoutError,
    "NoContextError": RuntimeError,
    "EffectOutsideStep": RuntimeError,
}
RETRYABLE = {
    *("EntityBusyError", "JournalLockedError", "RetriableError", "RetryAfter"),
    *("StepTimeoutError", "StoreFull", "Unavailable"),
}


def example_of(cls: type[Agnt5Error]) -> Agnt5Error:
    if cls is RemoteError:
        return RemoteError("Teapot", "short and stout")
    if cls is RetryAfter:
        return RetryAfter(1.5, "busy")
    return cls("what", why="why", fix="fix", run_id="r1", items=[1, "a", None])


def test_each_error_has_a_code_of_its_own():
    """A code stands for one kind of error, and has a page."""
    codes = [cls.code for cls in ALL]

    assert len(set(codes)) == len(codes)
    assert all(code.startswith("AGNT5-") and code[6:].isdigit() and len(code) == 9 for code in codes)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_each_error_states_its_own_code(cls: type[Agnt5Error]):
    """None borrows the code of its parent."""
    assert "code" in vars(cls)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_each_error_is_public(cls: type[Agnt5Error]):
    """Whatever may be raised can be imported from the front door, and says so in tracebacks."""
    assert getattr(agnt5, cls.__name__) is cls
    assert cls.__name__ in agnt5.__all__
    assert cls.__module__ == ("agnt5" if cls is not Agnt5Error else "agnt5.core.model.errors")


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_each_error_pickles_whole(cls: type[Agnt5Error], again: object):
    """It crosses process pools and test runners as it is."""
    error = example_of(cls)

    back = again(error)  # type: ignore[operator]

    assert type(back) is cls
    assert str(back) == str(error)
    assert vars(back) == vars(error)


@pytest.mark.parametrize(("name", "base"), BUILTIN_BASES.items())
def test_where_a_builtin_fits_they_are_one(name: str, base: type[Exception]):
    """Code that knows nothing of agnt5 catches what it knows."""
    assert issubclass(getattr(agnt5, name), base)


def test_retryability_is_a_field():
    """Who catches an error can tell whether the same call may succeed later."""
    assert {cls.__name__ for cls in ALL if cls.retryable} == RETRYABLE


def test_the_tree_is_cut_by_what_the_catcher_does():
    """To catch a parent is to catch its children."""
    assert issubclass(agnt5.NonDeterminismError, agnt5.RunBlockedError)
    assert issubclass(agnt5.BusyWorkflowError, agnt5.RunBlockedError)
    assert issubclass(agnt5.PayloadTooLarge, agnt5.InvalidInput)
    for cls in (agnt5.StoreFull, agnt5.StoreCorrupt, agnt5.StoreTooNew, agnt5.JournalLockedError):
        assert issubclass(cls, agnt5.StoreError)


def test_an_error_reads_as_what_why_fix():
    """Three lines: what happened under which code, the likeliest cause, what to do."""
    error = agnt5.InvalidInput("retries is -1", why="it counts attempts", fix="pass retries=1", retries=-1)

    assert str(error) == "[AGNT5-101] retries is -1\n  Why: it counts attempts\n  Fix: pass retries=1"
    assert error.retries == -1  # type: ignore[attr-defined]


def test_what_a_user_raises_reads_as_they_wrote_it():
    """A user's own message isn't dressed up."""
    assert str(agnt5.NonRetryableError("the card is stolen")) == "the card is stolen"
    assert str(agnt5.NonRetryableError()) == ""


def test_tracebacks_name_the_public_place():
    """A traceback says `agnt5.InvalidInput`, as users import it."""
    text = "".join(traceback.format_exception_only(agnt5.InvalidInput("a")))

    assert text == "agnt5.InvalidInput: a\n"


@pytest.mark.parametrize("delay", [30, 30.0, timedelta(seconds=30)])
def test_retry_after_takes_seconds_or_a_timedelta(delay: float | timedelta):
    """It holds seconds, however they were given."""
    assert RetryAfter(delay).seconds == 30.0
    assert "30" in str(RetryAfter(delay))


def test_a_remote_error_says_what_it_was():
    """Type and message, for people and for programs."""
    error = RemoteError("Declined", "no money")

    assert (error.type_name, error.message, str(error)) == ("Declined", "no money", "Declined: no money")
    assert str(RemoteError("Declined")) == "Declined"
