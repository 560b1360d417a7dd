"""`agnt5 demo`: a checkout whose process is killed between charging the card and sending the receipt."""

import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from time import monotonic, time_ns
from typing import Any, Final

import click
from msgspec import Struct
from rich.console import Console
from rich.text import Text

import agnt5
from agnt5.cli.documents import document_of_record
from agnt5.cli.drawing import Mark, draw
from agnt5.cli.exits import Exit
from agnt5.cli.journal import Record, read_record, reading
from agnt5.cli.printable import json_text
from agnt5.cli.proof import Check, read_ledger, verdict
from agnt5.cli.story import How
from agnt5.cli.symbols import STYLES, Symbols, symbols_for, terminal, width_of
from agnt5.config import HOME, JOURNAL, URL
from agnt5.core.model.errors import InternalError, InvalidInput
from agnt5.core.model.run import Status

_LEDGER: Final = "checkout-ledger.jsonl"
_DEADLINE_SECONDS: Final = 30.0  # For each process to get where it is to get; it takes about half a second.
_LOOK_SECONDS: Final = 0.01  # Between two looks at the journal.


class Shown(Struct, frozen=True):
    """What the demo has to show for itself."""

    order_id: str
    killed: int
    resumed: int
    killed_at: int  # Microseconds since the epoch.
    record: Record
    effects: list[dict[str, Any]]
    checks: list[Check]

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks)


@click.command()
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Keep the journal in this directory.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found, for programs.")
@click.pass_context
def demo(ctx: click.Context, home: Path | None, as_json: bool) -> None:
    """Watch a workflow survive kill -9.

    A checkout charges a card and sends a receipt. Its process is killed with SIGKILL between the two;
    a new process, which nobody tells of the run, finishes it. A ledger outside agnt5 tells how often
    the card was charged.
    """
    console = terminal()
    narrator = Narrator(console, is_silent=as_json)
    with _home(home) as folder:
        shown = asyncio.run(_Demo(folder, narrator).play())
        if as_json:
            click.echo(json_text(_document(shown, folder, is_kept=home is not None), indent=2))
        else:
            narrator.show(shown)
            narrator.point_on(home)
    if not shown.holds:
        ctx.exit(Exit.FAILED)


@contextmanager
def _home(home: Path | None) -> Iterator[Path]:
    if home is not None:
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(
                f"the directory {home} can't be made: {error.strerror}",
                why="what it is in is read-only, or belongs to somebody else",
                fix="pass --home with a directory that you may write to, or leave it out",
            ) from error
        yield home.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="agnt5-demo-") as folder:
        yield Path(folder)


def example() -> Path:
    """The checkout: packed into the package, or beside its source."""
    package = Path(agnt5.__file__).parent
    places = [package / "examples" / "checkout.py", package.parent.parent / "examples" / "checkout.py"]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InternalError(
            "the demo's example isn't there",
            why=f"neither of these is a file: {', '.join(map(str, places))}",
            fix="install agnt5 again",
        )
    return found


