"""Why a run is where it is, in one sentence.

The sentence begins with what would move the run, or with what keeps it: an event, a timer, the next
attempt of a step, a run that it waits for, a human. Where runs wait for each other, the one at the
end of the row is named with its own reason, for that is where to look. What stands in the way
beside it follows: that no worker has the code, or that no process has the journal.
"""

import re
from datetime import UTC, datetime
from typing import Any, Final

from agnt5.core.journal.entry import Retrying
from agnt5.core.model.errors import NonDeterminismError
from agnt5.core.model.failures import is_type
from agnt5.core.model.retry import MICROSECONDS
from agnt5.core.model.run import WAKE, Failure, Run, Status, Timer, Wait
from agnt5.runtime.port import AtWork
from agnt5.runtime.scene import Scene
from agnt5.sdk import failures

_LONG_US: Final = 60 * MICROSECONDS
_FOLDERS: Final = re.compile(r"\((?:[^()\n]*/)?([^/()\n]+:\d+)\)")  # Of a place in the code.


def explain(scene: Scene, now_us: int) -> tuple[str, dict[str, Any]]:
    """A sentence about a run, and the facts in it.

    Args:
        scene: The run and what is around it.
        now_us: The time, in microseconds since the epoch.

    Returns:
        The sentence, and facts that are plain JSON values; times are seconds since the epoch.
    """
    said = _Explanation(scene, now_us)
    return said.sentence(), said.facts


