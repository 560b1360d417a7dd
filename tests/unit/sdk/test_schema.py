"""A callable's signature decides how it is called: arguments are bound, written and read by it."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Optional

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agnt5 import InvalidInput, WorkflowContext
from agnt5.sdk import serde
from agnt5.sdk.component import is_context
from agnt5.sdk.schema import Schema
from unit.sdk import text_annotations


@dataclass
class Order:
    id: int
    at: date | None = None


class Card(pydantic.BaseModel):
    number: str


def schema_of(fn: Any) -> Schema:
    return Schema(fn, is_context, {})


def carried(fn: Any, *args: Any, **kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """The arguments as they come out at the other side of a journal."""
    schema = schema_of(fn)
    return schema.read(schema.write(schema.bind(args, kwargs, "fn")), "fn")


def everything(a: int, /, b: str, *rest: Order, c: date, d: int = 4, **more: Order) -> Any:
    return a, b, rest, c, d, more


def test_every_kind_of_parameter_is_carried():
    """Positional-only, variadic, keyword-only: a call arrives as it was made."""
    today = date(2024, 1, 2)

    args, kwargs = carried(everything, 1, "b", Order(1), Order(2, today), c=today, x=Order(3), self=Order(4))

    assert everything(*args, **kwargs) == (
        (1, "b", (Order(1), Order(2, today)), today, 4, {"x": Order(3), "self": Order(4)})
    )


@settings(max_examples=60)
@given(st.lists(st.integers(), max_size=4), st.dictionaries(st.text(min_size=1), st.integers(), max_size=3))
def test_any_call_of_a_variadic_function_is_carried(args: list[int], kwargs: dict[str, int]):
    """What a function takes as `*args, **kwargs` comes out the same, whatever the names are."""

    def anything(*items: Any, **named: Any) -> Any:
        return items, named

    if {"items", "named"} & kwargs.keys():
        return
    back, named = carried(anything, *args, **kwargs)

    assert anything(*back, **named) == (tuple(args), kwargs)


def test_a_default_is_left_to_the_code():
    """An argument that wasn't given isn't journaled: the default of the code that runs applies."""
    assert serde.decode(schema_of(everything).write({"a": 1})) == {"a": 1}


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1,), {}), ((1, "b"), {}), ((1, "b"), {"b": 1, "c": 2})],
)
def test_a_call_that_doesnt_fit_is_refused(args: tuple[Any, ...], kwargs: dict[str, Any]):
    """The error names the callee and its signature."""
    with pytest.raises(InvalidInput, match="checkout") as caught:
        schema_of(everything).bind(args, kwargs, "checkout")

    assert "checkout(a: int" in caught.value.why
    assert caught.value.fix


async def by_name(ctx, order_id):  # type: ignore[no-untyped-def]  # Without annotations, on purpose.
    return order_id


async def by_annotation(context: WorkflowContext, order_id: str) -> str:
    return order_id


async def by_text(context: "WorkflowContext", order_id: str) -> str:
    return order_id


async def later(order_id: str, ctx: WorkflowContext) -> str:
    return order_id


@pytest.mark.parametrize(
    ("fn", "wants"), [(by_name, True), (by_annotation, True), (by_text, True), (later, False), (everything, False)]
)
def test_a_context_is_known_by_annotation_or_name(fn: Any, wants: bool):
    """The first parameter alone may be the context; callers never pass it."""
    schema = schema_of(fn)

    assert schema.wants_context is wants
    assert len(schema.parameters) == (1 if wants else len(schema.parameters))


class Method:
    async def __call__(self, order: Order) -> Order:
        return order

    async def plain(self, ctx: WorkflowContext, order: Order) -> Order:
        return order


@pytest.mark.parametrize(
    ("fn", "is_async"),
    [
        (by_name, True),
        (everything, False),
        (Method(), True),
        (Method().plain, True),
        (functools.partial(by_annotation, order_id="a"), True),
        (functools.partial(everything, 1), False),
        (len, False),
    ],
)
def test_it_is_known_whether_to_await(fn: Any, is_async: bool):
    """Functions, methods, partials and callable objects: async is what the call returns."""
    assert schema_of(fn).is_async is is_async


def test_a_bound_method_takes_context_and_arguments():
    """`self` is nobody's argument."""
    schema = schema_of(Method().plain)

    assert schema.wants_context
    assert list(schema.parameters) == ["order"]
    assert list(schema.types) == [Order]