class _Demo:
    def __init__(self, home: Path, narrator: "Narrator") -> None:
        self._home = home
        self._say = narrator.say
        self._store = f"sqlite:///{home / JOURNAL}"
        self._file = str(example())
        # Of its own, so that a home may see several demos.
        self._order_id = f"order-{secrets.token_hex(2)}"

    async def play(self) -> Shown:
        file, order_id = Path(self._file).name, self._order_id
        async with self._process("start", self._file, order_id) as first:
            self._say(f"process {first.pid} runs checkout({order_id!r}) of {file}")
            run_id = await self._line_from(first)
            await self._see_charge(run_id)
            self._say("the card is charged, and that is in the journal; the receipt isn't sent")
            first.kill()
            exit_status = await first.wait()
            killed_at = time_ns() // 1000
        self._say(f"process {first.pid} is killed with SIGKILL", How.FAILED)
        async with self._process("serve", self._file) as second:
            self._say(f"process {second.pid} starts, with the same code and journal, and isn't told of any run")
            record = await self._see_end(run_id, second)
        self._say(f"the run goes on by itself, and is {record.run.status.value}")
        effects = read_ledger(self._home / _LEDGER, order_id)
        checks = verdict(
            effects, record.run.status, killed=first.pid, exit_status=exit_status, resumed=second.pid
        )
        return Shown(order_id, first.pid, second.pid, killed_at, record, effects, checks)

    @asynccontextmanager
    async def _process(self, *args: str) -> AsyncIterator[asyncio.subprocess.Process]:
        environment = {**os.environ, HOME: str(self._home), "CHECKOUT_LEDGER": str(self._home / _LEDGER)}
        environment.pop(URL, None)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agnt5.cli.demo_process", *args),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        assert process.stdin is not None, "it was asked for"
        try:
            yield process
            # Its end of the story: it stops by itself.
            process.stdin.close()
            await asyncio.wait_for(process.wait(), _DEADLINE_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _line_from(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None, "it was asked for"
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _DEADLINE_SECONDS)
        except TimeoutError:
            raise _broken(f"process {process.pid} got nowhere in {_DEADLINE_SECONDS} s") from None
        if not line and await process.wait() == Exit.STORE:
            raise click.exceptions.Exit(Exit.STORE)  # The process has told what is wrong with the journal.
        if not line:
            raise _broken(f"process {process.pid} ended before it had charged the card")
        return line.decode().strip()

    async def _see_charge(self, run_id: str) -> None:
        """See for oneself, in the journal, that the kill comes between the two steps."""
        record = await self._read(run_id)
        names = [getattr(entry.body, "name", "") for entry in record.entries]
        if "charge_card" not in names or "send_receipt" in names:
            raise _broken(f"run {run_id} isn't between its two steps: its journal has {names}")

    async def _see_end(self, run_id: str, process: asyncio.subprocess.Process) -> Record:
        deadline = monotonic() + _DEADLINE_SECONDS
        while True:
            record = await self._read(run_id)
            if record.run.status.is_terminal or record.run.status is Status.BLOCKED or monotonic() > deadline:
                return record
            if process.returncode is not None:
                raise _broken(f"process {process.pid} ended with {process.returncode}, and the run hasn't")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _read(self, run_id: str) -> Record:
        async with reading(self._store) as reader:
            return await read_record(reader, run_id)


def _broken(what: str) -> InternalError:
    return InternalError(what, why="what the process said is above", fix="run `agnt5 demo` again, or report it")


class Narrator:
    """Tells the story as it happens, and what came of it.

    Args:
        console: Where to.
        is_silent: There is a document instead.
    """

    def __init__(self, console: Console, *, is_silent: bool) -> None:
        self._console = console
        self._is_silent = is_silent
        self._symbols: Symbols = symbols_for(console)
        self._number = 0
        self._print(Text("A checkout charges a card, then sends a receipt. It is killed in between.", "bold"))
        self._print(Text())

    def _print(self, text: Text) -> None:
        if not self._is_silent:
            self._console.print(text, soft_wrap=True)

    def say(self, sentence: str, how: How = How.NOTED) -> None:
        """The next thing that has happened."""
        self._number += 1
        self._print(Text.assemble((f"  {self._number}  ", "dim"), (sentence, "red" if how is How.FAILED else "")))

    def show(self, shown: Shown) -> None:
        """The timeline, the ledger, and the verdict on it."""
        self._print(Text())
        marks = (
            Mark(shown.killed_at, f"process {shown.killed} is killed; process {shown.resumed} takes over"),
        )
        width = width_of(self._console)
        for line in draw(shown.record, now_us=time_ns() // 1000, width=width, symbols=self._symbols, marks=marks):
            self._print(line)
        self._print(Text())
        self._print(Text(f"What the world saw of {shown.order_id}, from a ledger that agnt5 knows nothing of:"))
        self._print(Text())
        for effect in shown.effects:
            self._print(Text(f"  {effect['what']:<9} by process {effect['pid']}  {effect['at'][11:23]}"))
        self._print(Text())
        for check in shown.checks:
            how = How.DONE if check.holds else How.FAILED
            found = "" if check.holds else f" (found: {check.found})"
            self._print(Text.assemble((f"{self._symbols.how[how]} ", STYLES[how]), check.claim, (found, "red")))

    def point_on(self, home: Path | None) -> None:
        """What to look at next."""
        self._print(Text())
        if home is None:
            hint = "Keep the journal to look around in it: agnt5 demo --home demo"
        else:
            hint = f"Look around: agnt5 runs list --store sqlite:///{home / JOURNAL}"
        self._print(Text(hint, "dim"))


def _document(shown: Shown, home: Path, *, is_kept: bool) -> dict[str, Any]:
    return {
        "holds": shown.holds,
        "checks": [{"claim": check.claim, "found": check.found, "holds": check.holds} for check in shown.checks],
        "order_id": shown.order_id,
        "killed_pid": shown.killed,
        "resumed_pid": shown.resumed,
        "effects": shown.effects,
        "home": str(home) if is_kept else None,
        "run": document_of_record(shown.record),
    }
