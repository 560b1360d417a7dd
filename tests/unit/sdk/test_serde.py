"""Values come back from the journal equal and of the same type, or are refused; nothing between."""

import enum
import sys
from collections import Counter, OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agnt5 import InvalidInput, PayloadTooLarge, UnserializableValue
from agnt5.core.model.payload import PAYLOAD_BYTES_MAX
from agnt5.sdk import serde
from unit.sdk.sameness import is_same, passed_on

QUICK = settings(max_examples=150)

ZONES = st.sampled_from(
    [
        None,
        UTC,
        timezone(timedelta(hours=5, minutes=45)),
        timezone(-timedelta(hours=11, seconds=7, microseconds=3)),
        ZoneInfo("Europe/Berlin"),
        ZoneInfo("America/St_Johns"),
    ]
)
FIXED_ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=45, seconds=1))])


class Colour(enum.Enum):
    RED = "red"
    BLUE = ("b", 1)


class Size(enum.IntEnum):
    SMALL = 1


class Mode(enum.StrEnum):
    FAST = "fast"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


ENUMS = st.sampled_from([*Colour, *Size, *Mode, *Rights, Rights.READ | Rights.WRITE, Rights(0)])
# Texts that look like what the journal is written in.
TRICKY = st.sampled_from(["$set", "$tuple", "$plain", "$object", "$enum", "$map", "$", "$$set", '"$', "\ud800", ""])
TEXTS = st.text() | st.text(st.characters(categories=["Cs", "L", "Cc"])) | TRICKY
HASHABLE_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**62, max_value=2**80)
    | st.floats(allow_nan=False)
    | TEXTS
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=ZONES) | st.datetimes()
    | st.times(timezones=FIXED_ZONES) | st.builds(lambda at: at.replace(fold=1), st.times())
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.builds(Path, st.text("ab/.", min_size=1))
    | ENUMS
)
LEAVES = (
    HASHABLE_LEAVES
    | st.floats()
    | st.complex_numbers()
    | st.builds(bytearray, st.binary())
    | st.sampled_from([Decimal("NaN"), Decimal("sNaN"), Decimal("-NaN12"), Decimal("-0.00"), Decimal("Infinity")])
)
HASHABLES = st.recursive(
    HASHABLE_LEAVES, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(TEXTS, inner, max_size=4)
        | st.dictionaries(HASHABLES, inner, max_size=3)
        | st.sets(HASHABLES, max_size=3)
        | st.frozensets(HASHABLES, max_size=3)
    ),
    max_leaves=12,
)


@QUICK
@given(VALUES)
def test_a_value_comes_back_as_it_was(value: Any):
    """Whatever plain data is built of, nested and without annotations, comes back equal and of the same type."""
    assert is_same(passed_on(value), value)


@QUICK
@given(VALUES)
def test_what_is_read_is_written_the_same(value: Any):
    """A value passed on twice is written as it was the first time: arguments are compared by their text."""
    text = serde.encode(value)

    assert serde.encode(serde.decode(text)) == text


@QUICK
@given(st.dictionaries(HASHABLES, st.integers(), max_size=5), st.randoms())
def test_the_order_of_members_doesnt_tell_inputs_apart(value: dict[Any, int], random: Any):
    """Under an idempotency key equal inputs are the same input, in whatever order a dict was filled."""
    items = list(value.items())
    random.shuffle(items)

    assert serde.canonical(serde.encode({"d": dict(items)})) == serde.canonical(serde.encode({"d": value}))


@given(st.sets(HASHABLES, max_size=6))
@QUICK
def test_a_set_is_written_in_one_order(value: set[Any]):
    """The order of a set differs between processes; what is written doesn't."""
    other = set(range(1_000))
    other.difference_update(range(1_000))
    for item in reversed(list(value)):
        other.add(item)

    assert serde.encode(other) == serde.encode(value)


@pytest.mark.parametrize(
    "value",
    [
        {"$set": [1]},
        {"$plain": {"a": 1}},
        {"$object": ["Order", {"id": 7}]},
        {"$enum": ["builtins:int", "real"]},
        {"$map": [[1, 2]]},
        {"$unknown": 1},
        {"$": None},
        {"$set": [1], "$tuple": [2]},
        [{"$datetime": "2024-01-01"}],
        {"ok": {"$bytes": "AAAA"}},
        "$set",
        {"a": '{"$set": [1]}'},
        {"$text": "/w=="},
    ],
)
def test_data_that_looks_like_our_tags_stays_data(value: Any):
    """Nobody can smuggle a type into a journal by the names of a dict's members."""
    assert is_same(passed_on(value), value)
    assert is_same(passed_on({"arg": [value]}), {"arg": [value]})


