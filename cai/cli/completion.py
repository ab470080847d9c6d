"""cai completion."""

from typing import Any

import click
from click.shell_completion import get_completion_class


@click.command(
    epilog="""\b
Examples:
  cai completion bash > ~/.local/share/bash-completion/completions/cai
  cai completion zsh > ~/.zfunc/_cai            (with ~/.zfunc in fpath)
  cai completion fish > ~/.config/fish/completions/cai.fish

\b
Exit codes: 0 printed, 2 unknown shell."""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell."""
    maker: Any = get_completion_class(shell)
    # The class alone, without its check of the installed bash: the script is for any machine.
    made = maker(context.find_root().command, {}, "cai", "_CAI_COMPLETE")
    script = made.source_template % made.source_vars()
    # zsh keeps an autoloaded file as the function, which the second Tab calls: click does not expect that.
    click.echo(script.replace("== loadautofunc ", "== (loadautofunc|shfunc) "))
