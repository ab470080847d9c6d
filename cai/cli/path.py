"""cai path."""

import click

from cai import content


@click.command(
    short_help="Print the folder of the playbooks.",
    epilog="""\b
Example:
  cd "$(cai path)" && ansible-playbook playbooks/wsl2.yml --check --diff

\b
Exit codes: 0 printed, 3 no playbooks found.""",
)
def path() -> None:
    """Print the folder of the playbooks, roles and inventory, for use with ansible-playbook."""
    click.echo(content.root())
