"""The command `purefw`.

An error of the user's reaches the user as one sentence on the standard error stream and
exit code 2. Exit code 1 means that a check failed.
"""

import sys

import typer

from reference.commands.bench import bench
from reference.commands.check import check
from reference.commands.class_report import report
from reference.commands.hunt import hunt
from reference.commands.lab import lab
from reference.commands.learn import grade, learn
from reference.commands.power import power
from reference.commands.trace import trace
from reference.commands.train import train
from reference.commands.verify import verify

app = typer.Typer(
    help="Neural networks differentiated by hand, and the oracle that checks them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(verify)
app.command()(check)
app.command()(bench)
app.command()(trace)
app.command()(train)
app.command()(power)
app.command()(lab)
app.command()(learn)
app.command()(grade)
app.command()(hunt)
app.command()(report)


def main() -> None:
    """Run a subcommand; see the module for the exit codes."""
    try:
        app(prog_name="purefw")
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
