"""Why a run is where it is, in one sentence."""

from datetime import UTC, datetime
from typing import Any

from agnt5.core.model.retry import MICROSECONDS
from agnt5.core.model.run import Run, Status, Timer


def explain(run: Run, now_us: int, has_worker: bool) -> tuple[str, dict[str, Any]]:
    """A sentence about a run, and the facts in it.

    Args:
        run: The run.
        now_us: The time, in microseconds since the epoch.
        has_worker: Whether some worker offers its component.
    """
    facts: dict[str, Any] = {"status": run.status.value, "component": run.component, "attempt": run.attempt}
    blocked = run.waiting.blocked
    if run.status.is_terminal:
        return f"{run.status.value} {_ago(now_us - run.ended_at)}", facts
    if run.status is Status.BLOCKED and blocked is not None:
        facts["reason"] = blocked.type.rpartition(":")[2]
        return f"blocked: {(blocked.message.splitlines() or [facts['reason']])[0]}", facts
    if run.waiting.retry:
        facts["retry_at"] = run.wake_at
        return f"attempt {run.attempt} failed; the next one starts {_in(run.wake_at - now_us)}", facts
    if run.status is Status.QUEUED and run.wake_at > now_us:
        return f"submitted for later: starts {_in(run.wake_at - now_us)}", facts
    if not has_worker:
        facts["missing"] = run.component
        return f"no worker registers component {run.component!r}: import the module that defines it", facts
    if run.status is Status.QUEUED:
        return f"queued for a worker that has room since {_clock(run.stamp)}", facts
    if run.status is Status.SUSPENDED:
        return _waiting(run, now_us, facts), facts
    return f"running its attempt {run.attempt} since {_clock(run.started_at)}", facts


def _waiting(run: Run, now_us: int, facts: dict[str, Any]) -> str:
    waits = [f"{wait.kind} {wait.name}{_at(wait.site)}" for wait in run.waiting.on]
    waits += [_timer(timer, now_us) for timer in run.waiting.timers[:1]]
    facts["waiting_for"] = waits
    since = f" since {_clock(run.waiting.since)}" if run.waiting.since else ""
    if not waits:
        return f"waiting{since} for nothing that could come: a future or an event that nobody sets"
    return f"waiting{since} for {' or '.join(waits)}"


def _timer(timer: Timer, now_us: int) -> str:
    what = "the next attempt of a step" if timer.label == "retry" else f"the end of a {timer.label or 'timer'}"
    return f"{what} {_in(timer.due - now_us)}{_at(timer.site)}"


def _at(site: str) -> str:
    return f" ({site.rpartition('/')[2]})" if site else ""


def _in(us: int) -> str:
    return f"in {us / MICROSECONDS:.1f} s" if us > 0 else "now"


def _ago(us: int) -> str:
    return f"{max(us, 0) / MICROSECONDS:.1f} s ago"


def _clock(us: int) -> str:
    return datetime.fromtimestamp(us / MICROSECONDS, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
