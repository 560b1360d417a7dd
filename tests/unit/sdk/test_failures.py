"""Exceptions come back with their own type, text and content, or say what they were."""

import asyncio
import importlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agnt5
from agnt5 import Agnt5Error, NonRetryableError, RemoteError, UnserializableValue
from agnt5.core.journal.codec import decode_body, encode_body
from agnt5.core.journal.entry import Ended
from agnt5.core.model.failures import MESSAGE_CHARS_MAX, TRACEBACK_CHARS_MAX, failure_of
from agnt5.core.model.run import Status
from agnt5.sdk import failures

ERRORS = sorted(
    (cls for name, cls in vars(agnt5).items() if isinstance(cls, type) and issubclass(cls, Agnt5Error)),
    key=lambda cls: cls.__name__,
)


def example_of(cls: type[Agnt5Error]) -> Agnt5Error:
    """One of this class, with all that it can hold."""
    if cls is RemoteError:
        return RemoteError("Teapot", "short and stout")
    if cls is agnt5.RetryAfter:
        return agnt5.RetryAfter(1.5, "busy")
    return cls("what", why="why", fix="fix", run_id="r1", items=[1, "a", None])


def passed_on(error: BaseException) -> BaseException:
    """The exception after a journal, as text and back."""
    body = decode_body(encode_body(Ended(Status.FAILED, error=failures.write(error))))
    assert isinstance(body, Ended)
    assert body.error is not None
    return failures.read(body.error)


def raised(fn: Callable[[], Any]) -> BaseException:
    try:
        fn()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("write", [failures.write, failure_of], ids=["sdk", "engine"])
def test_each_of_our_errors_passes_the_wire_whole(cls: type[Agnt5Error], write: Any):
    """Whoever wrote it, worker or engine: type, sentences and facts arrive."""
    error = example_of(cls)

    body = decode_body(encode_body(Ended(Status.FAILED, error=write(error))))
    back = failures.read(body.error)  # type: ignore[union-attr, arg-type]

    assert type(back) is cls
    assert str(back) == str(error)
    assert vars(back) == vars(error)


class Declined(Exception):
    """Takes what its text isn't made of."""

    def __init__(self, card: str, *, amount: int) -> None:
        super().__init__(f"card {card} declined")
        self.card = card
        self.amount = amount


class Stolen(NonRetryableError):
    """A user's class under one of ours, with arguments of its own."""

    def __init__(self, card: str) -> None:
        super().__init__(f"card {card} is stolen")
        self.card = card


class Plain(NonRetryableError):
    """A user's class under one of ours that adds nothing."""


class NoFile(OSError):
    """A user's class under a builtin that keeps its content elsewhere."""

    def __init__(self, path: str) -> None:
        super().__init__(2, "no such file", path)
        self.path = path


class Coded(Exception):
    """Shows an attribute that can't be set."""

    def __init__(self, code: int) -> None:
        super().__init__("coded")
        self.__dict__["code"] = code

    @property
    def code(self) -> int:
        return int(self.__dict__["code"])


@dataclass(frozen=True)
class Frozen(Exception):
    """A dataclass that is an exception."""

    reason: str


def noted() -> Exception:
    error = ValueError("a")
    error.add_note("look at the order")
    return error


BUILTINS: dict[str, Callable[[], Any]] = {
    "file": lambda: Path(tempfile.gettempdir(), "agnt5", "no", "such").read_text(),
    "json": lambda: json.loads("{"),
    "unicode": lambda: b"\xff".decode(),
    "import": lambda: importlib.import_module("agnt5_nowhere"),
    "key": lambda: {}["k"],
    "attribute": lambda: None.x,  # type: ignore[attr-defined]
    "stop": lambda: next(iter(())),
    "syntax": lambda: compile("(", "f", "exec"),
    "zero": lambda: 1 / 0,
    "int": lambda: int("x"),
}


