"""What a run that hasn't ended waits for, as lines of its drawing."""

from agnt5.cli.story import How, Line
from agnt5.cli.times import clock, lasted
from agnt5.core.model.run import WAKE, Run, Status, Timer

AFTER: int = -1  # The index of a line that no entry stands for.


def waits(run: Run, now_us: int) -> list[Line]:
    """One line for each thing that would make the run go on."""
    waiting = run.waiting
    if run.status.is_terminal or run.status is Status.BLOCKED:
        return []
    if waiting.retry:
        return [_line(now_us, "attempt", f"{run.attempt + 1} starts {_when(run.wake_at, now_us)}")]
    if run.status is Status.QUEUED and run.wake_at:
        return [_line(now_us, "queued", f"starts {_when(run.wake_at, now_us)}")]
    if run.status is Status.QUEUED:
        return [_line(now_us, "queued", f"for a process that has {run.component!r}")]
    if run.status is Status.RUNNING:
        return [_line(now_us, "running", f"last entry {lasted(now_us - run.stamp)} ago")]
    since = f" since {clock(waiting.since, now_us)}" if waiting.since else ""
    lines = [_line(now_us, "waiting", f"for {wait.kind} {wait.name}{since}", wait.site) for wait in waiting.on]
    lines += [_line(now_us, "waiting", _timer(timer, now_us), timer.site) for timer in waiting.timers]
    return lines or [_line(now_us, "waiting", f"for nothing that could come{since}")]


def _timer(timer: Timer, now_us: int) -> str:
    what = "for the next attempt of a step" if timer.n == WAKE else f"for a {timer.label or 'timer'}"
    return f"{what} until {_when(timer.due, now_us)}"


def _when(at: int, now_us: int) -> str:
    return f"{clock(at, now_us)}, in {lasted(at - now_us)}" if at > now_us else f"{clock(at, now_us)}, which has passed"


def _line(now_us: int, label: str, name: str, site: str = "") -> Line:
    return Line(AFTER, now_us, label, name, How.OPEN, site=site)
