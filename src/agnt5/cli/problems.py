"""What went wrong, told on stderr: what, why, and what to do about it."""

import os
import sysconfig
import traceback
from pathlib import Path
from typing import Final

import click

from agnt5.cli.printable import lines
from agnt5.core.model.errors import Agnt5Error, InternalError
from agnt5.sdk.failures import OriginalTraceback


def show_problem(error: Agnt5Error, *, with_traceback: bool = False) -> None:
    """Tell of one of our errors."""
    if with_traceback:
        _tell("".join(traceback.format_exception(error)), dim=True)
    code = click.style(f"[{error.code}]", fg="red")
    what, *rest = lines(error.what or type(error).__name__)
    click.echo(f"{code} {what}", err=True)
    _tell("\n".join(rest), indent=2)
    _labelled("Why", error.why)
    _labelled("Fix", error.fix)


def _labelled(label: str, text: str) -> None:
    if not text:
        return
    first, *rest = lines(text)
    click.echo(f"  {click.style(f'{label}:', bold=True)} {first}", err=True)
    _tell("\n".join(rest), indent=7)


def _tell(text: str, *, indent: int = 0, dim: bool = False) -> None:
    for line in lines(text) if text else ():
        click.echo(click.style(" " * indent + line, dim=dim), err=True)


def show_bug(error: Exception, *, with_traceback: bool) -> None:
    """Tell of an error that nobody foresaw."""
    said = InternalError(
        f"{type(error).__name__}: {error}",
        why="a bug in agnt5",
        fix="run it again as `agnt5 --debug …` and report what it says",
    )
    said.__traceback__ = error.__traceback__
    show_problem(said, with_traceback=with_traceback)


def show_failure(headline: str, said: str, trail: str, hints: list[str], *, with_trail: bool) -> None:
    """Tell that a run ended badly.

    Args:
        headline: Which run, and how it ended.
        said: What its error says.
        trail: The traceback of that.
        hints: What to do next, one a line.
        with_trail: Show all of the traceback, not only where it was raised.
    """
    click.echo(click.style(headline, fg="red"), err=True)
    _tell(said, indent=2)
    if trail:
        place = place_of(trail)
        _tell(trail if with_trail or not place else f"at {place}", indent=2, dim=True)
    for hint in hints:
        click.echo(f"  {hint}", err=True)


def place_of(trail: str) -> str:
    """File, line and function of the user's own code where a traceback ends; empty if it names none.

    Libraries are passed over, unless there is nothing else: what called them can be mended.
    """
    frames = [line.removeprefix(_FRAME) for line in trail.splitlines() if line.startswith(_FRAME)]
    if not frames:
        return ""
    own = [frame for frame in frames if not frame.startswith(_LIBRARIES)]
    file, _, rest = (own or frames)[-1].partition('", line ')
    line, _, function = rest.partition(", in ")
    return f"{file}:{line} in {function}" if function else f"{file}:{line}"


def users_part(trail: str) -> str:
    """A traceback without the frames that are agnt5's own, unless there are no others."""
    kept: list[str] = []
    is_ours = False
    for line in trail.rstrip().splitlines():
        if line.startswith(_FRAME):
            is_ours = line.startswith(f"{_FRAME}{_OWN_FOLDER}")
        elif not line.startswith("    "):
            is_ours = False
        if not is_ours and line.strip() != _SEPARATE:
            kept.append(line)
    has_frames = any(line.startswith(_FRAME) for line in kept)
    return "\n".join(kept if has_frames else trail.rstrip().splitlines())


_FRAME: Final = '  File "'
_OWN_FOLDER: Final = f"{Path(__file__).parent.parent}{os.sep}"
_LIBRARIES: Final = (
    _OWN_FOLDER,
    "<frozen ",
    *(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)
_SEPARATE: Final = f"{OriginalTraceback.__module__}.{OriginalTraceback.__qualname__}:"
