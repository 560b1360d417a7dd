"""Instances of the user's classes come back as they were, wherever an annotation leads to their class."""

import enum
import sys
from dataclasses import InitVar, dataclass, field
from datetime import date
from functools import cached_property
from types import ModuleType
from typing import Any, Generic, NamedTuple, NewType, Optional, TypedDict, TypeVar

import msgspec
import pydantic
import pytest

from agnt5 import InvalidInput, UnserializableValue
from agnt5.sdk import serde
from agnt5.sdk.usertypes import user_types
from unit.sdk.sameness import is_same, passed_on

T = TypeVar("T")


class Colour(enum.Enum):
    RED = 1


@dataclass
class Key:
    id: int

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True)
class Frozen:
    at: date
    tags: frozenset[str] = frozenset()


@dataclass(slots=True)
class Slotted:
    a: int
    b: "Slotted | None" = None


@dataclass
class Order:
    key: Key
    frozen: Frozen
    lines: "list[Line]" = field(default_factory=list)
    colour: Colour = Colour.RED


@dataclass
class Line:
    sku: str
    counts: tuple[int, ...]


@dataclass
class Box(Generic[T]):
    value: T


@dataclass
class Collar:
    size: int


@dataclass
class Animal:
    name: str


@dataclass
class Dog(Animal):
    collar: Collar | None = None


class Point(NamedTuple):
    x: int
    key: Key


class Profile(TypedDict, total=False):
    key: Key
    when: date


class Card(pydantic.BaseModel):
    number: str
    expires: date | None = None
    nested: "Card | None" = None


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    a: int = 1


class Private(pydantic.BaseModel):
    a: int = 1
    _count: int = pydantic.PrivateAttr(default=0)


class Swapped(pydantic.BaseModel):
    a: int = pydantic.Field(alias="b")
    b: int = pydantic.Field(alias="a")


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Envelope(pydantic.BaseModel, Generic[T]):
    body: T


class Node(msgspec.Struct):
    name: str
    children: "list[Node]" = []


class Renamed(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    first_name: str
    maybe: int | msgspec.UnsetType = msgspec.UNSET


Name = NewType("Name", Key)

ORDER = Order(Key(1), Frozen(date(2024, 1, 2), frozenset({"a"})), [Line("x", (1, 2))])


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (ORDER, Order),
        ([ORDER], list[Order]),
        ({Key(1): ORDER}, dict[Key, Order]),
        ((ORDER, 1), tuple[Order, int]),
        ({Key(1)}, set[Key]),
        (ORDER, Order | None),
        (None, Order | None),
        (ORDER, Optional[Order]),  # noqa: UP045  As users still write it.
        (Slotted(1, Slotted(2)), Slotted),
        (Box(Key(1)), Box[Key]),
        (Box([Box(Key(1))]), Box[list[Box[Key]]]),
        (Dog("rex", Collar(3)), Animal),
        ([Animal("a"), Dog("b")], list[Animal]),
        (Point(1, Key(2)), Point),
        ({"key": Key(1), "when": date(2024, 1, 1)}, Profile),
        (Card(number="1", expires=date(2024, 1, 1), nested=Card(number="2")), Card),
        (Swapped(b=1, a=2), Swapped),
        (Numbers([1, 2]), Numbers),
        (Envelope[Card](body=Card(number="1")), Envelope[Card]),
        (Node("a", [Node("b")]), Node),
        (Renamed(first_name="a"), Renamed),
        (Colour.RED, Colour),
        ({Colour.RED: [Colour.RED]}, dict[Colour, list[Colour]]),
        (Key(1), Name),
    ],
    ids=lambda value: getattr(value, "__name__", None) or repr(value)[:40],
)
def test_an_annotated_instance_comes_back(value: Any, annotation: Any):
    """Dataclass, pydantic, msgspec, enum and named tuple, in any container an annotation may name."""
    assert is_same(passed_on(value, annotation), value)


@pytest.mark.parametrize(
    "value", [ORDER, Key(1), Point(1, Key(2)), Card(number="1"), Node("a"), [Key(1)], {"a": {1: Slotted(1)}}]
)
def test_an_instance_that_no_annotation_names_is_refused(value: Any):
    """Never a silent dict: the error names the class and where to annotate it."""
    with pytest.raises(UnserializableValue, match="no annotation names") as caught:
        serde.encode(value)

    assert "annotate" in caught.value.fix


def test_a_class_behind_many_annotations_is_found():
    """Every class that fields lead to is found, however short-lived the objects that name it are."""
    for _ in range(20):
        assert {cls.__name__ for cls in user_types(Order, list[Dog], dict[str, Card])} == {
            *("Order", "Key", "Frozen", "Line", "Colour", "Dog", "Collar", "Card")
        }