class _Explanation:
    def __init__(self, scene: Scene, now_us: int) -> None:
        self._scene = scene
        self._run: Run = scene.run
        self._now = now_us
        run = scene.run
        self.facts: dict[str, Any] = {"status": run.status.value, "component": run.component, "attempt": run.attempt}

    def sentence(self) -> str:
        return "; ".join([self._reason(), *self._followed(), *self._code(), *self._process()])

    def _reason(self) -> str:
        run, scene = self._run, self._scene
        if run.status.is_terminal:
            return f"{run.status.value} {_ago(self._now - run.ended_at)}{_because(': ', scene.failure)}"
        if run.status is Status.BLOCKED and run.waiting.blocked is not None:
            return self._blocked(run.waiting.blocked)
        if run.waiting.retry:
            self._note_retry(run.wake_at, run.attempt + 1, scene.failure)
            failed = f"attempt {run.attempt} failed{_because(' with ', scene.failure)}"
            return f"{failed}; the next one starts {self._in(run.wake_at)}"
        if run.status is Status.QUEUED:
            return self._queued()
        if run.status is Status.SUSPENDED:
            return self._waiting()
        return self._running()

    # Blocked

    def _blocked(self, blocked: Failure) -> str:
        self.facts["reason"] = blocked.type.rpartition(":")[2]
        if is_type(blocked, NonDeterminismError):
            error = failures.read(blocked)
            if isinstance(error, NonDeterminismError) and "index" in error.facts:
                self.facts |= {name: error.facts[name] for name in ("index", "recorded", "asked")}
                return f"blocked by non-determinism: {without_folders(error.what)}"
        return f"blocked: {_first_line(blocked.message) or self.facts['reason']}"

    # Queued

    def _queued(self) -> str:
        run, scene = self._run, self._scene
        if run.wake_at > self._now:
            self.facts["starts_at"] = run.wake_at / MICROSECONDS
            return f"submitted for later: starts {self._in(run.wake_at)}"
        since = f"queued since {_clock(run.stamp)}"
        self.facts["ahead"] = scene.ahead
        if scene.is_offered is False or scene.pid == 0:
            return since
        if scene.ahead:
            return f"{since} behind {scene.ahead} run{'s' * (scene.ahead > 1)} of {run.component!r}"
        return f"{since} for a worker that has room"

    # Waiting

    def _waiting(self) -> str:
        run = self._run
        retries = {retrying.retry_at: retrying for retrying in self._scene.retrying}
        waits = [self._wait(wait) for wait in run.waiting.on]
        waits += [self._timer(timer, retries.get(timer.due)) for timer in run.waiting.timers[:1]]
        self.facts["waiting_for"] = waits
        since = f" since {_clock(run.waiting.since)}" if run.waiting.since else ""
        if run.waiting.since:
            self.facts["since"] = run.waiting.since / MICROSECONDS
        if not waits:
            return f"waiting{since} for nothing that could come: a future or an event that nobody sets"
        return f"waiting{since} for {' or '.join(waits)}"

    def _wait(self, wait: Wait) -> str:
        if wait.kind == "call":
            child = self._child_of(wait)
            return f"child run {f'{child} of ' if child else 'of '}{wait.name!r}{_at(wait.site)}"
        return f"{wait.kind} {wait.name}{_at(wait.site)}"

    def _child_of(self, wait: Wait) -> str:
        same = (begun for begun in self._scene.open if (begun.name, begun.site) == (wait.name, wait.site))
        return next((begun.target for begun in same), "")

    def _timer(self, timer: Timer, retrying: Retrying | None) -> str:
        if timer.n == WAKE and retrying is not None:
            return self._retry(retrying)
        self.facts["wakes_at"] = timer.due / MICROSECONDS
        what = "the next attempt of a step" if timer.n == WAKE else f"the end of a {timer.label or 'timer'}"
        return f"{what} {self._in(timer.due)}{_at(timer.site)}"

    def _retry(self, failed: Retrying) -> str:
        self._note_retry(failed.retry_at, failed.attempt + 1, failed.error)
        self.facts["step"] = failed.name
        return (
            f"attempt {failed.attempt + 1} of step {failed.name!r} {self._in(failed.retry_at)}{_at(failed.site)}"
            f"{_because(' because ', failed.error)}"
        )

    def _note_retry(self, retry_at: int, attempt: int, error: Failure | None) -> None:
        self.facts |= {"retry_at": retry_at / MICROSECONDS, "next_attempt": attempt}
        if error is not None:
            self.facts["error"] = _said(error)

    # Running

    def _running(self) -> str:
        scene, run = self._scene, self._run
        if scene.doing:
            return self._doing(scene.doing)
        coming = [retrying for retrying in scene.retrying if retrying.retry_at > self._now]
        if coming:
            return f"waiting for {self._retry(min(coming, key=lambda retrying: retrying.retry_at))}"
        if scene.awaited is not None:
            child = scene.awaited.run
            self.facts["waiting_for"] = [f"run {child.id}"]
            site = next((begun.site for begun in scene.open if begun.target == child.id), "")
            return f"waiting for child run {child.id} of {child.component!r}{_at(site)}"
        if scene.pid == 0:
            return f"cut short in its attempt {run.attempt}{self._last()}"
        return f"running its attempt {run.attempt} since {_clock(run.started_at)}{self._last()}"

    def _doing(self, doing: list[AtWork]) -> str:
        steps = sorted(doing, key=lambda step: step.since)
        self.facts["doing"] = [
            {"step": step.name, "attempt": step.attempt, "since": step.since / MICROSECONDS} for step in steps
        ]
        first = steps[0]
        again = f"attempt {first.attempt} of " if first.attempt > 1 else ""
        more = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
        return f"running {again}step {first.name!r} since {_seconds(self._now - first.since)}{_at(first.site)}{more}"

    def _last(self) -> str:
        if self._scene.last is None:
            return ", with nothing done yet"
        entry, outcome = self._scene.last
        self.facts["last_entry"] = entry.index
        done = f"{outcome.kind.value} {outcome.name!r}{_at(outcome.site)}"
        return f"; the last that it did is {done}, {_ago(self._now - entry.at)}"

    # What is said beyond the run itself

    def _followed(self) -> list[str]:
        """The reason of the run at the end of those that wait for each other."""
        between, innermost = -1, self._scene
        while innermost.awaited is not None:
            between, innermost = between + 1, innermost.awaited
        if innermost is self._scene:
            return []
        said = _Explanation(innermost, self._now)
        sentence = "; ".join([said._reason(), *said._code()])
        self.facts["innermost"] = {"run": innermost.run.id, "why": sentence} | said.facts
        if not between:
            return [f"that run is {sentence}"]
        return [f"{between} more down, run {innermost.run.id} of {innermost.run.component!r} is {sentence}"]

    def _code(self) -> list[str]:
        """Whether somebody has the code to go on with, where that is known."""
        run, said = self._run, []
        if run.status.is_terminal or run.status is Status.BLOCKED:
            return []
        if run.is_cancel_requested:
            self.facts["cancel_requested"] = True
            said.append("its cancel is requested")
        is_for_later = run.status is Status.QUEUED and run.wake_at > self._now
        if self._scene.is_offered is False and not is_for_later:
            self.facts["missing"] = run.component
            said.append(f"no worker registers component {run.component!r}: import the module that defines it")
        return said

    def _process(self) -> list[str]:
        """Which process could let it go on, where that is known."""
        run, pid = self._run, self._scene.pid
        if run.status.is_terminal or run.status is Status.BLOCKED or pid is None:
            return []
        self.facts["process"] = pid or None
        if not pid:
            return [f"no process has the journal: it goes on in the next one that has {run.component!r}"]
        if run.status is Status.QUEUED:
            return [f"process {pid} has the journal, and perhaps not the component"]
        return [f"process {pid} has the journal"] if run.status is Status.RUNNING else []

    def _in(self, at_us: int) -> str:
        if at_us <= self._now:
            return "now"
        # Nobody counts an hour in seconds.
        at = f", at {_clock(at_us)}" if at_us - self._now > _LONG_US else ""
        return f"in {_seconds(at_us - self._now)}{at}"


def _because(joint: str, failure: Failure | None) -> str:
    return f"{joint}{_said(failure)}" if failure is not None else ""


def _said(failure: Failure) -> str:
    name, first = failure.type.rpartition(":")[2], _first_line(failure.message)
    # Our own errors begin with their code, which says more than their type.
    return first if first.startswith("[AGNT5-") else f"{name}: {first}" if first else name


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0]


def _at(site: str) -> str:
    return f" ({site.rpartition('/')[2]})" if site else ""


def without_folders(text: str) -> str:
    """The text, with each place in the code shortened to its file's own name and its line."""
    return _FOLDERS.sub(r"(\1)", text)


def _seconds(us: int) -> str:
    return f"{max(us, 0) / MICROSECONDS:.1f} s"


def _ago(us: int) -> str:
    return f"{_seconds(us)} ago"


def _clock(us: int) -> str:
    return datetime.fromtimestamp(us / MICROSECONDS, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
