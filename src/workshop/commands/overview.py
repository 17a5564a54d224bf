"""`workshop --help`, `--version` and completion, answered without importing boto3, which takes most of a second.

So this module imports no command: it lists names and summaries, and reads a step's title from its file. The commands
are loaded when one of them runs.
"""

import ast
import re
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from workshop.base.console import Console
from workshop.base.errors import UsageError
from workshop.base.files import ROOT
from workshop.commands.usage import Commands, usage_error

#: The arguments of the root command.
ROOT_OPTIONS: dict[str, Any] = {
    "name": "workshop",
    "help": "Build a serverless order backend on AWS, one service at a time.\n\nExample: workshop demo",
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "pretty_exceptions_enable": False,
    "rich_markup_mode": "rich",
}
BUILD = "Build"
#: The commands other than the steps, as help groups them: {group: {command: summary}}.
COMMANDS = {
    BUILD: {
        "up": "Run all steps in order.",
        "cli-script": "Print the same build as a bash script of AWS CLI calls.",
        "policy": "Print the IAM policy that a participant needs.",
    },
    "Use": {
        "demo": "Build everything, check it, follow one order and clean up.",
        "order": "Place one order through the API.",
        "trace": "Follow an order hop by hop.",
        "url": "Print the URL that accepts orders.",
        "inbox": "Show the e-mails that the subscriber received.",
        "spike": "Place many orders at once and account for each.",
        "redrive": "List the dead-letter queues and send the messages back.",
    },
    "Look": {
        "verify": "Check what is built: pass or fail, why, and how to fix it.",
        "status": "Show which resources are present, missing or drifted.",
        "diff": "Compare every setting with what the steps would build.",
        "doctor": "Check that this machine and this account are ready.",
        "cost": "Estimate what a month of orders costs.",
    },
    "Clean up": {"cleanup": "Delete all of this participant's resources and verify it."},
    "Embedded AWS": {"local": "Start, stop and connect to the embedded AWS."},
}
#: The help of Typer's own options, each in one line.
COMPLETION = {
    "install_completion": "Install completion in this shell.",
    "show_completion": "Print the completion script.",
}
#: The line of a step file that declares the step.
DECLARATION = re.compile(r"^step = (Step\(.*\))$", re.MULTILINE)


def summaries() -> Iterator[tuple[str, str, str]]:
    """Yield every command as help lists it: `(group, name, summary)`."""
    for path in sorted(ROOT.glob("steps/[0-9][0-9]_*.py")):
        declared = DECLARATION.search(path.read_text(encoding="utf-8"))
        assert declared, f"{path} declares no step"
        call = ast.parse(declared[1], mode="eval").body
        assert isinstance(call, ast.Call)
        number, name, title = (ast.literal_eval(argument) for argument in call.args)
        yield BUILD, f"{number:02d}_{name}", f"Step {number}: {title}."
    for group, commands in COMMANDS.items():
        for name, summary in commands.items():
            yield group, name, summary


class Overview(Commands):
    """The commands by name and summary, until one runs."""

    #: Loads the real commands.
    load: Callable[[], TyperGroup]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the real commands and find the one to run."""
        self.commands = type(self).load().commands
        return super().resolve_command(ctx, args)


def show_version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"workshop {version('workshop')}")
        raise typer.Exit


VERSION = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=show_version, help="Show the version and exit.")
]


def root(version: VERSION = False) -> None:
    """Declare the options of `workshop` itself."""


def overview(load: Callable[[], TyperGroup]) -> TyperGroup:
    """Return a command line that has loaded only names and summaries.

    Args:
        load: loads the real commands.
    """
    app = typer.Typer(cls=Overview, **ROOT_OPTIONS)
    app.callback()(root)
    group = get_command(app)
    assert isinstance(group, Overview)
    # Typer would show the callback's docstring.
    group.help = ROOT_OPTIONS["help"]
    for option in group.params:
        option.help = COMPLETION.get(option.name, option.help)  # type: ignore[attr-defined]
    Overview.load = staticmethod(load)
    group.commands = {
        name: TyperCommand(name, help=summary, rich_help_panel=panel, rich_markup_mode="rich")
        for panel, name, summary in summaries()
    }
    return group


def run(load: Callable[[], TyperGroup]) -> NoReturn:
    """Run the root command line and exit with its exit code.

    Args:
        load: loads the real commands.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    code = 0
    try:
        code = overview(load).main(prog_name="workshop", standalone_mode=False) or 0
    except (TyperException, UsageError) as error:
        problem = error if isinstance(error, UsageError) else usage_error(error)
        Console().error(problem)
        code = problem.exit_code
    sys.stdout.flush()
    sys.exit(code)
