"""Commands that change a run or tell it something, each committed before it says so."""

import asyncio
from random import SystemRandom
from time import time_ns
from typing import Any

import click
from msgspec import Raw

from agnt5.cli.desk import Desk
from agnt5.cli.journal import find_run, reading
from agnt5.cli.options import json_option, payload_option, run_argument, store_option
from agnt5.cli.parsing import parsed
from agnt5.cli.printable import json_text, one_line
from agnt5.core.engine.commands import Cancel, ForkRun, Resume, RetryRun, SendEvent, SendSignal
from agnt5.core.model.errors import InvalidInput
from agnt5.core.model.ids import ENTROPY_BITS, RunId, new_run_id
from agnt5.core.model.run import Run, Status
from agnt5.sdk import serde


@click.command()
@run_argument
@store_option
@json_option
def cancel(run_id: str, store: str | None, as_json: bool) -> None:
    """Ask a run, and its children, to stop.

    What it awaits is interrupted, once; what its code does about that runs in the next process
    that has the code. A run that never started, or is blocked, ends at once.
    """
    run = found(store, run_id)
    with Desk(store, f"await agnt5.get_run({run.id!r}).cancel()") as desk:
        changed = desk.ask(Cancel(0, run.id)).changed
        status = desk.status(run.id)
    if status is Status.CANCELLED and changed:
        sentence = f"run {run.id} is cancelled"
    elif status.is_terminal:
        sentence = f"run {run.id} is {status.value}: nothing was changed"
    elif changed:
        sentence = f"run {run.id} is to be cancelled; {_next_process(run)}"
    else:
        sentence = f"run {run.id} was to be cancelled before; {_next_process(run)}"
    tell(as_json, sentence, {"run": run.id, "status": status.value, "changed": changed})


@click.command()
@run_argument
@store_option
@json_option
def resume(run_id: str, store: str | None, as_json: bool) -> None:
    """Let a blocked run go on, now that its cause is mended.

    A step that may not run twice and was cut short is run again.
    """
    run = found(store, run_id)
    with Desk(store, f"await agnt5.get_run({run.id!r}).resume()") as desk:
        desk.ask(Resume(0, run.id))
        status = desk.status(run.id)
    tell(as_json, f"run {run.id} goes on; {_next_process(run)}", {"run": run.id, "status": status.value})


@click.command()
@run_argument
@click.option("--take-key", is_flag=True, help="Its idempotency key stands for the new run from now on.")
@store_option
@json_option
def retry(run_id: str, take_key: bool, store: str | None, as_json: bool) -> None:
    """Make a new run of a failed or cancelled one, which keeps what succeeded."""
    run = found(store, run_id)
    new_id = _new_id()
    with Desk(store, f"await agnt5.get_run({run.id!r}).retry({'take_key=True' if take_key else ''})") as desk:
        desk.ask(RetryRun(0, run.id, new_id, take_key))
        status = desk.status(new_id)
    _tell_successor(as_json, run, new_id, status, "retry")


@click.command()
@run_argument
@click.option("--at", "at", metavar="INDEX", type=int, required=True, help="The first entry that is left out.")
@store_option
@json_option
def fork(run_id: str, at: int, store: str | None, as_json: bool) -> None:
    """Make a new run with the first entries of another's journal, which then goes its own way.

    `agnt5 runs show` numbers the entries.
    """
    run = found(store, run_id)
    new_id = _new_id()
    with Desk(store, f"await agnt5.get_run({run.id!r}).fork(at={at})") as desk:
        desk.ask(ForkRun(0, run.id, new_id, at))
        status = desk.status(new_id)
    _tell_successor(as_json, run, new_id, status, "fork")


@click.group()
def events() -> None:
    """Resolve what runs wait for."""


@events.command("send")
@click.argument("event_id", metavar="EVENT_ID")
@payload_option
@store_option
@json_option
def send(event_id: str, payload: str | None, store: str | None, as_json: bool) -> None:
    """Resolve an event, for all who wait for it now or later.

    The first payload wins: the same one again changes nothing, another one is refused.

    \b
      agnt5 events send approval:order-42 --payload '{"by": "Ada"}'
    """
    if not event_id:
        raise InvalidInput("an event id is empty", why="it names what happened", fix="agnt5 events send paid:order-42")
    raw = _payload(payload)
    with Desk(store, f"await agnt5.send_event({event_id!r}, ...)") as desk:
        changed = desk.ask(SendEvent(0, event_id, raw)).changed
    sentence = f"event {event_id} is resolved" + ("" if changed else " already, with the same payload")
    tell(as_json, sentence, {"event": event_id, "changed": changed})


@click.command()
@run_argument
@click.argument("name", metavar="NAME")
@payload_option
@store_option
@json_option
def signal(run_id: str, name: str, payload: str | None, store: str | None, as_json: bool) -> None:
    """Give a run a signal, which is kept until the run asks for it.

    \b
      agnt5 signal 066eb02c1a2b approve --payload '{"by": "Ada"}'
    """
    raw = _payload(payload)
    run = found(store, run_id)
    with Desk(store, f"await agnt5.get_run({run.id!r}).signal({name!r}, ...)") as desk:
        desk.ask(SendSignal(0, run.id, name, raw))
        status = desk.status(run.id)
    sentence = f"run {run.id} has signal {name}; {_next_process(run)}"
    tell(as_json, sentence, {"run": run.id, "signal": name, "status": status.value})


# What they share


def found(store: str | None, prefix: str) -> Run:
    """The run whose id begins so."""

    async def find() -> Run:
        async with reading(store) as reader:
            with reader.snapshot():
                return await find_run(reader, prefix)

    return asyncio.run(find())


def tell(as_json: bool, sentence: str, document: dict[str, Any]) -> None:
    """Say what was done."""
    click.echo(json_text(document, indent=2) if as_json else one_line(sentence))


def _tell_successor(as_json: bool, run: Run, new_id: RunId, status: Status, how: str) -> None:
    document = {"run": new_id, "status": status.value, "origin": {"how": how, "run": run.id}}
    tell(as_json, f"run {new_id} is a {how} of run {run.id}; {_next_process(run)}", document)


def _next_process(run: Run) -> str:
    return f"it goes on in the next process that has {run.component!r}"


def _payload(text: str | None) -> Raw:
    value = None if text is None else parsed(text, "--payload", '{"amount": 5}')
    return Raw(serde.encode(value))


def _new_id() -> RunId:
    return new_run_id(time_ns() // 1000, SystemRandom().getrandbits(ENTROPY_BITS))
