"""Runs as JSON documents: complete, with times in ISO 8601 and payloads as the journal has them."""

from typing import Any, Final

import msgspec
from msgspec import Raw

from agnt5.cli.journal import Listed, Record
from agnt5.cli.times import iso
from agnt5.core.journal.codec import encode_body
from agnt5.core.journal.entry import Ended, Entry, Started
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.run import Failure, Run

_TIMES: Final = frozenset({"began", "ended", "due", "retry_at"})  # Members of entries, in microseconds.


def document_of_run(run: Run) -> dict[str, Any]:
    """What is known of a run without its journal."""
    waiting = run.waiting
    link, origin = run.link, run.origin
    return {
        "id": run.id,
        "component": run.component,
        "status": run.status.value,
        "attempt": run.attempt,
        "generation": run.generation,
        "claims": run.epoch,
        "created": iso(run.created_at),
        "started": iso(run.started_at),
        "ended": iso(run.ended_at),
        "wakes": iso(run.wake_at),
        "tags": list(run.tags),
        "idempotency_key": run.idempotency_key or None,
        "parent": link.run if link is not None else None,
        "origin": {"how": origin.how, "run": origin.run} if origin is not None else None,
        "cancel_requested": run.is_cancel_requested,
        "waiting": {
            "since": iso(waiting.since),
            "timers": [{"due": iso(timer.due), "for": timer.label, "site": timer.site} for timer in waiting.timers],
            "on": [{"kind": wait.kind, "name": wait.name, "site": wait.site} for wait in waiting.on],
            "retry": waiting.retry,
            "blocked": _failure(waiting.blocked),
        },
    }


def document_of_listed(listed: Listed) -> dict[str, Any]:
    """A run as `runs list` has it."""
    return document_of_run(listed.run) | {"error": _failure(listed.ended.error) if listed.ended is not None else None}


def document_of_record(record: Record) -> dict[str, Any]:
    """A run with its journal."""
    first, last = record.entries[0].body, record.entries[-1].body
    ended = last if isinstance(last, Ended) else None
    return document_of_run(record.run) | {
        "input": _value(first.input) if isinstance(first, Started) else None,
        "result": _value(ended.result) if ended is not None else None,
        "error": _failure(ended.error) if ended is not None else None,
        "children": [
            {"id": child.id, "component": child.component, "status": child.status.value}
            for child in record.children.values()
        ],
        "journal": [_entry(entry) for entry in record.entries],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(encode_body(entry.body))
    for name in _TIMES & body.keys():
        body[name] = iso(body[name])
    return {"index": entry.index, "at": iso(entry.at)} | body


def _value(payload: Raw) -> Any:
    return msgspec.json.decode(payload) if bytes(payload) else None


def _failure(failure: Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {
        "type": failure.type,
        "message": failure.message,
        "traceback": failure.traceback,
        "data": _value(failure.data) if failure.data is not NOTHING else None,
    }
