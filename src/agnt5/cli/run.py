"""`agnt5 run`: run one component in the embedded runtime and print what it returns."""

import asyncio
import sys
from contextlib import redirect_stdout
from time import time_ns
from typing import Any, Final

import click

from agnt5.cli.exits import Exit, exit_of_status
from agnt5.cli.loading import load
from agnt5.cli.parsing import parsed
from agnt5.cli.plain import plain
from agnt5.cli.printable import json_text, one_line
from agnt5.cli.problems import show_failure
from agnt5.config import check_environment, journal_path
from agnt5.core.model.run import Status
from agnt5.embedded import Runtime
from agnt5.sdk.backend import RunOutcome, backend
from agnt5.sdk.component import Component, call_options

_MEMORY: Final = "memory://"  # A store that ends with the process.
_ENDINGS: Final = {Status.FAILED: "failed", Status.BLOCKED: "is blocked", Status.CANCELLED: "was cancelled"}


@click.command()
@click.argument("target", metavar="FILE:COMPONENT")
@click.option("--input", "-i", "input_text", metavar="JSON", help="Its arguments; see above.")
@click.option("--idempotency-key", "-k", metavar="KEY", help="At most one run is made under this key.")
@click.option("--store", metavar="URL", help="The journal, as in sqlite:///orders.db.  [default: that of AGNT5_HOME]")
@click.pass_context
def run(
    ctx: click.Context, target: str, input_text: str | None, idempotency_key: str | None, store: str | None
) -> None:
    """Run a function or workflow durably, and print its result as JSON.

    FILE:COMPONENT is a file or a dotted module, and the name of what to run in it. --input is a JSON
    array of arguments, an object of arguments by name, or a single argument that is neither.

    \b
      agnt5 run app.py:checkout --input '["order-42"]'
      agnt5 run app.py:checkout --input '{"order_id": "order-42"}'
      agnt5 run shop.flows:checkout -i '"order-42"' --idempotency-key order-42

    The result goes to stdout, everything else to stderr, also what the code prints. Unfinished runs
    of the same code in the same journal go on meanwhile.
    """
    journey = Journey(store)
    # Whatever the user's code prints is no part of the result.
    with redirect_stdout(sys.stderr):
        component = load(target)
        values = arguments(component, input_text)
        try:
            outcome = asyncio.run(journey.go(component, values, idempotency_key))
        except KeyboardInterrupt:
            journey.tell_interrupted(component, idempotency_key)
            ctx.exit(Exit.INTERRUPTED)
    if outcome.status is Status.COMPLETED:
        click.echo(json_text(plain(outcome.result)))
        return
    debug = ctx.find_root().params.get("debug", False)
    journey.tell_failed(outcome, with_trail=debug)
    ctx.exit(exit_of_status(outcome.status))


def arguments(component: Component[Any, Any], input_text: str | None) -> dict[str, Any]:
    """The component's arguments by name, converted by their annotations.

    Raises:
        InvalidInput: The text is no JSON, or doesn't fit the component.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    if input_text is not None:
        document = parsed(input_text, "--input", '["order-42"]')
        if isinstance(document, dict):
            kwargs = document
        else:
            args = document if isinstance(document, list) else [document]
    return component.schema.from_outside(tuple(args), kwargs, component.name)


class Journey:
    """One run on its way from the command line to its outcome.

    Args:
        store: URL of the journal; None for that of AGNT5_HOME.
    """

    def __init__(self, store: str | None) -> None:
        self._store = store
        self._run_id = ""

    async def go(self, component: Component[Any, Any], values: dict[str, Any], key: str | None) -> RunOutcome:
        """Submit the run, and wait until it has ended or is blocked.

        Raises:
            Agnt5Error: It can't be submitted, or the runtime stopped.
        """
        if self._store is None:
            check_environment()
        options = call_options(key, None, None, ())
        submission = component.submission_of(component.schema.write(values), options, time_ns() // 1000)
        async with Runtime(store=self._store):
            run_id = await backend().submit(submission)
            self._run_id = run_id
            click.echo(f"run {run_id}", err=True)
            return await backend().outcome(run_id)

    def tell_interrupted(self, component: Component[Any, Any], key: str | None) -> None:
        """Say what becomes of a run that was left before its end."""
        if not self._run_id:
            click.echo("interrupted before the run was made", err=True)
            return
        if self._store == _MEMORY:
            click.echo(f"interrupted; run {self._run_id} is gone with {_MEMORY}", err=True)
            return
        click.echo(f"interrupted; run {self._run_id} stays resumable: what it has done is in its journal", err=True)
        where = one_line(str(journal_path(self._store).absolute()))
        click.echo(f"  It goes on in the next process that has {component.name!r} and uses {where}.", err=True)
        if key is not None:
            click.echo("  The same command again waits for its result.", err=True)
        for hint in self._hints():
            click.echo(f"  {hint}", err=True)

    def tell_failed(self, outcome: RunOutcome, *, with_trail: bool) -> None:
        """Say how the run ended."""
        headline = f"run {outcome.run_id} of {outcome.component!r} {_ENDINGS[outcome.status]}"
        said = trail = ""
        if outcome.error is not None:
            name = outcome.error.type.rpartition(":")[2]
            message, trail = outcome.error.message, outcome.error.traceback
            # Our own errors begin with their code, which says more than their type.
            said = message if message.startswith("[AGNT5-") else f"{name}: {message}" if message else name
        show_failure(headline, said, trail, self._hints(), with_trail=with_trail)

    def _hints(self) -> list[str]:
        where = f" --store {self._store}" if self._store else ""
        return [] if self._store == _MEMORY else [f"Look: agnt5 runs show {self._run_id}{where}"]