@pytest.mark.parametrize("fn", BUILTINS.values(), ids=BUILTINS.keys())
def test_builtin_exceptions_come_back_whole(fn: Callable[[], Any]):
    """A file error still names its file, an import error its module."""
    error = raised(fn)

    back = passed_on(error)

    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args
    for name in ("filename", "errno", "path", "reason", "lineno", "pos"):
        assert getattr(back, name, None) == getattr(error, name, None)
    if isinstance(error, ImportError):
        assert back.name == error.name  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "error",
    [
        Declined("4242", amount=7),
        Stolen("4242"),
        Plain("why not", why="because", order=3),
        NoFile("/a/b"),
        Coded(7),
        Frozen("cold"),
        noted(),
        TimeoutError(),
        OSError("just a text"),
        ValueError("a", 1, {"b": (2,)}),
        RuntimeError("\ud800"),
        asyncio.IncompleteReadError(b"a", 3),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_comes_back_with_type_and_content(error: Exception):
    """`except Declined as error: error.amount` works in a replay, whatever its `__init__` takes."""
    back = passed_on(error)

    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args
    assert vars(back) == vars(error)


def test_what_cant_be_journaled_doesnt_cost_the_type():
    """An HTTP client's error holds its response; who catches the error goes by its type."""
    with_attribute = Declined("4", amount=1)
    with_attribute.response = object()  # type: ignore[attr-defined]
    with_argument = ValueError("bad", object())

    back = passed_on(with_attribute)
    assert type(back) is Declined
    assert vars(back) == {"card": "4", "amount": 1}
    back = passed_on(with_argument)
    assert type(back) is ValueError
    assert str(back) == str(with_argument)


def test_a_type_that_isnt_loaded_becomes_a_remote_error():
    """It says what it was and what it said."""

    class Local(Exception):
        pass

    back = passed_on(Local("only here"))

    assert isinstance(back, RemoteError)
    assert back.type_name.endswith("Local")
    assert back.message == "only here"


class Demanding(Exception):
    """Can't be made with what it holds."""

    def __new__(cls, token: object) -> "Demanding":
        if not isinstance(token, list):
            raise TypeError("no token")
        return super().__new__(cls)

    def __init__(self, token: object) -> None:
        super().__init__("text instead")


def test_one_that_cant_be_made_again_becomes_a_remote_error():
    """A class that refuses what was written is no reason to lose the error."""
    back = passed_on(Demanding([1]))

    assert isinstance(back, RemoteError)
    assert back.message == "text instead"


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def test_an_exception_without_a_text_is_written_down():
    """A `__str__` that raises doesn't take the run with it."""
    failure = failures.write(raised(lambda: (_ for _ in ()).throw(Mute("a"))))

    assert "ValueError" in failure.message
    assert type(failures.read(failure)) is Mute


def test_a_group_comes_back_with_its_members():
    """`except*` works in a replay; each member has its own type."""
    group = ExceptionGroup("two", [Declined("1", amount=2), ExceptionGroup("inner", [KeyError("k"), Stolen("3")])])

    back = passed_on(group)

    assert isinstance(back, ExceptionGroup)
    assert back.message == "two"
    first, inner = back.exceptions
    assert isinstance(first, Declined)
    assert first.amount == 2
    assert isinstance(inner, ExceptionGroup)
    assert [type(error) for error in inner.exceptions] == [KeyError, Stolen]


def test_where_it_came_from_is_its_cause():
    """The traceback of the other process, its causes and notes included, is shown as text."""

    def fail() -> None:
        try:
            raise KeyError("deep down")
        except KeyError as error:
            raise noted() from error

    back = passed_on(raised(fail))

    assert isinstance(back.__cause__, failures.OriginalTraceback)
    for expected in ("in fail", "deep down", "look at the order", "test_failures.py"):
        assert expected in str(back.__cause__)


def test_long_texts_are_clipped():
    """An exception that prints a whole document doesn't fill the journal; that it was cut is said."""
    failure = failures.write(raised(lambda: exec("raise ValueError('x' * 100_000)")))

    assert len(failure.message) < MESSAGE_CHARS_MAX + 50
    assert failure.message.endswith("more)")
    assert len(failure.traceback) < TRACEBACK_CHARS_MAX + 50


@pytest.mark.parametrize("name", ["", ":", "builtins:", "builtins:print", "os:path", "no_such:Thing", "agnt5:ctx.x"])
def test_only_exception_types_are_found(name: str):
    """A name that stands for anything else, or nothing, stands for no type."""
    assert failures.find_type(name) is None


def test_reading_never_runs_anything_but_exceptions():
    """A journal that names something else as the type of an error doesn't get it called."""
    failure = failures.write(ValueError("a"))

    back = failures.read(type(failure)("builtins:exit", "bye", failure.data))

    assert isinstance(back, RemoteError)


@settings(max_examples=80)
@given(st.lists(st.text() | st.integers() | st.binary() | st.dates() | st.tuples(st.text()), max_size=3))
def test_arguments_come_back_with_their_types(args: list[Any]):
    """What an exception was made of is data like any other."""
    back = passed_on(LookupError(*args))

    assert back.args == tuple(args)
    assert [type(arg) for arg in back.args] == [type(arg) for arg in args]


def test_an_unserialisable_value_names_its_type():
    """The step that returned it is told what it was."""
    back = passed_on(raised(lambda: failures.serde.encode(object())))

    assert isinstance(back, UnserializableValue)
    assert back.facts == {"type_name": "object"}
