"""Every entry comes back from its text as it was, and text that is damaged is never taken for an entry."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, structs

from agnt5 import StoreCorrupt
from agnt5.core.journal.codec import checksum, decode_body, encode_body
from agnt5.core.journal.entry import (
    AttemptBegan,
    AttemptEnded,
    Begun,
    Body,
    CancelRequested,
    Ended,
    Fired,
    Kind,
    Options,
    Outcome,
    Patched,
    Resumed,
    Retrying,
    Signal,
    Started,
)
from agnt5.core.model.ids import OperationKey
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.retry import RetrySpec
from agnt5.core.model.run import Failure, Status

KEY = OperationKey("k-1")
RAW = Raw(b'{"a":[1,"\\u0000",null]}')
FAILURE = Failure("builtins:ValueError", 'quote " and \n', Raw(b'{"args":[1]}'), "Traceback …")
BODIES: list[Body] = [
    Started("c", RAW),
    Started("c", RAW, 2, 3, "seed", {"k": RAW}, Options(RetrySpec(5, retry_on=("a:B",)), 1.5)),
    Begun(0, KEY, Kind.CALL, "n", "t", RAW, "file.py:3", 9, "scope"),
    Begun(-1, KEY, Kind.SLEEP, "sleep", due=5),
    Retrying(1, KEY, "n", 2, 3, 4, 5, FAILURE, RAW, RAW, "s", "scope"),
    Outcome(2, KEY, Kind.STEP, "n", "t", RAW, RAW, None, False, 3, 4, 5, "s", "scope"),
    Outcome(2, KEY, Kind.STATE, "n"),
    Outcome(2, KEY, Kind.RESULT, "n", error=FAILURE),
    Outcome(2, KEY, Kind.EVENT, "n", cancelled=True),
    Outcome(2, KEY, Kind.SEND, "n", result=Raw(b"null")),
    Outcome(2, KEY, Kind.SUBMIT, "\u2028 \U0001f600", result=RAW),
    Signal("go", RAW),
    Fired(3, 4, "sleep", "s"),
    CancelRequested(),
    Patched("change"),
    AttemptEnded(1, FAILURE, 5, True, {"go": 2}),
    AttemptBegan(2, 3),
    Resumed(),
    Ended(Status.COMPLETED, RAW),
    Ended(Status.FAILED, error=FAILURE, compensated=True, consumed={"a": 1}),
    Ended(Status.CANCELLED),
]


def plain(value: Any) -> Any:
    """The value with its raw parts as bytes, so that it can be compared."""
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(type(value), "__struct_fields__"):
        return type(value), {key: plain(item) for key, item in structs.asdict(value).items()}
    return value


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_an_entry_comes_back_as_it_was(body: Body):
    """Each kind, with all its fields and with none."""
    assert plain(decode_body(encode_body(body))) == plain(body)


def test_every_kind_of_entry_is_tried():
    """A new one that isn't shows here."""
    assert {type(body) for body in BODIES} == set(get_args(Body))
    assert {body.kind for body in BODIES if isinstance(body, Begun | Outcome)} == set(Kind)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_an_entry_is_json_that_people_can_read(body: Body):
    """It says what it is in its member `type`."""
    assert json.loads(encode_body(body))["type"]


def test_no_payload_is_told_from_the_payload_null():
    """A state that was deleted isn't one that was set to None."""
    deleted = decode_body(encode_body(Outcome(0, KEY, Kind.STATE, "n")))
    null = decode_body(encode_body(Outcome(0, KEY, Kind.STATE, "n", result=Raw(b"null"))))

    assert deleted.result is NOTHING  # type: ignore[union-attr]
    assert bytes(null.result) == b"null"  # type: ignore[union-attr]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_a_truncated_entry_is_corrupt(body: Body):
    """Cut anywhere, it is never taken for another entry."""
    text = encode_body(body)

    for length in range(len(text)):
        with pytest.raises(StoreCorrupt):
            decode_body(text[:length])


@pytest.mark.parametrize(
    "text", [b"null", b"[]", b"{}", b'{"type":"unknown"}', b'{"type":"signal"}', b'{"type":"fired","n":"x","due":1}']
)
def test_what_is_no_entry_is_corrupt(text: bytes):
    """The error says what to do."""
    with pytest.raises(StoreCorrupt) as caught:
        decode_body(text)

    assert "backup" in caught.value.fix


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_changed_bit_changes_the_checksum(text: bytes, data: st.DataObject):
    """What was written and what is read differ in it, wherever the damage is."""
    position = data.draw(st.integers(0, len(text) * 8 - 1))
    damaged = bytearray(text)
    damaged[position // 8] ^= 1 << position % 8

    assert checksum(bytes(damaged)) != checksum(text)


def test_fields_from_later_versions_are_passed_over():
    """A journal that a newer patch release wrote can still be read."""
    assert decode_body(b'{"type":"patched","change_id":"a","added_later":1}') == Patched("a")