def test_every_field_of_a_text_annotation_is_followed(monkeypatch: pytest.MonkeyPatch):
    """What a text stands for is made when it is looked at, and may take the place in memory of what was there."""
    module = ModuleType("many")
    monkeypatch.setitem(sys.modules, "many", module)
    source = "".join(
        f"@dataclass\nclass Part{n}:\n    n: 'int'\n@dataclass\nclass Holder{n}:\n    items: 'list[Part{n}]'\n"
        for n in range(50)
    )
    exec(f"from dataclasses import dataclass\n{source}", vars(module))

    found = user_types(*(getattr(module, f"Holder{n}") for n in range(50)))

    assert {cls.__name__ for cls in found} == {f"{kind}{n}" for kind in ("Part", "Holder") for n in range(50)}


def test_what_was_never_set_still_wasnt():
    """A partial update by `exclude_unset` writes the same fields after a replay."""
    back = passed_on(Card(number="1"), Card)

    assert back.model_fields_set == {"number"}
    assert back.model_dump(exclude_unset=True) == {"number": "1"}


def test_private_attributes_come_back():
    """A pydantic model's private attributes are part of what it is equal by."""
    value = Private()
    value._count = 5

    back = passed_on(value, Private)

    assert back == value
    assert back._count == 5


def test_extra_fields_come_back_with_their_types():
    """What a model allows beyond its fields keeps its types too."""
    value = Open(a=2, seen=date(2024, 1, 1), **{"$set": (1,)})

    back = passed_on(value, Open)

    assert back == value
    assert back.model_extra == {"seen": date(2024, 1, 1), "$set": (1,)}


class Counted(msgspec.Struct):
    n: int

    def __post_init__(self) -> None:
        self.n += 1


class Loose(msgspec.Struct, dict=True):
    a: int


def test_post_init_runs_no_second_time():
    """What `__post_init__` did, it did when the value was made."""
    value = Counted(1)

    assert passed_on(value, Counted).n == value.n == 2


def test_a_dataclass_is_made_again_without_its_init():
    """Neither `__init__` nor `__post_init__` sees a value twice; attributes that are no fields stay."""

    @dataclass
    class Once:
        a: int
        seed: InitVar[int]
        log: list[int] = field(default_factory=list, init=False)

        def __post_init__(self, seed: int) -> None:
            self.log.append(seed)
            self.extra = "kept"

        @cached_property
        def double(self) -> int:
            return self.a * 2

    value = Once(1, 2)
    assert value.double == 2

    back = passed_on(value, Once)

    assert vars(back) == {"a": 1, "log": [2], "extra": "kept", "double": 2}


def test_attributes_beside_a_structs_fields_come_back():
    """A struct with a dict keeps what is in it."""
    value = Loose(1)
    value.more = {2}  # type: ignore[attr-defined]  # That is what it allows.

    assert vars(passed_on(value, Loose)) == {"more": {2}}


def test_namesakes_are_told_apart_by_module():
    """Two classes of one name under one annotation: each comes back as itself."""
    first = type("Twin", (Animal,), {"__module__": "one"})
    second = type("Twin", (Animal,), {"__module__": "two"})

    for cls in (second, first):
        assert type(passed_on(cls("a"), Animal)) is cls
    for cls in (second, first):
        assert type(passed_on(cls("a"), first | second)) is cls


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("dataclass", "default", {"a": 1, "b": 5}),
        ("pydantic", "default", {"a": 1, "b": 5}),
        ("msgspec", "default", {"a": 1, "b": 5}),
        ("dataclass", "required", None),
        ("pydantic", "required", None),
        ("msgspec", "required", None),
    ],
)
def test_a_new_field_takes_its_default(old: str, new: str, expected: dict[str, int] | None):
    """A journal from before a class grew can be read if the new field has a default; else the error names it."""
    before, after = (_class_of(old, default) for default in (None, new))
    text = serde.encode(_make(before, a=1), user_types(before))

    if expected is not None:
        back = serde.decode(text, user_types(after))
        assert {"a": back.a, "b": back.b} == expected
    else:
        with pytest.raises(InvalidInput, match="b"):
            serde.decode(text, user_types(after))


def _class_of(library: str, new_field: str | None) -> Any:
    """A class `Grown` of this library, with a field more where that is asked for."""
    annotations: dict[str, Any] = {"a": int} | ({"b": int} if new_field else {})
    body = {"__annotations__": annotations, "__module__": __name__} | ({"b": 5} if new_field == "default" else {})
    if library == "dataclass":
        return dataclass(type("Grown", (), body))
    return type(msgspec.Struct if library == "msgspec" else pydantic.BaseModel)(
        "Grown", (msgspec.Struct if library == "msgspec" else pydantic.BaseModel,), body
    )


def _make(cls: Any, **values: Any) -> Any:
    return cls(**values)


def test_a_class_that_is_no_longer_annotated_is_a_clear_error():
    """The journal names a class that the code doesn't: the error says which, and to name it again."""
    text = serde.encode(Key(1), user_types(Key))

    with pytest.raises(InvalidInput, match="'Key'") as caught:
        serde.decode(text)

    assert "annotation" in caught.value.fix
