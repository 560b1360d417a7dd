"""The `agnt5` command: finds the command that was asked for, and says what went wrong with it."""

import os
import sys
from importlib import import_module
from typing import Any, Final

import click

from agnt5 import __version__
from agnt5.cli.exits import MEANINGS, Exit, exit_of_error
from agnt5.cli.problems import show_bug, show_problem
from agnt5.core.model.errors import Agnt5Error

# Where each command is and what it is for. A command's file is loaded when it is used, which keeps
# `agnt5 --help` from loading what draws tables.
COMMANDS: Final = {
    "demo": ("agnt5.cli.demo:demo", "Watch a workflow survive kill -9."),
    "run": ("agnt5.cli.run:run", "Run a function or workflow durably, and print its result as JSON."),
    "runs": ("agnt5.cli.runs:runs", "Look at runs, also beside a live process, and change them."),
    "events": ("agnt5.cli.operate:events", "Resolve what runs wait for."),
    "signal": ("agnt5.cli.operate:signal", "Give a run a signal, which is kept until the run asks for it."),
    "preflight": ("agnt5.cli.preflight:preflight", "Tell whether the code at hand can take over the runs in flight."),
    "completion": ("agnt5.cli.completion:completion", "Print what a shell needs to complete commands and run ids."),
    "store": ("agnt5.cli.store:store", "Look after a journal: back it up, check it, measure it."),
}
_EPILOG: Final = "\b\nExit codes:\n" + "\n".join(f"  {code.value:>3}  {said}" for code, said in MEANINGS.items())


class Commands(click.Group):
    """The commands of the table above, and the boundary at which errors become messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place, _ = COMMANDS.get(cmd_name, ("", ""))
        if not place:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except Agnt5Error as error:
            show_problem(error, with_traceback=ctx.params["debug"])
            ctx.exit(exit_of_error(error))
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(Exit.INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # Click knows how to end with its own, and with a pipe that nobody reads any more.
        except Exception as error:  # A bug of ours, told as one; the traceback is there for those who ask.
            show_bug(error, with_traceback=ctx.params["debug"])
            ctx.exit(Exit.INTERNAL)


@click.group(cls=Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agnt5")
@click.option("--debug", is_flag=True, envvar="AGNT5_DEBUG", help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Durable execution for Python: workflows whose progress survives crashes and restarts."""


def main() -> None:
    """What the `agnt5` script calls."""
    # An output that can't hold a character shows its escape instead of ending the command.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    cli(prog_name="agnt5")
