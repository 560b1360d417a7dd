"""`agnt5 completion`: what a shell has to load to complete commands, options and run ids."""

import click
from click.shell_completion import get_completion_class

VARIABLE = "_AGNT5_COMPLETE"  # As click derives it from the name of the command.


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what a shell needs to complete commands and run ids.

    \b
      bash   eval "$(agnt5 completion bash)"        in ~/.bashrc
      zsh    eval "$(agnt5 completion zsh)"         in ~/.zshrc, after compinit
      fish   agnt5 completion fish | source         in ~/.config/fish/config.fish
    """
    made = get_completion_class(shell)
    assert made is not None, "click knows the shells that are offered"
    click.echo(made(ctx.find_root().command, {}, "agnt5", VARIABLE).source())