def test_annotations_as_text_are_resolved():
    """`from __future__ import annotations` changes nothing, even where one name can't be resolved."""
    schema = schema_of(text_annotations.body)

    assert schema.wants_context
    assert {cls.__name__ for cls in schema.types} == {"HoldsAll", "HoldsA", "HoldsB", "HoldsC", "A", "B", "C"}
    assert {cls.__name__ for cls in schema.result_types} == {"C"}


def inside_out(
    a: list["Order"],
    b: Optional["Card"],
    c: dict[str, "list[Method]"],
    d: Annotated["Order", "with a note"],
) -> "list[Order]":
    raise NotImplementedError


def test_forward_references_within_annotations_are_resolved():
    """A name in quotes counts wherever it stands in an annotation."""
    schema = schema_of(inside_out)

    assert set(schema.types) == {Order, Card}
    assert set(schema.result_types) == {Order}


def test_local_names_are_resolved():
    """A function inside a function may name what stands around it."""

    @dataclass
    class Local:
        a: int

    def fn(a: "Local", b: "list[Local]") -> None:
        raise NotImplementedError

    assert list(Schema(fn, is_context, {"Local": Local}).types) == [Local]


# Documents from outside


async def one(order: Order) -> None: ...
async def two(order: Order, count: int = 1) -> None: ...
async def whole(document: dict[str, Any]) -> None: ...
async def untyped(document) -> None: ...  # type: ignore[no-untyped-def]
async def typed(at: datetime, amount: float, tags: set[str], card: Card, flag: bool = False) -> None: ...
async def nothing() -> None: ...


@pytest.mark.parametrize(
    ("fn", "document", "expected"),
    [
        (one, b'{"order":{"id":1,"at":"2024-01-02"}}', {"order": Order(1, date(2024, 1, 2))}),
        (one, b'{"order":{"id":1}}', {"order": Order(1)}),
        (two, b'{"order":{"id":1},"count":3}', {"order": Order(1), "count": 3}),
        (two, b'{"order":{"id":1}}', {"order": Order(1)}),
        (whole, b'{"a":{"$set":[1]}}', {"document": {"a": {"$set": [1]}}}),
        (untyped, b'"text"', {"document": "text"}),
        (untyped, b"[1]", {"document": [1]}),
        (nothing, b"null", {}),
        (nothing, b"{}", {}),
        (
            typed,
            b'{"at":"2024-01-02T03:04:05","amount":2,"tags":["a"],"card":{"number":"1"}}',
            {"at": datetime(2024, 1, 2, 3, 4, 5), "amount": 2.0, "tags": {"a"}, "card": Card(number="1")},
        ),
    ],
)
def test_a_document_from_outside_is_converted(fn: Any, document: bytes, expected: dict[str, Any]):
    """JSON that knows nothing of our types becomes what the annotations say."""
    args, kwargs = schema_of(fn).read(serde.wrap_plain(document), "fn")

    assert args == []
    assert kwargs == expected
    assert all(type(kwargs[name]) is type(value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("fn", "document"),
    [
        (one, b'{"order":{"id":"x"}}'),
        (one, b'{"order":{}}'),
        (one, b'{"other":1}'),
        (two, b"[1, 2]"),
        (nothing, b'{"a":1}'),
        (nothing, b"[1]"),
        (typed, b"null"),
        (one, b'{"order":{"id":1},"ctx":1}'),
    ],
)
def test_a_document_that_doesnt_fit_is_refused(fn: Any, document: bytes):
    """The one who sent it learns which argument doesn't fit, and why."""
    with pytest.raises(InvalidInput) as caught:
        schema_of(fn).read(serde.wrap_plain(document), "checkout")

    assert "checkout" in caught.value.what
    assert caught.value.why
    assert caught.value.fix


def test_mappings_take_a_whole_document():
    """A lone parameter for a mapping gets the object; it isn't spread."""

    def fn(payload: Mapping[str, Any]) -> None: ...

    _, kwargs = schema_of(fn).read(serde.wrap_plain(b'{"payload":1,"b":2}'), "fn")

    assert kwargs == {"payload": {"payload": 1, "b": 2}}


def test_a_text_stays_a_text_where_both_would_do():
    """A lenient conversion never turns a value into something it needn't be."""

    def fn(value: int | str, other: str | None) -> None: ...

    _, kwargs = schema_of(fn).read(serde.wrap_plain(b'{"value":"42","other":"null"}'), "fn")

    assert kwargs == {"value": "42", "other": "null"}
