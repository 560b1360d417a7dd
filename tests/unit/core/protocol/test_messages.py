"""Messages are plain data: each survives a wire, and none can be changed on the way."""

from typing import Any, get_args

import msgspec
import pytest
from msgspec import Raw

from agnt5.core.journal.entry import Entry, Options, Patched, Signal
from agnt5.core.model.ids import OperationKey, RunId, WorkerId
from agnt5.core.model.retry import RetrySpec
from agnt5.core.model.run import Timer
from agnt5.core.protocol.messages import (
    Abandon,
    Ask,
    Block,
    ComponentInfo,
    Deliver,
    Dispatch,
    Fire,
    FromWorker,
    Goodbye,
    Heartbeat,
    Hello,
    LookAgain,
    Refuse,
    Register,
    Release,
    Report,
    Reset,
    ToWorker,
)
from unit.core.engine import asks

RUN, WORKER, KEY = RunId("a" * 32), WorkerId("w1"), OperationKey("k")
OPTIONS = Options(RetrySpec(2), 1.0)
EVERY_ASK: list[Ask] = [
    asks.step(0),
    asks.begun(0),
    asks.retrying(0, 5),
    Patched("p"),
    asks.call(0, RUN, options=OPTIONS, tags=("t",), idempotency_key="k", input_digest="d"),
    asks.submit(0, RUN, start_at=7),
    asks.await_run(0, RUN),
    asks.await_event(0, "e"),
    asks.send(0, "signal", RUN, "go"),
    asks.park((5, 0), on=(("signal", "go"),), is_open=True),
    asks.completed(consumed={"go": 1}, abandoned=(RUN,)),
    asks.failed(compensated=True),
    asks.again(5),
    asks.continue_as(state={"n": Raw(b"1")}),
    Fire(Timer(1, 2, "sleep")),
    Abandon(RUN),
    Heartbeat(KEY, 1, Raw(b"null")),
    Release(),
    Block(asks.BROKEN),
]
INFO = ComponentInfo("c", "workflow", "v1")
FROM: list[FromWorker] = [
    Hello(WORKER, (INFO,), 5),
    Register(WORKER, ()),
    Goodbye(WORKER),
    *(Report(WORKER, RUN, 3, 4, [ask], is_ahead=True) for ask in EVERY_ASK),
]
TO: list[ToWorker] = [
    Dispatch(RUN, 3, "c", [Entry(0, 1, Signal("go", Raw(b"1")))], {KEY: (1, Raw(b"2"))}),
    Deliver(RUN, 3, []),
    Refuse(RUN, 3),
    Reset(),
    LookAgain(),
]


def name_of(message: Any) -> str:
    inner = getattr(message, "asks", None)
    return f"{type(message).__name__}-{type(inner[0]).__name__}" if inner else type(message).__name__


@pytest.mark.parametrize("message", FROM, ids=name_of)
def test_what_a_worker_says_survives_a_wire(message: FromWorker):
    """Told apart by its tag alone, with everything it held."""
    text = msgspec.json.encode(message)

    back = msgspec.json.decode(text, type=FromWorker)  # type: ignore[arg-type]  # A union of structs.

    assert type(back) is type(message)
    assert msgspec.json.encode(back) == text


@pytest.mark.parametrize("message", TO, ids=name_of)
def test_what_a_worker_is_told_survives_a_wire(message: ToWorker):
    """Journals included."""
    text = msgspec.json.encode(message)

    back = msgspec.json.decode(text, type=ToWorker)  # type: ignore[arg-type]  # A union of structs.

    assert type(back) is type(message)
    assert msgspec.json.encode(back) == text


@pytest.mark.parametrize("message", [*FROM, *TO, *EVERY_ASK], ids=name_of)
def test_a_message_is_frozen(message: Any):
    """What travels is never changed by the one who gets it."""
    for field in type(message).__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(message, field, None)


def test_every_ask_is_tried():
    """A new one that isn't shows here."""
    assert {type(ask) for ask in EVERY_ASK} == set(get_args(Ask))
    assert {type(message) for message in FROM} == set(get_args(FromWorker))
    assert {type(message) for message in TO} == set(get_args(ToWorker))