def test_fold_survives():
    """In the hour that a clock passes twice, a time says in which pass it is."""
    berlin = ZoneInfo("Europe/Berlin")
    for value in (
        datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=berlin),
        datetime(2024, 10, 27, 2, 30, fold=1),
        time(2, 30, fold=1),
    ):
        assert passed_on(value).fold == 1
    assert passed_on(datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=berlin)).utcoffset() == timedelta(hours=1)


def test_a_named_zone_stays_named():
    """A datetime in a zone can be moved over a change of clocks after it came back."""
    noon = datetime(2024, 10, 26, 12, tzinfo=ZoneInfo("Europe/Berlin"))

    back = passed_on(noon)

    assert (back + timedelta(days=1)).utcoffset() == timedelta(hours=1)


class Vague(tzinfo):
    """A zone of somebody else's."""

    def utcoffset(self, at: datetime | None) -> timedelta:
        return timedelta(hours=1)


class Text(str):
    """A str with a type of its own."""


class Number(int):
    """An int with a type of its own."""


class Amount(Decimal):
    """A Decimal with a type of its own."""


class Moment(datetime):
    """A datetime with a type of its own."""


@dataclass
class Bag(dict):  # type: ignore[type-arg]
    """Keeps what it holds in no field."""

    label: str = ""


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    "value",
    [
        object(),
        len,
        lambda: None,
        int,
        range(3),
        iter([]),
        memoryview(b"a"),
        OrderedDict(a=1),
        defaultdict(int),
        Counter("a"),
        Pair(1, 2),
        Text("a"),
        Number(1),
        Amount(1),
        Moment(2024, 1, 1),
        {Text("key"): 1},
        {1: [Text("a")]},
        PurePosixPath("a"),
        datetime(2024, 1, 1, tzinfo=Vague()),
        time(1, tzinfo=ZoneInfo("Europe/Berlin")),
        ValueError("a"),
        Bag("b"),
        NotImplemented,
        ...,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_change_its_type_is_refused(value: Any):
    """A subclass, or anything else that would come back as something else, is an error where it is written."""
    for nested in (value, [value], {"a": (1, value)}):
        with pytest.raises(UnserializableValue) as caught:
            serde.encode(nested)
        assert isinstance(caught.value, TypeError)
        assert caught.value.why
        assert caught.value.fix


def test_a_bag_is_refused_even_where_an_annotation_names_it():
    """A dataclass that is a dict as well would lose what it holds as a dict."""
    bag = Bag("b")
    bag["k"] = 1

    with pytest.raises(UnserializableValue):
        passed_on(bag, Bag)


def test_an_enum_without_annotation_is_found_among_loaded_modules():
    """Where nothing is annotated an enum still comes back, by the name of its module."""
    assert passed_on([Colour.BLUE, {Mode.FAST: Size.SMALL}]) == [Colour.BLUE, {Mode.FAST: Size.SMALL}]


def test_an_enum_that_cant_be_found_is_refused_where_it_is_written():
    """An enum inside a function has no name to find it by: the step that returned it is told at once."""

    class Local(enum.Enum):
        A = 1

    with pytest.raises(UnserializableValue, match="Local"):
        serde.encode(Local.A)
    assert passed_on(Local.A, Local) is Local.A


def test_an_alias_of_an_enum_member_is_its_member():
    """An alias has no existence of its own."""

    class Level(enum.Enum):
        LOW = 1
        MINOR = 1  # noqa: PIE796  That is what an alias is.

    assert passed_on(Level.MINOR, Level) is Level.LOW


def nested(levels: int, wrap: Any) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = wrap(value)
    return value


WRAPS = {
    "list": lambda value: [value],
    "dict": lambda value: {"a": value},
    "tuple": lambda value: (value,),
    "map": lambda value: {1: value},
    "mixed": lambda value: [{"a": (value,)}],
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS.keys())
@pytest.mark.parametrize("levels", [serde.DEPTH_MAX + 2, 400, 900, 5_000, 50_000])
def test_what_is_nested_too_deeply_is_refused(wrap: Any, levels: int):
    """Too deep is a clear error, at the same depth wherever it is called from; never a RecursionError."""
    with pytest.raises(UnserializableValue, match=f"{serde.DEPTH_MAX} levels"):
        serde.encode(nested(levels, wrap))


@pytest.mark.parametrize("name", ["list", "dict", "tuple", "map"])
def test_what_is_nested_as_deeply_as_allowed_comes_back(name: str):
    """The bound is a promise in both directions, for every sort of container."""
    value = nested(serde.DEPTH_MAX, WRAPS[name])

    assert passed_on(value) == value


def test_the_depth_is_the_same_on_a_deep_stack():
    """What one caller could write, another can read, though it stands deep in its own calls."""
    text = serde.encode(nested(serde.DEPTH_MAX, WRAPS["list"]))

    def dig(levels: int) -> Any:
        return dig(levels - 1) if levels else serde.decode(text)

    assert dig(sys.getrecursionlimit() // 3) == nested(serde.DEPTH_MAX, WRAPS["list"])


def test_what_contains_itself_is_refused():
    """A journal holds trees: a cycle is an error that says so."""
    in_list: list[Any] = []
    in_list.append(in_list)
    in_dict: dict[str, Any] = {}
    in_dict["a"] = [in_dict]
    behind_a_date: list[Any] = [date(2024, 1, 1)]
    behind_a_date.append((behind_a_date,))

    for value in (in_list, in_dict, behind_a_date):
        with pytest.raises(UnserializableValue, match="contains itself"):
            serde.encode(value)


def test_sender_and_receiver_share_nothing():
    """What the receiver does to a value never shows at the sender."""
    inner = [1]
    value = {"a": inner, "b": inner, "c": {"d": bytearray(b"x")}}

    back = passed_on(value)
    back["a"].append(2)
    back["c"]["d"].extend(b"y")

    assert value == {"a": [1], "b": [1], "c": {"d": bytearray(b"x")}}
    assert back["b"] == [1], "nor do two places of one value"


def test_a_payload_over_the_limit_is_refused():
    """The error says how large it is, how large it may be, and where to put it instead."""
    with pytest.raises(PayloadTooLarge) as caught:
        serde.encode("x" * PAYLOAD_BYTES_MAX)

    assert caught.value.facts == {"payload_bytes": PAYLOAD_BYTES_MAX + 2, "payload_bytes_max": PAYLOAD_BYTES_MAX}
    assert "elsewhere" in caught.value.fix


def test_a_payload_at_the_limit_is_taken():
    """The limit itself is allowed."""
    value = "x" * (PAYLOAD_BYTES_MAX - 2)

    assert passed_on(value) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"$object":[]}',
        b'{"$object":["Order"]}',
        b'{"$enum":["builtins:int","real"]}',
        b'{"$enum":["os:environ","x"]}',
        b'{"$enum":[]}',
        b'{"$set":[[1]]}',
        b'{"$decimal":"x"}',
        b'{"$timedelta":[1e400]}',
        b'{"$timedelta":[999999999999]}',
        b'{"$datetime":"x"}',
        b'{"$datetime":["2024-01-01T00:00:00","No/Where",0]}',
        b'{"$uuid":"1"}',
        b'{"$bytes":1}',
        b'{"$unknown":1}',
        b'{"$map":[1]}',
    ],
)
def test_text_that_isnt_ours_is_a_clear_error(text: bytes):
    """Damaged or foreign text never becomes a value, and never an error of Python's own."""
    with pytest.raises(InvalidInput) as caught:
        serde.decode(text)

    assert caught.value.fix


def test_reading_imports_and_calls_nothing():
    """What a journal says never makes us load a module."""
    before = set(sys.modules)

    with pytest.raises(InvalidInput):
        serde.decode(b'{"$enum":["this:s","A"]}')

    assert "this" not in set(sys.modules) - before


def test_plain_data_stays_readable():
    """What JSON can say is written as JSON says it; people read journals."""
    assert serde.encode({"id": 7, "tags": ["a", None, True, 1.5]}) == b'{"id":7,"tags":["a",null,true,1.5]}'
    assert serde.encode({date(2024, 1, 2)}) == b'{"$set":[{"$date":"2024-01-02"}]}'
    assert serde.encode(UUID(int=1)) == b'{"$uuid":"00000000-0000-0000-0000-000000000001"}'
